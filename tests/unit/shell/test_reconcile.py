"""The reconcilers over fakes: from applied resources to Secrets, entries and statuses, and back."""

from __future__ import annotations

from typing import Any

import pytest

from jetbridge.core.actions import SecretBody
from jetbridge.core.views import ENTRY_FINALIZER, MANIFEST_ANNOTATION
from jetbridge.shell.cluster import ApiUnavailable, Forbidden, Raw, Refused
from jetbridge.shell.vault import gate
from jetbridge.shell.vault.contract import CasMismatch
from tests.fakes import objects
from tests.unit.shell.harness import CLUSTER_UID, ENTRY, KEYS, PLANTED, Harness, basic

PROD = ("AirflowDeployment", "team-a", "prod")
STAGING = ("AirflowDeployment", "airflow", "staging")
WAREHOUSE = ("Connection", "team-a", "warehouse")
LINK = ("ConnectionLink", "team-a", "to-staging")
OWN_SECRET = ("Secret", "team-a", "prod-connections")


@pytest.fixture(params=[False, True], ids=["early echo", "late echo"])
def world(request: pytest.FixtureRequest) -> Harness:
    """The watch shows our own writes before their answers come, or after."""
    return basic(Harness(late_echo=request.param)).start()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_FIRST_PAUSE", 0.0)


def shown(world: Harness) -> str:
    """All that people can read: every object but sources and the data of rendered Secrets, events, messages."""
    readable = [{k: v for k, v in raw.items() if k != "data"} for raw in world.cluster.everything()]
    return repr((readable, world.recorded.events, world.cluster.events))


# Delivery


async def test_what_is_applied_is_delivered(world: Harness) -> None:
    await world.settle()
    assert world.env() == {"WAREHOUSE": {"conn_type": "postgres", "host": "db", "password": PLANTED}}
    assert world.env("airflow", "staging-connections") == {
        "WAREHOUSE": {"conn_type": "postgres", "host": "staging-db", "password": PLANTED}
    }


async def test_the_sourced_fields_are_in_vault_with_their_owner(world: Harness) -> None:
    await world.settle()
    assert world.vault.content(ENTRY) == {"password": PLANTED}
    namespace, connection = world.cluster.get("Namespace", "", "team-a"), world.cluster.get(*WAREHOUSE)
    assert namespace is not None
    assert connection is not None
    found = dict(world.vault.metadata(ENTRY))
    assert found.pop("refs") == world.status(*WAREHOUSE)["vault"]["refs"]
    assert found == {
        "manager": "jetbridge",
        "cluster": CLUSTER_UID,
        "namespace_uid": namespace["metadata"]["uid"],
        "object_uid": connection["metadata"]["uid"],
    }


async def test_everybody_is_told(world: Harness) -> None:
    await world.settle()
    ready = {"/".join(where): world.ready(*where) for where in (PROD, STAGING, WAREHOUSE, LINK)}
    assert ready == {
        "AirflowDeployment/team-a/prod": ("True", "Delivered"),
        "AirflowDeployment/airflow/staging": ("True", "Delivered"),
        "Connection/team-a/warehouse": ("True", "Stored"),
        "ConnectionLink/team-a/to-staging": ("True", "Delivered"),
    }
    assert world.status(*WAREHOUSE)["delivered"] == "2/2"
    assert world.status(*WAREHOUSE)["vault"]["version"] == 1
    assert world.status("Workspace", "team-a", "default")["deployments"] == 1


async def test_a_value_is_nowhere_but_in_vault_and_the_rendered_secret(world: Harness) -> None:
    await world.settle()
    world.put(objects.source("team-a", "creds", {"password": PLANTED.encode() + b"\xff"}))
    await world.settle()
    world.put(objects.source("team-a", "creds", {"port": PLANTED}))
    await world.settle()
    world.cluster.delete("Secret", "team-a", "creds")
    world.vault.edit(ENTRY, {"password": "edited"})
    await world.settle(1000)
    assert PLANTED not in shown(world)


async def test_the_finalizer_stands_before_the_entry(world: Harness) -> None:
    world.faults.reset()
    await world.settle()
    order = [w for w in world.faults.writes if "warehouse" in w and "status" not in w]
    assert order == [
        "finalizers Connection team-a/warehouse",
        f"vault metadata {ENTRY}",
        f"vault put {ENTRY}",
    ]


async def test_an_event_tells_of_each_turn_once(world: Harness) -> None:
    await world.settle(1000)
    turns = [(key, reason) for key, _, reason, _ in world.recorded.events]
    assert sorted(turns) == sorted(set(turns))
    assert ("AirflowDeployment team-a/prod", "Delivered") in turns


async def test_a_new_deployment_gets_what_is_for_all(world: Harness) -> None:
    await world.settle()
    world.put(objects.deployment("team-a", "late"))
    await world.settle()
    assert world.env("team-a", "late-connections") == world.env()
    assert world.status(*WAREHOUSE)["delivered"] == "3/3"


# Nothing is done for nothing


async def test_a_restart_with_nothing_changed_writes_nothing_and_reads_only_the_keys(world: Harness) -> None:
    await world.settle()
    world.start()
    world.faults.reset()
    world.vault.calls.clear()
    await world.settle()
    assert world.faults.writes == []
    assert world.vault.calls == [f"read_state {KEYS} with content"]
    assert world.recorded.events[len(set(world.recorded.events)) :] == [], "events are told again"


async def test_quiet_hours_write_nothing_and_read_only_metadata(world: Harness) -> None:
    await world.settle()
    world.faults.reset()
    world.vault.calls.clear()
    await world.settle(3600)
    assert world.faults.writes == []
    assert set(world.vault.calls) == {f"read_state {ENTRY}"}
    assert 4 <= len(world.vault.calls) <= 7, "every ten minutes, within a quarter"


async def test_a_touched_source_writes_nothing(world: Harness) -> None:
    await world.settle()
    world.faults.reset()
    world.put(objects.source("team-a", "creds", {"password": PLANTED}, labels={"touched": "yes"}))
    await world.settle()
    assert world.faults.writes == []


async def test_statuses_are_written_once_for_a_delivery(world: Harness) -> None:
    await world.settle()
    written = [w for w in world.faults.writes if w.startswith("status AirflowDeployment")]
    assert sorted(written) == ["status AirflowDeployment airflow/staging", "status AirflowDeployment team-a/prod"]


# Changes


async def test_a_rotated_source_arrives(world: Harness) -> None:
    await world.settle()
    world.put(objects.source("team-a", "creds", {"password": "rotated"}))
    await world.settle()
    assert world.env() == {"WAREHOUSE": {"conn_type": "postgres", "host": "db", "password": "rotated"}}
    assert world.status(*WAREHOUSE)["vault"]["version"] == 2
    assert world.vault.version(ENTRY) == 2


async def test_pending_is_never_shown_while_vault_is_there(world: Harness) -> None:
    await world.settle()
    world.statuses.clear()
    world.put(objects.source("team-a", "creds", {"password": "rotated"}))
    await world.settle(60)
    assert "Pending" not in repr(world.statuses)
    assert all(c["status"] == "True" for _, s in world.statuses for c in s["conditions"]), "a status flapped"


async def test_a_source_that_is_gone_stays_in_vault(world: Harness) -> None:
    await world.settle()
    before = world.env()
    world.cluster.delete("Secret", "team-a", "creds")
    await world.settle()
    assert world.env() == before
    assert world.ready(*WAREHOUSE) == ("True", "SourceGoneKept") or world.ready(*WAREHOUSE) == ("True", "Stored")


async def test_a_new_override_is_rendered_from_vault_when_the_source_is_gone(world: Harness) -> None:
    await world.settle()
    world.cluster.delete("Secret", "team-a", "creds")
    await world.settle()
    world.put(objects.link("team-a", "to-staging", to=("airflow", "staging"), overrides={"host": "other-db"}))
    await world.settle()
    assert world.env("airflow", "staging-connections") == {
        "WAREHOUSE": {"conn_type": "postgres", "host": "other-db", "password": PLANTED}
    }


async def test_changed_references_never_meet_an_old_value(world: Harness) -> None:
    """A new host with the password of the old Secret is never delivered."""
    await world.settle()
    world.put(objects.connection("team-a", "warehouse", {
        "type": "postgres", "host": "new-db", "secretRef": {"name": "new-creds"}, "sharing": "LinkedToAll"
    }))  # fmt: skip
    await world.settle()
    assert (world.env() or {})["WAREHOUSE"] == {"conn_type": "postgres", "host": "db", "password": PLANTED}
    assert world.ready(*PROD) == ("False", "SourceMissing")
    world.put(objects.source("team-a", "new-creds", {"password": "new"}))
    await world.settle()
    assert (world.env() or {})["WAREHOUSE"] == {"conn_type": "postgres", "host": "new-db", "password": "new"}


async def test_consent_withdrawn_takes_everything_out(world: Harness) -> None:
    await world.settle()
    world.cluster.delete("Workspace", "team-a", "default")
    await world.settle()
    assert world.env("airflow", "staging-connections") == {}
    assert world.ready(*STAGING) == ("False", "NotAdmitted")
    assert world.ready(*LINK) == ("False", "NotAdmitted")
    assert world.env() != {}, "the own namespace needs no consent"


async def test_labels_of_a_namespace_decide(world: Harness) -> None:
    world.put(objects.workspace("team-a", "Selector", {"matchLabels": {"team": "data"}}))
    await world.settle()
    assert world.env("airflow", "staging-connections") != {}
    world.put(objects.namespace("airflow", labels={"team": "ops"}))
    await world.settle()
    assert world.env("airflow", "staging-connections") == {}


async def test_a_changed_secret_name_withdraws_the_old_one(world: Harness) -> None:
    await world.settle()
    world.put(objects.deployment("team-a", "prod", secret_name="renamed"))
    await world.settle()
    assert world.env() is None
    assert (world.env("team-a", "renamed") or {}).keys() == {"WAREHOUSE"}


async def test_sources_that_are_taken_away_drop_the_entry(world: Harness) -> None:
    await world.settle()
    world.put(objects.connection("team-a", "warehouse", {"type": "postgres", "host": "db", "sharing": "LinkedToAll"}))
    await world.settle()
    assert world.vault.content(ENTRY) is None
    assert "vault" not in world.status(*WAREHOUSE)
    raw = world.cluster.get(*WAREHOUSE)
    assert raw is not None
    assert "finalizers" not in raw["metadata"]


# Deletion


async def test_a_deleted_connection_is_withdrawn_before_its_entry_is_deleted(world: Harness) -> None:
    await world.settle()
    world.faults.reset()
    world.cluster.delete(*WAREHOUSE)
    await world.settle()
    assert (world.env(), world.env("airflow", "staging-connections")) == ({}, {})
    assert world.cluster.get(*WAREHOUSE) is None
    assert world.vault.content(ENTRY) is None
    assert world.vault.version(ENTRY) == 1, "it is deleted in such a way that it can be restored"
    order = [w for w in world.faults.writes if "status" not in w]
    assert sorted(order[:2]) == [
        "replace secret airflow/staging-connections",
        "replace secret team-a/prod-connections",
    ]
    assert order[2:] == [f"vault delete {ENTRY}", "finalizers Connection team-a/warehouse"]


async def test_the_same_name_made_again_takes_its_entry_up(world: Harness) -> None:
    await world.settle()
    raw = world.cluster.get(*WAREHOUSE)
    assert raw is not None
    world.cluster.delete(*WAREHOUSE)
    await world.settle()
    world.put(objects.connection("team-a", "warehouse", raw["spec"]))
    await world.settle()
    assert world.vault.version(ENTRY) == 2
    assert (world.env() or {})["WAREHOUSE"]["password"] == PLANTED
    again = world.cluster.get(*WAREHOUSE)
    assert again is not None
    assert world.vault.metadata(ENTRY)["object_uid"] == again["metadata"]["uid"] != raw["metadata"]["uid"]


async def test_a_deleted_link_takes_its_overrides_out(world: Harness) -> None:
    await world.settle()
    world.cluster.delete(*LINK)
    await world.settle()
    assert (world.env("airflow", "staging-connections") or {})["WAREHOUSE"]["host"] == "db"


async def test_a_deleted_deployment_takes_its_secret_along(world: Harness) -> None:
    await world.settle()
    world.cluster.delete(*STAGING)
    await world.settle()
    assert world.env("airflow", "staging-connections") is None
    assert world.ready(*LINK) == ("False", "DeploymentNotFound")
    assert world.status(*WAREHOUSE)["delivered"] == "1/1"
    assert world.status("Workspace", "team-a", "default")["deployments"] == 0


@pytest.mark.parametrize("sealed", [False, True], ids=["Vault there", "Vault away"])
async def test_a_deployment_deleted_while_the_operator_was_down_takes_its_secret_along(
    world: Harness, sealed: bool
) -> None:
    await world.settle()
    world.cluster.watchers.clear()
    world.cluster.delete(*PROD)
    world.vault.sealed = sealed
    await world.start().settle(30)
    if sealed:
        await world.vault_is_back()
        await world.settle(30)
    assert world.env() is None


async def test_a_withdrawal_leaves_the_old_secret_though_the_new_name_is_taken(world: Harness) -> None:
    world.put(objects.connection("team-a", "plain", {"type": "http", "sharing": "LinkedToAll"}))
    await world.settle()
    world.put(objects.source("team-a", "taken", {"mine": "x"}, labelled=False))
    world.put(objects.deployment("team-a", "prod", secret_name="taken"))
    await world.settle(10)
    world.cluster.delete("Connection", "team-a", "plain")
    await world.settle(60)
    assert (world.env() or {}).keys() == {"WAREHOUSE"}
    assert world.cluster.secret_data("team-a", "taken") == {"mine": "x"}


async def test_a_renamed_secret_keeps_what_can_not_be_rendered_now(world: Harness) -> None:
    await world.settle()
    world.put(objects.source("team-a", "creds", {"password": PLANTED.encode() + b"\xff"}))
    await world.settle()
    world.put(objects.deployment("team-a", "prod", secret_name="renamed"))
    await world.settle(30)
    assert (world.env("team-a", "renamed") or {})["WAREHOUSE"]["password"] == PLANTED
    assert world.env() is None


@pytest.mark.parametrize("leaves", ["deleted", "lists it no more"])
async def test_who_counted_a_deployment_that_left_counts_anew(world: Harness, leaves: str) -> None:
    world.put(objects.connection("team-a", "linked", {"type": "http"}))
    world.put(objects.link("team-a", "also", to=("airflow", "staging"), of="linked"))
    world.put(objects.namespace("team-b"))
    await world.settle()
    before = (world.status(*WAREHOUSE)["delivered"], world.status("Connection", "team-a", "linked")["delivered"])
    if leaves == "deleted":
        world.cluster.delete(*STAGING)
        world.cluster.delete(*PROD)
    else:
        world.put(objects.deployment("airflow", "staging", workspaces=["airflow"]))
        world.put(objects.deployment("team-a", "prod", workspaces=["team-b"]))
    await world.settle()
    after = (world.status(*WAREHOUSE)["delivered"], world.status("Connection", "team-a", "linked")["delivered"])
    assert (before, after) == (("2/2", "1/1"), ("0/0", "0/0"))


async def test_a_deletion_yields_when_vault_stays_away(world: Harness) -> None:
    await world.settle()
    world.vault.sealed = True
    world.cluster.delete(*WAREHOUSE)
    await world.settle(30)
    assert (world.env(), world.env("airflow", "staging-connections")) == ({}, {}), "withdrawal needs no Vault"
    assert world.cluster.get(*WAREHOUSE) is not None, "it waits for a while"
    await world.settle(120)
    assert world.cluster.get(*WAREHOUSE) is None, "a namespace must not hang"
    left = [message for _, _, reason, message in world.recorded.events if reason == "EntryLeftInVault"]
    assert len(left) == 1
    assert f"secret/{ENTRY}" in left[0]


async def test_a_deletion_ends_when_vault_comes_back(world: Harness) -> None:
    await world.settle()
    world.vault.sealed = True
    world.cluster.delete(*WAREHOUSE)
    await world.settle(30)
    await world.vault_is_back()
    await world.settle(1)
    assert world.cluster.get(*WAREHOUSE) is None
    assert world.vault.content(ENTRY) is None


async def test_a_deletion_waits_for_a_secret_that_can_not_be_written(world: Harness) -> None:
    """The entry goes only after the withdrawal."""
    await world.settle()
    for number in range(1, 4):
        world.faults.fail_write(number, Forbidden("no"))
    world.faults.writes.clear()
    world.cluster.delete(*WAREHOUSE)
    await world.settle(60)
    order = world.faults.writes
    last = max(n for n, w in enumerate(order) if w.startswith("replace secret"))
    assert order.index(f"vault delete {ENTRY}") > last
    assert (world.env(), world.env("airflow", "staging-connections")) == ({}, {})


# What others did


async def test_drift_is_restored(world: Harness) -> None:
    await world.settle()
    before = world.cluster.secret_data("team-a", "prod-connections")
    raw = world.cluster.get(*OWN_SECRET)
    assert raw is not None
    raw["data"] = {"AIRFLOW_CONN_WAREHOUSE": "dGFtcGVyZWQ=", "STRANGE": "eA=="}
    world.put(raw)
    await world.settle()
    assert world.cluster.secret_data("team-a", "prod-connections") == before


@pytest.mark.parametrize("what", ["annotation", "labels", "secret"])
async def test_drift_beside_the_data_is_restored(world: Harness, what: str) -> None:
    await world.settle()
    before = world.cluster.get(*OWN_SECRET)
    assert before is not None
    raw = world.cluster.get(*OWN_SECRET)
    assert raw is not None
    if what == "annotation":
        raw["metadata"]["annotations"].pop(MANIFEST_ANNOTATION)
    if what == "labels":
        raw["metadata"]["labels"] = {}
    if what == "secret":
        world.cluster.delete(*OWN_SECRET)
    else:
        world.put(raw)
    await world.settle(30)
    now = world.cluster.get(*OWN_SECRET)
    assert now is not None
    assert now["metadata"]["labels"] == before["metadata"]["labels"]
    assert now["metadata"]["ownerReferences"] == before["metadata"]["ownerReferences"]
    assert now["data"] == before["data"]
    assert MANIFEST_ANNOTATION in now["metadata"]["annotations"]


async def test_a_secret_that_nobody_owns_any_more_is_left_alone_and_told(world: Harness) -> None:
    await world.settle()
    raw = world.cluster.get(*OWN_SECRET)
    assert raw is not None
    raw["metadata"]["ownerReferences"] = []
    world.put(raw)
    await world.settle(30)
    assert world.ready(*PROD) == ("False", "SecretNameTaken")


async def test_an_immutable_secret_is_made_anew(world: Harness) -> None:
    await world.settle()
    raw = world.cluster.get(*OWN_SECRET)
    assert raw is not None
    world.put({**raw, "immutable": True})
    world.put(objects.source("team-a", "creds", {"password": "rotated"}))
    await world.settle()
    assert (world.env() or {})["WAREHOUSE"]["password"] == "rotated"


async def test_a_foreign_secret_in_the_way_is_left_alone(world: Harness) -> None:
    world.put(objects.source("team-a", "prod-connections", {"mine": "x"}, labelled=False))
    await world.settle(30)
    assert world.cluster.secret_data("team-a", "prod-connections") == {"mine": "x"}
    assert world.ready(*PROD) == ("False", "SecretNameTaken")
    assert "prod-connections" not in repr(world.status(*WAREHOUSE))
    world.cluster.delete(*OWN_SECRET)
    await world.settle(120)
    assert world.ready(*PROD) == ("True", "Delivered"), "the name is free"


async def test_a_secret_with_our_label_that_nobody_owns_is_left_alone(world: Harness) -> None:
    world.put(objects.rendered("team-a", "copied", {"mine": "x"}, owner=None))
    await world.settle(30)
    world.put(objects.rendered("team-a", "copied", {"mine": "y"}, owner=None))
    await world.settle(30)
    assert world.cluster.secret_data("team-a", "copied") == {"mine": "y"}


async def test_a_foreign_entry_in_the_way_is_left_alone(world: Harness) -> None:
    world.vault.own(ENTRY, {"owner": "somebody"})
    world.vault.edit(ENTRY, {"password": "theirs"})
    await world.settle()
    assert world.vault.content(ENTRY) == {"password": "theirs"}
    assert world.vault.metadata(ENTRY) == {"owner": "somebody"}
    assert world.ready(*WAREHOUSE) == ("False", "ForeignEntry")
    world.vault.remove(ENTRY)
    await world.settle(1200)
    assert world.ready(*WAREHOUSE) == ("True", "Stored"), "it is looked at again by itself"


async def test_an_edited_entry_is_put_again(world: Harness) -> None:
    await world.settle()
    world.vault.edit(ENTRY, {"password": "edited"})
    await world.settle(1200)
    assert world.vault.content(ENTRY) == {"password": PLANTED}
    assert world.status(*WAREHOUSE)["vault"]["version"] == 3
    assert (world.env() or {})["WAREHOUSE"]["password"] == PLANTED


async def test_an_entry_edited_after_its_source_is_gone_changes_nothing_that_is_delivered(world: Harness) -> None:
    await world.settle()
    world.cluster.delete("Secret", "team-a", "creds")
    world.vault.edit(ENTRY, {"password": "edited"})
    await world.settle(1200)
    assert (world.env() or {})["WAREHOUSE"]["password"] == PLANTED
    assert world.ready(*WAREHOUSE) == ("False", "StoredValueChanged")


async def test_an_entry_lost_after_its_source_is_gone_changes_nothing_that_is_delivered(world: Harness) -> None:
    await world.settle()
    world.cluster.delete("Secret", "team-a", "creds")
    world.vault.remove(ENTRY)
    await world.settle(1200)
    assert (world.env() or {})["WAREHOUSE"]["password"] == PLANTED
    assert world.ready(*WAREHOUSE) == ("False", "SourceLost")
    assert ENTRY not in world.vault.paths(), "it is never filled from a rendered Secret"


async def test_somebody_writes_the_secret_between_our_look_and_our_write(world: Harness) -> None:
    """And Vault goes away just then: what was delivered is still what stays."""
    await world.settle()
    world.put(objects.connection("team-a", "plain", {"type": "http", "sharing": "LinkedToAll"}))
    original, once = world.cluster.replace_secret, iter([True])

    async def replace(body: SecretBody, uid: str, resource_version: str) -> Raw:
        if next(once, False):
            raw = world.cluster.get("Secret", body.namespace, body.name)
            assert raw is not None
            raw["data"]["STRANGE"] = "eA=="
            world.put(raw)
            world.vault.sealed = True
        return await original(body, uid, resource_version)

    world.cluster.replace_secret = replace  # type: ignore[method-assign]
    await world.settle(30)
    for where in (("team-a", "prod-connections"), ("airflow", "staging-connections")):
        assert (world.env(*where) or {}).keys() == {"WAREHOUSE", "PLAIN"}
    assert world.ready(*PROD) == ("True", "Delivered")


# Faults


async def test_vault_away_at_the_start_loses_nothing_and_withdraws(world: Harness) -> None:
    await world.settle()
    before = world.env()
    world.vault.sealed = True
    world.cluster.delete(*LINK)
    world.put(objects.connection("team-a", "plain", {"type": "http", "sharing": "LinkedToAll"}))
    world.put(objects.connection("team-a", "more", {"type": "http"}))
    world.start()
    await world.settle(30)
    assert world.env() == before
    assert world.env("airflow", "staging-connections") == {}, "the entry was that of the link"
    assert world.ready(*PROD) == ("False", "VaultUnavailable")
    await world.vault_is_back()
    await world.settle(30)
    assert (world.env() or {}).keys() == {"WAREHOUSE", "PLAIN"}
    assert world.ready(*PROD) == ("True", "Delivered")


async def test_vault_away_leaves_what_is_delivered_and_work_resumes(world: Harness) -> None:
    await world.settle()
    world.vault.sealed = True
    world.put(objects.source("team-a", "creds", {"password": "rotated"}))
    await world.settle(60)
    assert (world.env() or {})["WAREHOUSE"]["password"] == PLANTED
    assert world.ready(*PROD) == ("False", "VaultUnavailable")
    await world.vault_is_back()
    await world.settle(1)
    assert (world.env() or {})["WAREHOUSE"]["password"] == "rotated"
    assert world.ready(*PROD) == ("True", "Delivered")


async def test_vault_away_is_asked_by_nobody(world: Harness) -> None:
    await world.settle()
    world.vault.sealed = True
    world.put(objects.source("team-a", "creds", {"password": "rotated"}))
    await world.settle(1)
    world.vault.calls.clear()
    await world.settle(300)
    assert world.vault.calls == [], "only the gate may ask"


async def test_vault_refusing_is_told_and_tried_again(world: Harness) -> None:
    world.vault.denied = True
    world.context.memory.keyring = None
    await world.settle(30)
    world.vault.denied = False
    await world.settle(120)
    assert world.ready(*PROD) == ("True", "Delivered")


async def test_a_denied_entry_is_told_and_tried_again(world: Harness) -> None:
    await world.load_keys()
    world.vault.denied = True
    await world.settle(30)
    assert world.ready(*WAREHOUSE) == ("False", "VaultDenied")
    world.vault.denied = False
    await world.settle(120)
    assert world.ready(*WAREHOUSE) == ("True", "Stored")


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Forbidden("x"), "Forbidden"), (Refused("x"), "Refused"), (ApiUnavailable("x"), "ApiUnavailable")],
)
async def test_a_write_that_fails_is_told_and_tried_again(world: Harness, error: Exception, reason: str) -> None:
    await world.settle()
    world.put(objects.source("team-a", "creds", {"password": "rotated"}))
    fails = iter([True, True, False])
    original = world.cluster.replace_secret

    async def replace(body: SecretBody, uid: str, resource_version: str) -> Raw:
        if body.name == "prod-connections" and next(fails, False):
            raise error
        return await original(body, uid, resource_version)

    world.cluster.replace_secret = replace  # type: ignore[method-assign]
    world.statuses.clear()
    await world.settle(60)
    told = [s["conditions"][0]["reason"] for where, s in world.statuses if where == "AirflowDeployment team-a/prod"]
    assert told == [reason, "Delivered"]
    assert (world.env() or {})["WAREHOUSE"]["password"] == "rotated"


async def test_a_wrong_cas_is_looked_at_again(world: Harness) -> None:
    await world.settle()
    original, once = world.vault.put, iter([True])

    async def put(path: str, content: Any, cas: int) -> int:
        if next(once, False):
            world.vault.edit(path, {"password": "in between"})
        return await original(path, content, cas)

    world.vault.put = put  # type: ignore[method-assign]
    world.put(objects.source("team-a", "creds", {"password": "rotated"}))
    await world.settle(30)
    assert world.vault.content(ENTRY) == {"password": "rotated"}
    assert world.status(*WAREHOUSE)["vault"]["version"] == 3


# The first write


async def test_the_first_secret_appears_after_ten_seconds_at_latest(world: Harness) -> None:
    """A missing one blocks pods."""
    await world.load_keys()
    original = world.vault.read_state

    async def nothing(path: str, *, content: bool) -> Any:
        raise CasMismatch("busy")

    world.vault.read_state = nothing  # type: ignore[method-assign]
    await world.settle(9.5)
    assert world.env() is None, "it may still come with everything in it"
    await world.settle(1.0)
    assert world.env() == {}
    world.vault.read_state = original  # type: ignore[method-assign]
    await world.settle(60)
    assert (world.env() or {}).keys() == {"WAREHOUSE"}


async def test_the_first_secret_does_not_wait_for_what_will_not_come() -> None:
    world = Harness()
    world.put(
        objects.namespace("team-a"),
        objects.deployment("team-a", "prod"),
        objects.connection("team-a", "x", {"type": "x", "secretRef": {"name": "missing"}, "sharing": "LinkedToAll"}),
    )
    await world.start().settle(0.0)
    assert world.env() == {}


async def test_the_first_secret_of_a_deployment_is_written_once(world: Harness) -> None:
    await world.settle()
    assert world.faults.writes.count("create secret team-a/prod-connections") == 1
    assert not [w for w in world.faults.writes if w.startswith("replace secret")]


# Order of arrival


async def test_a_namespace_that_is_seen_late_still_owns_its_entries() -> None:
    """Its stream may be slower than that of the Connection: an entry must not be written in nobody's name."""
    world = Harness()
    world.start()
    world.put(objects.source("team-a", "creds", {"password": PLANTED}))
    world.put(
        objects.connection(
            "team-a", "warehouse", {"type": "x", "secretRef": {"name": "creds"}, "sharing": "LinkedToAll"}
        )
    )
    world.put(objects.deployment("team-a", "prod"))
    await world.settle(2)
    assert ENTRY not in world.vault.paths()
    world.put(objects.namespace("team-a"))
    await world.settle(30)
    namespace = world.cluster.get("Namespace", "", "team-a")
    assert namespace is not None
    assert world.vault.metadata(ENTRY)["namespace_uid"] == namespace["metadata"]["uid"]
    assert world.ready(*PROD) == ("True", "Delivered")


async def test_a_deployment_of_an_unwatched_workspace_keeps_what_it_has() -> None:
    world = basic(Harness())
    await world.start().settle()
    before = world.env("airflow", "staging-connections")
    world.watched = frozenset({"airflow"})
    world.start()
    await world.settle(30)
    assert world.env("airflow", "staging-connections") == before
    assert world.ready(*STAGING) == ("False", "WorkspaceNotWatched")


async def test_an_invalid_connection_keeps_what_was_delivered(world: Harness) -> None:
    await world.settle()
    before = world.env()
    world.put(objects.connection("team-a", "warehouse", {"type": "x", "port": "none", "sharing": "LinkedToAll"}))
    await world.settle(1200)
    assert world.env() == before
    assert world.ready(*WAREHOUSE) == ("False", "InvalidSpec")
    assert world.vault.content(ENTRY) == {"password": PLANTED}
    raw = world.cluster.get(*WAREHOUSE)
    assert raw is not None
    assert raw["metadata"]["finalizers"] == [ENTRY_FINALIZER]
