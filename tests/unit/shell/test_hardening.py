"""What others write can mislead or hold up nobody: statuses, labels, owners, finalizers, conditions, and objects that can't be
read."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from jetbridge.core import manifest as manifests
from jetbridge.core.actions import SecretBody
from jetbridge.core.graph import Key
from jetbridge.core.views import MANIFEST_ANNOTATION
from jetbridge.runtime.workers import Done, Retry
from jetbridge.shell.cluster import Conflict, Raw
from jetbridge.shell.vault.contract import VaultRefused
from tests.fakes import objects
from tests.unit.shell.harness import ENTRY, PLANTED, PREFIX, Harness, basic

PROD = ("AirflowDeployment", "team-a", "prod")
STAGING = ("AirflowDeployment", "airflow", "staging")
WAREHOUSE = ("Connection", "team-a", "warehouse")
LINK = ("ConnectionLink", "team-a", "to-staging")
WORKSPACE = ("Workspace", "team-a", "default")
OWN_SECRET = ("Secret", "team-a", "prod-connections")
PROD_KEY = Key(*PROD)
RIVALS = "rivals"
NO_DIGEST = "A" * 22
BAD = PLANTED.encode() + b"\xff"


@pytest.fixture(params=[False, True], ids=["early echo", "late echo"])
def world(request: pytest.FixtureRequest) -> Harness:
    """The watch shows our own writes before their answers come, or after."""
    return basic(Harness(late_echo=request.param)).start()


def found(world: Harness, *where: str) -> Raw:
    raw = world.cluster.get(*where)
    assert raw is not None, f"there is no {'/'.join(where)}"
    return raw


def uid_of(world: Harness, *where: str) -> str:
    uid: str = found(world, *where)["metadata"]["uid"]
    return uid


# A forged status


def forge_record(world: Harness, where: tuple[str, str, str], **forged: Any) -> None:
    """Somebody who may write statuses, and nothing else, changes what the status says of the entry in Vault."""
    status = dict(world.status(*where))
    world.cluster.set_status(*where, status | {"vault": {**status["vault"], **forged}})


def a_victim_and_a_thief(world: Harness) -> None:
    """Two workspaces with a Connection each that names an equal source; the thief's source is not there."""
    spec = {"type": "x", "secretRef": {"name": "creds"}, "sharing": "LinkedToAll"}
    world.put(
        objects.namespace("team-b"),
        objects.deployment("team-b", "prod"),
        objects.connection("team-b", "thief", spec),
    )


VICTIMS_PATH = f"secret/{ENTRY}"


@pytest.mark.parametrize("vault_away", [False, True], ids=["Vault there", "Vault away at first"])
async def test_a_status_that_names_the_entry_of_another_is_no_record(world: Harness, vault_away: bool) -> None:
    a_victim_and_a_thief(world)
    await world.settle()
    record = world.status(*WAREHOUSE)["vault"]
    assert record["path"] == VICTIMS_PATH
    world.cluster.set_status("Connection", "team-b", "thief", {"vault": record})
    world.vault.calls.clear()
    world.vault.sealed = vault_away
    await world.start().settle(60)
    if vault_away:
        await world.vault_is_back()
        await world.settle(60)
    assert world.env("team-b") == {}
    assert world.ready("Connection", "team-b", "thief") == ("False", "SourceMissing")
    assert [c for c in world.vault.calls if c.startswith("read_version")] == []
    assert world.vault.content(ENTRY) == {"password": PLANTED}


async def test_a_status_that_names_the_entry_of_another_deletes_only_its_own(world: Harness) -> None:
    world.put(
        objects.namespace("team-b"),
        objects.source("team-b", "creds", {"password": "mine"}),
        objects.connection("team-b", "thief", {"type": "x", "secretRef": {"name": "creds"}}),
    )
    await world.settle()
    own = f"{PREFIX}/team-b/connections/thief"
    assert world.vault.content(own) == {"password": "mine"}
    forge_record(world, ("Connection", "team-b", "thief"), path=VICTIMS_PATH)
    world.start()
    world.cluster.delete("Connection", "team-b", "thief")
    await world.settle(30)
    assert world.cluster.get("Connection", "team-b", "thief") is None
    assert world.vault.content(own) is None
    assert world.vault.content(ENTRY) == {"password": PLANTED}


@pytest.mark.parametrize("version", [0, -1, 99])
@pytest.mark.parametrize("source", ["there", "gone"])
async def test_a_forged_version_is_never_read_and_is_put_right(world: Harness, version: int, source: str) -> None:
    """To Vault, version 0 is the latest one, whatever that is."""
    await world.settle()
    before = world.env()
    if source == "gone":
        world.cluster.delete("Secret", "team-a", "creds")
        await world.settle()
    forge_record(world, WAREHOUSE, version=version)
    world.vault.calls.clear()
    await world.start().settle(1200)
    assert world.env() == before
    assert world.status(*WAREHOUSE)["vault"]["version"] == 1
    assert world.vault.version(ENTRY) == 1
    assert f"read_version {ENTRY}@{version}" not in world.vault.calls


@pytest.mark.parametrize(
    "vault",
    ["text", [], {}, {"path": VICTIMS_PATH}, {"path": VICTIMS_PATH, "version": "one", "digest": "", "refs": ""}],
    ids=["text", "list", "empty", "path only", "no number"],
)
async def test_a_status_that_can_not_be_read_is_no_record(world: Harness, vault: Any) -> None:
    await world.settle()
    before, record = world.env(), world.status(*WAREHOUSE)["vault"]
    world.cluster.set_status(*WAREHOUSE, {**world.status(*WAREHOUSE), "vault": vault})
    await world.start().settle(60)
    assert world.env() == before
    assert world.status(*WAREHOUSE)["vault"] == record


async def test_a_forged_digest_does_not_make_an_edited_entry_ours(world: Harness) -> None:
    """The source is gone, somebody edits the entry and says in the status that this is what was stored."""
    await world.settle()
    world.cluster.delete("Secret", "team-a", "creds")
    await world.settle()
    world.vault.edit(ENTRY, {"password": "evil"})
    key_id = world.status(*WAREHOUSE)["vault"]["digest"].partition(":")[0]
    forge_record(world, WAREHOUSE, version=2, digest=f"{key_id}:{NO_DIGEST}")
    await world.start().settle(1200)
    assert (world.env() or {})["WAREHOUSE"]["password"] == PLANTED
    assert "evil" not in repr(world.env("airflow", "staging-connections"))


# Forged Secrets


def forged(world: Harness, name: str, owner: str, uid: str, data: Mapping[str, str] | None = None, **more: Any) -> Raw:
    """A Secret of somebody else's that carries our labels and names an AirflowDeployment as its owner."""
    return objects.rendered("team-a", name, data or {"mine": "x"}, owner=(owner, uid), **more)


def manifest_of(world: Harness, namespace: str, name: str) -> str:
    annotations = found(world, "Secret", namespace, name)["metadata"]["annotations"]
    text: str = annotations[MANIFEST_ANNOTATION]
    return text


FORGERIES = ["another uid", "the right uid", "a deployment that is not there", "a copied manifest", "that of another"]


def forge(world: Harness, forgery: str) -> None:
    uid = uid_of(world, *PROD)
    if forgery == "another uid":
        world.put(forged(world, "forged", "prod", "forged-uid"))
    if forgery == "the right uid":
        world.put(forged(world, "forged", "prod", uid))
    if forgery == "a deployment that is not there":
        world.put(forged(world, "forged", "nobody", "forged-uid"))
    if forgery == "a copied manifest":
        copied = manifest_of(world, "team-a", "prod-connections")
        world.put(forged(world, "forged", "prod", uid, {"AIRFLOW_CONN_WAREHOUSE": "mine"}, manifest=copied))
    if forgery == "that of another":
        copied = manifest_of(world, "airflow", "staging-connections")
        data = world.cluster.secret_data("airflow", "staging-connections")
        world.put(forged(world, "forged", "prod", uid, data, manifest=copied))


async def rename(world: Harness) -> None:
    world.put(objects.deployment("team-a", "prod", secret_name="renamed"))


async def withdraw(world: Harness) -> None:
    world.cluster.delete(*WAREHOUSE)


async def delete_the_deployment(world: Harness) -> None:
    world.cluster.delete(*PROD)


async def restart(world: Harness) -> None:
    world.start()


async def delete_the_deployment_while_down(world: Harness) -> None:
    world.cluster.watchers.clear()
    world.cluster.delete(*PROD)
    world.start()


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize(
    "happens", [rename, withdraw, delete_the_deployment, restart, delete_the_deployment_while_down]
)
async def test_a_secret_that_nothing_proves_ours_is_never_touched(world: Harness, forgery: str, happens: Any) -> None:
    await world.settle()
    forge(world, forgery)
    before = found(world, "Secret", "team-a", "forged")
    await world.settle(30)
    await happens(world)
    await world.settle(120)
    assert found(world, "Secret", "team-a", "forged") == before


async def test_nothing_is_carried_over_from_a_forged_secret(world: Harness) -> None:
    """A manifest of ours beside other values, in a Secret that says that it is an older one."""
    await world.settle()
    forge(world, "a copied manifest")
    world.put(objects.source("team-a", "creds", {"password": BAD}))
    world.cluster.delete(*OWN_SECRET)
    await world.settle(60)
    assert world.env() == {}, "what was forged is delivered"


async def test_a_forged_secret_in_the_way_is_told_and_left_alone(world: Harness) -> None:
    """It carries our labels and the deployment's name, but another owner's UID and nothing that we sealed."""
    raw = forged(world, "prod-connections", "prod", "forged-uid")
    world.put(raw)
    before = found(world, *OWN_SECRET)
    await world.settle(60)
    assert found(world, *OWN_SECRET) == before
    assert world.ready(*PROD) == ("False", "SecretNameTaken")
    world.cluster.delete(*OWN_SECRET)
    await world.settle(120)
    assert world.ready(*PROD) == ("True", "Delivered")


async def test_what_is_proven_ours_goes_also_after_a_restart(world: Harness) -> None:
    """Renamed while the operator was down: the older Secret's seals tell that we wrote it."""
    await world.settle()
    world.cluster.watchers.clear()
    world.put(objects.deployment("team-a", "prod", secret_name="renamed"))
    await world.start().settle(30)
    assert world.env() is None
    assert (world.env("team-a", "renamed") or {}).keys() == {"WAREHOUSE"}


async def test_the_secret_of_a_deployment_made_again_is_taken_over(world: Harness) -> None:
    """Made again before the garbage collector came: the Secret is the former one's, and proven."""
    await world.settle()
    world.cluster.watchers.clear()
    spec = found(world, *PROD)["spec"]
    world.cluster.delete(*PROD)
    world.put({**objects.deployment("team-a", "prod"), "spec": spec})
    await world.start().settle(30)
    assert (world.env() or {}).keys() == {"WAREHOUSE"}
    owner = found(world, *OWN_SECRET)["metadata"]["ownerReferences"][0]
    assert owner["uid"] == uid_of(world, *PROD)
    assert world.ready(*PROD) == ("True", "Delivered")


@pytest.mark.parametrize("part", ["workspace", "identity", "recipe", "value", "since"])
async def test_an_annotation_changed_by_somebody_is_restored(world: Harness, part: str) -> None:
    await world.settle()
    before = found(world, *OWN_SECRET)
    raw = found(world, *OWN_SECRET)
    records = manifests.load(manifest_of(world, "team-a", "prod-connections"))
    record = records["AIRFLOW_CONN_WAREHOUSE"]
    change = {"value": f"{record.value.partition(':')[0]}:{NO_DIGEST}"}.get(part, "forged")
    parts = {name: getattr(record, name) for name in ("workspace", "identity", "recipe", "value", "since")}
    changed = manifests.EntryRecord(**{**parts, part: change})
    raw["metadata"]["annotations"][MANIFEST_ANNOTATION] = manifests.dump({"AIRFLOW_CONN_WAREHOUSE": changed})
    world.put(raw)
    await world.settle(30)
    now = found(world, *OWN_SECRET)
    assert now["data"] == before["data"]
    mended = manifests.load(now["metadata"]["annotations"][MANIFEST_ANNOTATION])["AIRFLOW_CONN_WAREHOUSE"]
    assert (mended.workspace, mended.identity, mended.recipe) == (record.workspace, record.identity, record.recipe)
    world.start()
    world.faults.reset()
    await world.settle(30)
    assert world.faults.writes == []


# Somebody writes against us


def rival(world: Harness, times: int) -> list[int]:
    """Lets so many replacements of prod's Secret meet a Secret that was changed meanwhile; gives how many were left."""
    left = [times]
    original = world.cluster.replace_secret

    async def replace(body: SecretBody, uid: str, resource_version: str) -> Raw:
        if body.name == "prod-connections" and left[0] > 0:
            left[0] -= 1
            raw = found(world, "Secret", body.namespace, body.name)
            raw["metadata"].setdefault("annotations", {})[RIVALS] = str(left[0])
            world.put(raw)
        return await original(body, uid, resource_version)

    world.cluster.replace_secret = replace  # type: ignore[method-assign]
    return left


async def heard() -> Harness:
    """A delivered world that hears at once of what others write."""
    world = basic(Harness()).start()
    await world.settle()
    return world


async def changed(world: Harness, password: str) -> None:
    world.put(objects.source("team-a", "creds", {"password": password}))
    await world.reconcile(Key(*WAREHOUSE))


async def test_a_second_conflict_in_a_row_is_a_retry() -> None:
    world = await heard()
    left = rival(world, 3)
    await changed(world, "rotated")
    assert await world.reconcile(PROD_KEY) == Done(again_after=0.0), "the first look again needs no pause"
    assert await world.reconcile(PROD_KEY) == Retry("conflict")
    assert await world.reconcile(PROD_KEY) == Retry("conflict")
    assert left == [0]
    assert isinstance(await world.reconcile(PROD_KEY), Done)
    assert (world.env() or {})["WAREHOUSE"]["password"] == "rotated"


async def test_after_a_success_the_next_conflict_is_the_first_again() -> None:
    world = await heard()
    for password in ("one", "two", "three"):
        left = rival(world, 1)
        await changed(world, password)
        assert await world.reconcile(PROD_KEY) == Done(again_after=0.0)
        assert left == [0]
        assert isinstance(await world.reconcile(PROD_KEY), Done)
        assert (world.env() or {})["WAREHOUSE"]["password"] == password


async def test_who_always_writes_against_us_does_not_make_us_spin(world: Harness) -> None:
    await world.settle()
    world.put(objects.source("team-a", "creds", {"password": "rotated"}))
    attempts = []

    async def replace(body: SecretBody, uid: str, resource_version: str) -> Raw:
        attempts.append(body.name)
        raise Conflict(f"secret {body.name}")

    world.cluster.replace_secret = replace  # type: ignore[method-assign]
    await world.settle(600)
    assert 5 < attempts.count("prod-connections") < 30, "within ten minutes"


async def test_a_secret_without_its_label_that_changes_before_the_label_is_back_is_found_again() -> None:
    """No watch shows it: only looking tells."""
    world = await heard()
    raw = found(world, *OWN_SECRET)
    world.put({**raw, "metadata": {**raw["metadata"], "labels": {}}})
    rival(world, 1)
    assert await world.reconcile(PROD_KEY) == Done(again_after=0.0)
    assert await world.reconcile(PROD_KEY) == Retry("conflict")
    await world.settle(60)
    assert found(world, *OWN_SECRET)["metadata"]["labels"] == raw["metadata"]["labels"]
    assert world.ready(*PROD) == ("True", "Delivered")


# A Secret that terminates


async def test_a_secret_that_terminates_is_told_with_what_holds_it(world: Harness) -> None:
    held = objects.source("team-a", "prod-connections", {"mine": "x"}, labelled=False, finalizers=["backup.io/keep"])
    world.put(held)
    world.cluster.delete(*OWN_SECRET)
    await world.settle(60)
    assert world.ready(*PROD) == ("False", "SecretTerminating")
    (condition,) = world.status(*PROD)["conditions"]
    assert "backup.io/keep" in condition["message"]
    assert world.cluster.secret_data("team-a", "prod-connections") == {"mine": "x"}
    assert "prod-connections" not in repr(world.status(*WAREHOUSE))


async def test_our_own_secret_that_terminates_when_it_is_made_anew_is_told(world: Harness) -> None:
    await world.settle()
    raw = found(world, *OWN_SECRET)
    raw["metadata"]["finalizers"] = ["backup.io/keep"]
    world.put({**raw, "immutable": True})
    world.put(objects.source("team-a", "creds", {"password": "rotated"}))
    await world.settle(60)
    assert world.ready(*PROD) == ("False", "SecretTerminating")


async def test_once_a_terminating_secret_is_gone_it_is_made(world: Harness) -> None:
    held = objects.source("team-a", "prod-connections", {"mine": "x"}, labelled=False, finalizers=["backup.io/keep"])
    world.put(held)
    world.cluster.delete(*OWN_SECRET)
    await world.settle(60)
    raw = found(world, *OWN_SECRET)
    raw["metadata"]["finalizers"] = []
    world.put(raw)
    assert world.cluster.get(*OWN_SECRET) is None
    await world.settle(120)
    assert (world.env() or {}).keys() == {"WAREHOUSE"}
    assert world.ready(*PROD) == ("True", "Delivered")


# A source turns invalid, and is mended


@pytest.mark.parametrize("mended", [PLANTED, "rotated"], ids=["as it was", "with another value"])
async def test_the_status_of_deployments_follows_a_source_that_turns_invalid_and_is_mended(
    world: Harness, mended: str
) -> None:
    await world.settle()
    for _ in range(2):
        world.put(objects.source("team-a", "creds", {"password": BAD}))
        await world.settle(30)
        assert (world.ready(*PROD), world.ready(*STAGING)) == (("False", "SourceInvalid"), ("False", "SourceInvalid"))
        assert world.status(*WAREHOUSE)["delivered"] == "0/2"
        assert world.ready(*LINK) == ("False", "SourceInvalid")
        assert (world.env() or {}).keys() == {"WAREHOUSE"}, "what was delivered stays"
        world.put(objects.source("team-a", "creds", {"password": mended}))
        await world.settle(30)
        assert (world.ready(*PROD), world.ready(*STAGING)) == (("True", "Delivered"), ("True", "Delivered"))
        assert world.status(*WAREHOUSE)["delivered"] == "2/2"
        assert world.ready(*LINK) == ("True", "Delivered")
        assert (world.env() or {})["WAREHOUSE"]["password"] == mended


async def test_a_source_of_a_wrong_type_is_followed_as_well(world: Harness) -> None:
    await world.settle()
    world.put(objects.source("team-a", "creds", {"password": PLANTED}, kind="example.com/other"))
    await world.settle(30)
    assert world.ready(*PROD) == ("False", "SourceRefused")
    world.put(objects.source("team-a", "creds", {"password": PLANTED}))
    await world.settle(30)
    assert world.ready(*PROD) == ("True", "Delivered")


# Deletion


@pytest.mark.parametrize("consent", ["never", "withdrawn"])
async def test_a_deployment_that_is_not_admitted_does_not_hold_up_a_deletion(world: Harness, consent: str) -> None:
    if consent == "never":
        world.cluster.delete(*WORKSPACE)
    await world.settle()
    if consent == "withdrawn":
        world.cluster.delete(*WORKSPACE)
        await world.settle()
    assert world.ready(*STAGING) == ("False", "NotAdmitted")
    began = world.clock()
    world.cluster.delete(*WAREHOUSE)
    await world.settle(2)
    assert world.cluster.get(*WAREHOUSE) is None, f"it still waits after {world.clock() - began:.0f} s"
    assert world.vault.content(ENTRY) is None


async def test_a_deployment_that_is_not_admitted_and_can_not_write_does_not_hold_up_a_deletion(world: Harness) -> None:
    """Anybody may list a workspace; who can't be given anything must not be able to keep its people from deleting."""
    world.cluster.delete(*WORKSPACE)
    world.put(objects.source("airflow", "staging-connections", {"mine": "x"}, labelled=False))
    await world.settle()
    assert world.ready(*STAGING) == ("False", "SecretNameTaken")
    world.cluster.delete(*WAREHOUSE)
    await world.settle(2)
    assert world.cluster.get(*WAREHOUSE) is None


async def test_a_deployment_that_lost_its_consent_and_its_new_name_does_not_hold_up_a_deletion(world: Harness) -> None:
    """Its older Secret was emptied with the consent; the new one can't be made, for as long as its people leave it so."""
    await world.settle()
    world.put(objects.source("airflow", "taken", {"mine": "x"}, labelled=False))
    world.put(objects.deployment("airflow", "staging", workspaces=["team-a"], secret_name="taken"))
    await world.settle()
    world.cluster.delete(*WORKSPACE)
    await world.settle(30)
    assert world.ready(*STAGING) == ("False", "SecretNameTaken")
    assert world.env("airflow", "staging-connections") == {}
    world.cluster.delete(*WAREHOUSE)
    await world.settle(2)
    assert world.cluster.get(*WAREHOUSE) is None


# Conditions of others


REPORTED: Sequence[tuple[str, str, str]] = (PROD, STAGING, WAREHOUSE, LINK, WORKSPACE)
SYNCED = {
    "type": "Synced",
    "status": "True",
    "reason": "Synced",
    "message": "by a GitOps tool",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
    "observedGeneration": 1,
}


def add_condition(world: Harness, where: tuple[str, str, str], *, first: bool) -> None:
    status = world.status(*where)
    ours = list(status["conditions"])
    world.cluster.set_status(*where, {**status, "conditions": [SYNCED, *ours] if first else [*ours, SYNCED]})


@pytest.mark.parametrize("first", [True, False], ids=["before ours", "after ours"])
async def test_conditions_of_other_managers_cause_no_status_write(world: Harness, first: bool) -> None:
    await world.settle()
    for where in REPORTED:
        add_condition(world, where, first=first)
    world.faults.reset()
    await world.settle(1200)
    await world.start().settle(30)
    assert world.faults.writes == []


async def test_conditions_of_other_managers_stay_when_ours_change(world: Harness) -> None:
    await world.settle()
    for where in REPORTED:
        add_condition(world, where, first=True)
    world.put(objects.source("team-a", "creds", {"password": BAD}))
    await world.settle(30)
    for where in (PROD, WAREHOUSE, LINK):
        assert world.ready(*where) == ("False", "SourceInvalid")
        assert SYNCED in world.status(*where)["conditions"]


async def test_a_condition_of_ours_that_somebody_changed_is_put_right(world: Harness) -> None:
    await world.settle()
    status = world.status(*PROD)
    lied = [{**c, "status": "False", "reason": "Lie"} for c in status["conditions"]]
    world.cluster.set_status(*PROD, {**status, "conditions": lied})
    await world.settle(30)
    assert world.ready(*PROD) == ("True", "Delivered")


# Events that can't be read


def unreadable(name: str = "broken") -> Raw:
    """A source Secret whose data is no base64, as the API server never gives it."""
    return objects.source("team-a", name) | {"data": {"password": PLANTED + "="}}


async def test_an_event_that_can_not_be_read_stops_nothing_and_names_the_object(
    world: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    await world.settle()
    world.feed.event("secrets", "ADDED", unreadable())
    assert "secrets team-a/broken can't be taken in" in caplog.text
    assert PLANTED not in caplog.text
    world.put(objects.source("team-a", "creds", {"password": "rotated"}))
    await world.settle()
    assert (world.env() or {})["WAREHOUSE"]["password"] == "rotated"


@pytest.mark.parametrize(
    ("plural", "raw"),
    [
        ("connections", {"metadata": {"namespace": "team-a", "name": "x", "uid": "u"}, "spec": ["no", "object"]}),
        ("connections", {"metadata": {"namespace": "team-a"}}),
        ("connectionlinks", {"metadata": {"namespace": "team-a", "name": None}}),
        ("workspaces", {"metadata": None}),
        ("airflowdeployments", {}),
        ("namespaces", {"metadata": {"name": "x", "labels": 7}}),
        ("secrets", {"metadata": {"namespace": "team-a", "name": "x", "labels": []}}),
    ],
    ids=["spec", "no name", "null name", "null metadata", "nothing", "labels", "label list"],
)
@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "DELETED"])
async def test_no_event_raises(world: Harness, plural: str, raw: Raw, kind: str) -> None:
    await world.settle()
    world.feed.event(plural, kind, raw)
    await world.settle(30)
    assert world.ready(*PROD) == ("True", "Delivered")


async def test_an_object_that_can_not_be_read_does_not_break_off_a_listing(
    world: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    """And what was known of it stays: that it can't be read now does not mean that it is gone."""
    await world.settle()
    before = world.env()
    creds = found(world, "Secret", "team-a", "creds")
    world.feed.begin("secrets", None)
    for raw in world.cluster.list("secrets"):
        same = raw["metadata"]["uid"] == creds["metadata"]["uid"]
        world.feed.listed("secrets", None, raw | {"data": {"password": "="}} if same else raw)
    with caplog.at_level(logging.ERROR):
        world.feed.listed("secrets", None, unreadable())
    world.feed.end("secrets", None)
    await world.settle(30)
    assert world.env() == before
    assert world.ready(*WAREHOUSE) == ("True", "Stored")
    assert "team-a/broken" in caplog.text


# A value that Vault refuses


def refuse(world: Harness, *names: str) -> set[str]:
    """Lets Vault refuse to take or give these entries of team-a, until they are taken out of the set."""
    refused = {f"{PREFIX}/team-a/connections/{name}" for name in names}
    put, read = world.vault.put, world.vault.read_version

    async def refusing_put(path: str, content: Any, cas: int) -> int:
        if path in refused:
            raise VaultRefused("Vault does not take this content")
        return await put(path, content, cas)

    async def refusing_read(path: str, version: int) -> Any:
        if path in refused:
            raise VaultRefused("Vault failed at read (InternalServerError)")
        return await read(path, version)

    world.vault.put, world.vault.read_version = refusing_put, refusing_read  # type: ignore[method-assign]
    return refused


async def test_a_value_that_vault_refuses_concerns_nobody_else_and_is_told(world: Harness) -> None:
    refused = refuse(world, "odd")
    world.put(
        objects.source("team-a", "odd", {"password": "odd"}),
        objects.connection("team-a", "odd", {"type": "x", "secretRef": {"name": "odd"}, "sharing": "LinkedToAll"}),
    )
    await world.settle(60)
    assert world.gate.up
    assert (world.env() or {}).keys() == {"WAREHOUSE"}
    assert world.ready("Connection", "team-a", "odd") == ("False", "VaultRefused")
    assert world.ready(*PROD) == ("False", "VaultRefused")
    world.put(objects.source("team-a", "creds", {"password": "rotated"}))
    await world.settle(1)
    assert (world.env() or {})["WAREHOUSE"]["password"] == "rotated"
    refused.clear()
    await world.settle(120)
    assert (world.env() or {}).keys() == {"WAREHOUSE", "ODD"}
    assert world.ready("Connection", "team-a", "odd") == ("True", "Stored")
    assert world.ready(*PROD) == ("True", "Delivered")


async def test_a_rotation_that_vault_refuses_keeps_what_was_delivered(world: Harness) -> None:
    await world.settle()
    refused = refuse(world, "warehouse")
    world.put(objects.source("team-a", "creds", {"password": "rotated"}))
    await world.settle(60)
    assert (world.env() or {})["WAREHOUSE"]["password"] == PLANTED
    assert world.ready(*WAREHOUSE) == ("False", "VaultRefused")
    assert world.ready(*PROD) == ("False", "VaultRefused")
    refused.clear()
    await world.settle(120)
    assert (world.env() or {})["WAREHOUSE"]["password"] == "rotated"
    assert world.ready(*PROD) == ("True", "Delivered")


async def test_a_read_that_vault_refuses_is_tried_again(world: Harness) -> None:
    """The source is gone, and a changed host needs the value from Vault, which fails at it for a while."""
    await world.settle()
    world.cluster.delete("Secret", "team-a", "creds")
    await world.settle()
    refused = refuse(world, "warehouse")
    spec = found(world, *WAREHOUSE)["spec"]
    world.put(objects.connection("team-a", "warehouse", {**spec, "host": "new-db"}))
    await world.settle(30)
    assert (world.env() or {})["WAREHOUSE"]["host"] == "db"
    assert world.ready(*PROD) == ("False", "VaultRefused")
    refused.clear()
    await world.settle(120)
    assert (world.env() or {})["WAREHOUSE"] == {"conn_type": "postgres", "host": "new-db", "password": PLANTED}
    assert world.ready(*PROD) == ("True", "Delivered")
