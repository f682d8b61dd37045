"""From what a deployment should have and what its Secret holds to actions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from jetbridge.core import budget
from jetbridge.core import manifest as manifests
from jetbridge.core import plan as planning
from jetbridge.core.actions import CreateSecret, DeleteSecret, RemakeSecret, ReplaceSecret
from jetbridge.core.airflow import MAX_ENTRY_BYTES, MAX_SECRET_BYTES
from jetbridge.core.digest import Keyring, Scope
from jetbridge.core.fields import Fields
from jetbridge.core.ingest import entry_digest
from jetbridge.core.manifest import Manifest
from jetbridge.core.material import Blocked, Material, NoMaterial, Ready
from jetbridge.core.plan import Draft, Observed, Plan, Unavailable, draft, plan
from jetbridge.core.resolve import DeploymentSlice, WorkspaceSlice, resolve
from jetbridge.core.secret_value import SecretValue
from jetbridge.core.views import ConnectionView, DeploymentView, LinkView, Record, RenderedView
from tests.fakes.objects import a_connection, a_deployment, a_link, a_namespace, a_rendered, a_workspace
from tests.strategies import as_rendered

PLANTED = "hunter2-planted"
RING = Keyring("k1", {"k1": SecretValue(b"1" * 32)})
ROTATED = Keyring("k2", {"k1": SecretValue(b"1" * 32), "k2": SecretValue(b"2" * 32)})
LOST = Keyring("k3", {"k3": SecretValue(b"3" * 32)})
SCOPE = Scope("namespace--team-a", "airflowdeployment-team-a-prod")
THEN, NOW = "2026-01-01T00:00:00Z", "2026-02-02T00:00:00Z"
NAME = "AIRFLOW_CONN_WAREHOUSE"


def to_all(name: str = "warehouse", **spec: Any) -> ConnectionView:
    return a_connection(name=name, spec={"type": "postgres", "sharing": "LinkedToAll", **spec})


def ready(view: ConnectionView | LinkView, fields: Fields, *, there: bool = True, version: int = 1) -> Ready:
    """Material as it is in Vault."""
    digest = entry_digest(RING, Scope("namespace--team-a", view.meta.uid), fields)
    return Ready(Record(f"secret/{view.meta}", version, digest, "refs"), fields if there else None)


@dataclass
class Case:
    """One deployment and what it should have; `run` plans, `held` is the Secret after it."""

    owners: list[ConnectionView | LinkView]
    material: dict[str, Material] = field(default_factory=dict)
    deployment: DeploymentView = field(default_factory=a_deployment)
    keyring: Keyring | None = RING
    observed: bool = True

    def draft(
        self, secret: RenderedView | None = None, records: Manifest | None = None, *others: RenderedView
    ) -> Draft:
        connections = tuple(o for o in self.owners if isinstance(o, ConnectionView))
        links = tuple(o for o in self.owners if isinstance(o, LinkView))
        ready: dict[str, Material] = {o.meta.uid: NoMaterial() for o in self.owners}
        workspace = WorkspaceSlice("team-a", self.observed, None, connections, links)
        seen = DeploymentSlice(self.deployment, a_namespace(), (workspace,), ready | self.material)
        if records is None:
            records = manifests.load(secret.manifest) if secret is not None else {}
        return draft(self.deployment, SCOPE, resolve(seen), Observed(secret, records, others), self.keyring)

    def run(
        self,
        secret: RenderedView | None = None,
        *others: RenderedView,
        records: Manifest | None = None,
        stored: Mapping[str, Fields | Unavailable] | None = None,
        now: str = NOW,
    ) -> Plan:
        work = self.draft(secret, records, *others)
        found: dict[str, Fields | Unavailable] = {}
        for layer in work.needs:
            assert layer.ready is not None
            if layer.ready.fields is not None:
                found[layer.owner.uid] = layer.ready.fields
        return plan(work, found | dict(stored or {}), self.keyring, now)

    def held(self) -> RenderedView:
        """The Secret as it is once this was delivered, at an earlier time."""
        (action,) = self.run(now=THEN).actions
        assert isinstance(action, CreateSecret)
        return as_rendered(action.body, "secret-uid")


def values(result: Plan) -> dict[str, Any]:
    """The data that the plan writes, parsed."""
    (action,) = result.actions
    assert not isinstance(action, DeleteSecret)
    return {k.removeprefix("AIRFLOW_CONN_"): json.loads(v.text()) for k, v in action.body.data.items()}


def problems(result: Plan) -> dict[str, str]:
    return {e.desired.env_name.removeprefix("AIRFLOW_CONN_"): e.problem.reason for e in result.entries if e.problem}


SOURCED = to_all(secretRef={"name": "creds"}, host="h")
DELIVERED = Case([SOURCED], {SOURCED.meta.uid: ready(SOURCED, {"password": PLANTED})})


# Each action


def test_a_first_secret_is_created_also_when_it_is_empty() -> None:
    (action,) = Case([]).run().actions
    assert isinstance(action, CreateSecret)
    assert action.body.data == {}
    assert (action.body.namespace, action.body.name, action.body.owner_name) == ("team-a", "prod-connections", "prod")
    assert action.body.owner_uid == "airflowdeployment-team-a-prod"


def test_what_changed_is_replaced_under_the_version_that_was_seen() -> None:
    held = Case([to_all(host="a")]).held()
    result = Case([to_all(host="b")]).run(held)
    (action,) = result.actions
    assert isinstance(action, ReplaceSecret)
    assert (action.uid, action.resource_version) == ("secret-uid", held.meta.resource_version)
    assert values(result) == {"WAREHOUSE": {"conn_type": "postgres", "host": "b"}}


@pytest.mark.parametrize(
    "case",
    [Case([]), Case([to_all()]), DELIVERED, Case([to_all("a"), to_all("b")])],
    ids=["none", "plain", "sourced", "two"],
)
def test_what_is_in_place_plans_nothing_and_reads_nothing(case: Case) -> None:
    held = case.held()
    assert case.draft(held).needs == ()
    result = case.run(held)
    assert result.actions == ()
    assert all(e.current for e in result.entries)


def test_an_immutable_secret_is_made_anew_when_it_must_change() -> None:
    held = replace(Case([to_all(host="a")]).held(), immutable=True)
    (action,) = Case([to_all(host="b")]).run(held).actions
    assert isinstance(action, RemakeSecret)
    assert action.uid == "secret-uid"


def test_an_immutable_secret_that_is_right_stays() -> None:
    case = Case([to_all()])
    assert case.run(replace(case.held(), immutable=True)).actions == ()


def test_a_secret_of_another_type_is_made_anew() -> None:
    case = Case([to_all()])
    (action,) = case.run(replace(case.held(), type="kubernetes.io/tls")).actions
    assert isinstance(action, RemakeSecret)


def test_a_secret_under_an_old_name_is_deleted_by_uid_once_the_new_one_is_written() -> None:
    old = a_rendered(name="old-name", uid="old-uid")
    create, delete = Case([to_all()]).run(None, old).actions
    assert isinstance(create, CreateSecret)
    assert delete == DeleteSecret("team-a", "old-name", "old-uid")


# Carrying over


def test_a_carried_entry_keeps_its_bytes_and_time_while_another_changes() -> None:
    held = Case([to_all("a"), to_all("b", host="old")]).held()
    result = Case([to_all("a"), to_all("b", host="new")]).run(held)
    (action,) = result.actions
    assert isinstance(action, ReplaceSecret)
    assert action.body.data["AIRFLOW_CONN_A"] == held.data["AIRFLOW_CONN_A"]
    since = {n.removeprefix("AIRFLOW_CONN_"): r.since for n, r in result.records.items()}
    assert since == {"A": THEN, "B": NOW}


def test_only_what_changed_is_read() -> None:
    one, two = to_all("a", secretRef={"name": "s"}), to_all("b", secretRef={"name": "s"})
    before = Case([one, two], {o.meta.uid: ready(o, {"password": "1"}) for o in (one, two)})
    now = Case([one, two], {one.meta.uid: ready(one, {"password": "1"}), two.meta.uid: ready(two, {"password": "2"})})
    assert [n.owner.name for n in now.draft(before.held()).needs] == ["b"]


def test_a_rotated_value_is_delivered() -> None:
    now = Case([SOURCED], {SOURCED.meta.uid: ready(SOURCED, {"password": "new"}, version=2)})
    assert values(now.run(DELIVERED.held()))["WAREHOUSE"]["password"] == "new"


def test_another_version_of_the_same_content_is_nothing_new() -> None:
    now = Case([SOURCED], {SOURCED.meta.uid: ready(SOURCED, {"password": PLANTED}, version=7)})
    held = DELIVERED.held()
    assert now.draft(held).needs == ()
    assert now.run(held).actions == ()


def test_a_recipe_that_changed_and_gives_the_same_value_is_not_written() -> None:
    """Others restart workloads on any write of a Secret."""
    held = Case([to_all(extra={"a": 1})]).held()
    link = a_link(overrides={"extra": {"a": 1}})
    moved = Case([to_all(extra={"a": 1}), link])
    assert moved.run(held).actions != (), "the entry is that of a link now, and says so"
    linked = moved.held()
    same = Case([to_all(extra={}), link])
    result = same.run(linked)
    assert result.actions == ()
    assert result.records[NAME].recipe != manifests.load(linked.manifest)[NAME].recipe
    assert result.records[NAME].since == THEN


def test_an_amended_recipe_is_carried_without_a_read() -> None:
    rotated = replace(DELIVERED, keyring=ROTATED)
    held = DELIVERED.held()
    first = rotated.run(held)
    assert first.actions == (), "a rotated key writes nothing"
    assert rotated.draft(held, first.records).needs == ()


def test_a_connection_made_anew_is_another_one() -> None:
    held = Case([to_all()]).held()
    result = Case([a_connection(spec={"type": "postgres", "sharing": "LinkedToAll"}, uid="anew")]).run(held)
    (action,) = result.actions
    assert isinstance(action, ReplaceSecret)
    assert result.records[NAME].since == NOW


# Last good


BLOCKED = {SOURCED.meta.uid: Blocked("SourceInvalid", "m")}


def test_last_good_stays_whole_while_material_is_blocked() -> None:
    result = Case([to_all(secretRef={"name": "creds"}, host="new")], {SOURCED.meta.uid: BLOCKED[SOURCED.meta.uid]}).run(
        DELIVERED.held()
    )
    assert result.actions == ()
    (entry,) = result.entries
    assert (entry.current, problems(result)) == (False, {"WAREHOUSE": "SourceInvalid"})
    assert entry.record is not None
    assert entry.record.since == THEN


def test_blocked_and_never_delivered_is_not_there() -> None:
    result = Case([SOURCED], {**BLOCKED}).run()
    assert values(result) == {}
    assert problems(result) == {"WAREHOUSE": "SourceInvalid"}


def test_last_good_of_another_link_does_not_stay() -> None:
    linked = Case([SOURCED, a_link()], DELIVERED.material).held()
    assert values(Case([SOURCED, a_link(uid="anew")], {**BLOCKED}).run(linked)) == {}


def test_last_good_stays_while_vault_can_not_be_read() -> None:
    now = Case([SOURCED], {SOURCED.meta.uid: ready(SOURCED, {"password": "new"}, there=False)})
    result = now.run(DELIVERED.held(), stored={SOURCED.meta.uid: Unavailable("VaultUnavailable", "away")})
    assert result.actions == ()
    assert problems(result) == {"WAREHOUSE": "VaultUnavailable"}


def test_a_failed_entry_does_not_hold_up_another() -> None:
    plain = to_all("plain", host="new")
    held = Case([SOURCED, to_all("plain", host="old")], DELIVERED.material).held()
    result = values(Case([SOURCED, plain], {**BLOCKED}).run(held))
    assert result["PLAIN"]["host"] == "new"
    assert result["WAREHOUSE"]["password"] == PLANTED


def test_an_unknown_key_keeps_what_can_not_be_rendered_now() -> None:
    """The keys were lost: what is delivered can't be checked, and is not thrown away for it."""
    result = Case([SOURCED], {**BLOCKED}, keyring=LOST).run(DELIVERED.held())
    assert result.actions == ()
    assert problems(result) == {"WAREHOUSE": "SourceInvalid"}


def test_an_unknown_key_renders_what_can_be_rendered_and_writes_nothing() -> None:
    held = DELIVERED.held()
    case = replace(DELIVERED, keyring=LOST)
    assert [n.owner.name for n in case.draft(held).needs] == ["warehouse"]
    assert case.run(held).actions == ()


# Withdrawal


@pytest.mark.parametrize("keyring", [RING, None], ids=["keys", "no keys"])
def test_withdrawal_needs_no_keys(keyring: Keyring | None) -> None:
    held = Case([to_all("stays"), SOURCED], DELIVERED.material).held()
    result = Case([to_all("stays")], keyring=keyring).run(held)
    assert values(result).keys() == {"STAYS"}


def test_without_keys_nothing_new_is_rendered() -> None:
    result = Case([to_all("new")], keyring=None).run()
    assert values(result) == {}
    assert problems(result) == {"NEW": "VaultUnavailable"}


def test_what_a_frozen_workspace_gave_stays() -> None:
    held = DELIVERED.held()
    result = replace(DELIVERED, observed=False).run(held)
    assert result.actions == ()
    assert result.kept == (NAME,)


ELSEWHERE = a_connection("team-b", "warehouse", {"type": "http", "sharing": "LinkedToAll"})


@pytest.mark.parametrize(("lists", "winner"), [(("team-a", "team-b"), "postgres"), (("team-b", "team-a"), "http")])
def test_a_frozen_workspace_keeps_its_place_among_others(lists: tuple[str, str], winner: str) -> None:
    """What it gave is beaten only by a workspace that the deployment lists before it."""
    held = DELIVERED.held()
    deployment = a_deployment(workspaces=lists)
    frozen = WorkspaceSlice("team-a", False, None, (SOURCED,), ())
    seen = WorkspaceSlice("team-b", True, a_workspace("team-b"), (ELSEWHERE,), ())
    slices = tuple({"team-a": frozen, "team-b": seen}[home] for home in lists)
    material: dict[str, Material] = {ELSEWHERE.meta.uid: NoMaterial(), **DELIVERED.material}
    resolution = resolve(DeploymentSlice(deployment, a_namespace(), slices, material))
    work = draft(deployment, SCOPE, resolution, Observed(held, manifests.load(held.manifest)), RING)
    result = plan(work, {}, RING, NOW)
    data = held.data
    if result.actions:
        (action,) = result.actions
        assert isinstance(action, ReplaceSecret)
        data = {**action.body.data}
    assert json.loads(data[NAME].text())["conn_type"] == winner
    assert list(data) == [NAME]


# Drift


def with_data(secret: RenderedView, **data: str | None) -> RenderedView:
    new = dict(secret.data)
    for key, value in data.items():
        if value is None:
            new.pop(key)
        else:
            new[key] = SecretValue.of(value)
    return replace(secret, data=new)


def test_tampered_data_is_rendered_anew() -> None:
    held = with_data(DELIVERED.held(), **{NAME: "tampered"})
    assert values(DELIVERED.run(held))["WAREHOUSE"]["password"] == PLANTED


def test_tampered_data_is_no_last_good() -> None:
    held = with_data(DELIVERED.held(), **{NAME: "tampered"})
    assert values(Case([SOURCED], {**BLOCKED}).run(held)) == {}


def test_swapped_values_are_tampered_data() -> None:
    case = Case([to_all("a", host="a"), to_all("b", host="b")])
    held = case.held()
    swapped = replace(
        held, data={"AIRFLOW_CONN_A": held.data["AIRFLOW_CONN_B"], "AIRFLOW_CONN_B": held.data["AIRFLOW_CONN_A"]}
    )
    result = values(case.run(swapped))
    assert (result["A"]["host"], result["B"]["host"]) == ("a", "b")


@pytest.mark.parametrize("key", ["AIRFLOW_CONN_STRANGE", "OTHER"])
def test_a_key_that_somebody_added_is_removed(key: str) -> None:
    result = DELIVERED.run(with_data(DELIVERED.held(), **{key: "x"}))
    assert values(result).keys() == {"WAREHOUSE"}


def test_a_key_that_somebody_removed_comes_back() -> None:
    assert values(DELIVERED.run(with_data(DELIVERED.held(), **{NAME: None}))).keys() == {"WAREHOUSE"}


@pytest.mark.parametrize(
    "drift",
    [
        {"manifest": None},
        {"manifest": "{}"},
        {"labels": {"jetbridge.dev/rendered": "true"}},
        {"labels": {"jetbridge.dev/rendered": "true", "jetbridge.dev/source": "true"}},
        {"owner_uid": "another"},
    ],
    ids=lambda drift: next(iter(drift)),
)
def test_drift_of_what_is_beside_the_data_is_restored(drift: dict[str, Any]) -> None:
    (action,) = DELIVERED.run(replace(DELIVERED.held(), **drift)).actions
    assert isinstance(action, ReplaceSecret)


def test_labels_of_others_are_no_drift() -> None:
    held = DELIVERED.held()
    assert DELIVERED.run(replace(held, labels={**held.labels, "argocd": "x"})).actions == ()


# Rendering


def test_layers_are_merged_from_the_outside_in() -> None:
    link = a_link(overrides={"host": "inner", "unset": ["login"], "secretRef": {"name": "own"}, "extra": {"b": 2}})
    connection = to_all(host="outer", login="l", extra={"a": 1}, secretRef={"name": "creds"})
    case = Case(
        [connection, link],
        {
            connection.meta.uid: ready(connection, {"password": "outer", "schema": "s"}),
            link.meta.uid: ready(link, {"password": "inner"}),
        },
    )
    assert values(case.run()) == {
        "WAREHOUSE": {
            "conn_type": "postgres",
            "host": "inner",
            "password": "inner",
            "schema": "s",
            "extra": {"a": 1, "b": 2},
        }
    }


def test_the_uri_format() -> None:
    case = Case([to_all(host="h", port=5432)], deployment=a_deployment(style="URI"))
    (action,) = case.run().actions
    assert isinstance(action, CreateSecret)
    assert action.body.data[NAME].text() == "postgres://h:5432"


def test_a_changed_format_renders_anew() -> None:
    held = DELIVERED.held()
    now = replace(DELIVERED, deployment=a_deployment(style="URI"))
    (action,) = now.run(held).actions
    assert isinstance(action, ReplaceSecret)
    assert action.body.data[NAME].text().startswith("postgres://")


def test_what_no_format_can_carry_is_a_problem_without_its_value() -> None:
    connection = to_all(secretRef={"name": "creds"})
    fields: Fields = {"password": PLANTED, "extra.x": "\ud800" + PLANTED}
    result = Case([connection], {connection.meta.uid: ready(connection, fields)}).run()
    (entry,) = result.entries
    assert entry.problem is not None
    assert entry.problem.reason == "NotRepresentable"
    assert PLANTED not in entry.problem.message


def test_a_connection_without_a_type_is_a_problem() -> None:
    connection = a_connection(spec={"sharing": "LinkedToAll", "secretRef": {"name": "creds"}})
    result = Case([connection], {connection.meta.uid: ready(connection, {"password": "x"})}).run()
    assert problems(result) == {"WAREHOUSE": "NotRepresentable"}


# Sizes


def big(name: str, kib: int) -> tuple[ConnectionView, dict[str, Material]]:
    connection = to_all(name, secretRef={"name": "creds"})
    return connection, {connection.meta.uid: ready(connection, {"password": "x" * (kib * 1024)})}


def bigs(**sizes: int) -> Case:
    made = [big(name, kib) for name, kib in sizes.items()]
    return Case([c for c, _ in made], {uid: m for _, found in made for uid, m in found.items()})


def test_an_entry_that_no_process_could_start_with_is_refused() -> None:
    connection = to_all(secretRef={"name": "creds"})
    most = MAX_ENTRY_BYTES - len(NAME) - len('={"conn_type":"postgres","password":""}')
    fits = Case([connection], {connection.meta.uid: ready(connection, {"password": "x" * most})})
    over = Case([connection], {connection.meta.uid: ready(connection, {"password": "x" * (most + 1)})})
    assert problems(fits.run()) == {}
    assert problems(over.run()) == {"WAREHOUSE": "NotRepresentable"}


def test_what_does_not_fit_into_one_secret_is_refused_and_the_rest_is_there() -> None:
    result = bigs(**{f"c{n}": 120 for n in range(10)}).run()
    assert values(result).keys() == {f"C{n}" for n in range(8)}
    assert problems(result) == {"C8": "TooLarge", "C9": "TooLarge"}


def test_something_new_never_pushes_out_what_was_delivered() -> None:
    delivered = bigs(**{f"m{n}": 120 for n in range(8)})
    more = bigs(**{f"m{n}": 120 for n in range(8)}, a=120)
    result = more.run(delivered.held())
    assert result.actions == ()
    assert problems(result) == {"A": "TooLarge"}


def test_what_grows_never_pushes_out_what_was_delivered() -> None:
    delivered = bigs(**{f"c{n}": 112 for n in range(9)})
    held = delivered.held()
    assert len(held.data) == 9
    grown = bigs(**{f"c{n}": 126 for n in range(8)}, c8=112)
    result = grown.run(held)
    (action,) = result.actions
    assert isinstance(action, ReplaceSecret)
    assert len(action.body.data) == 9, f"delivered connections were pushed out: {problems(result)}"
    assert sum(len(v) for v in action.body.data.values()) <= MAX_SECRET_BYTES
    assert set(problems(result).values()) == {"TooLarge"}
    again = grown.run(as_rendered(action.body, "secret-uid"))
    assert again.actions == (), "it does not settle"


def test_what_shrinks_makes_room() -> None:
    full = bigs(**{f"c{n}": 112 for n in range(9)})
    now = bigs(**{f"c{n}": 112 for n in range(1, 9)}, c0=1, new=100)
    assert problems(now.run(full.held())) == {}


def test_a_secret_that_is_too_large_already_can_shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    full = bigs(**{f"c{n}": 112 for n in range(9)}).held()
    monkeypatch.setattr(budget, "MAX_SECRET_BYTES", 500 * 1024)
    result = bigs(**{f"c{n}": 10 for n in range(9)}).run(full)
    assert problems(result) == {}


def test_more_connections_than_a_secret_can_account_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "MAX_BYTES", 1000)
    result = Case([to_all(f"c{n}") for n in range(20)]).run()
    assert "TooLarge" in problems(result).values()
    (action,) = result.actions
    assert isinstance(action, CreateSecret)
    assert len(action.body.manifest) <= 1000
    assert manifests.load(action.body.manifest).keys() == action.body.data.keys()


# Nothing is shown


def test_plans_and_drafts_do_not_show_values() -> None:
    held = DELIVERED.held()
    now = Case([SOURCED], {SOURCED.meta.uid: ready(SOURCED, {"password": f"{PLANTED}2"})})
    assert PLANTED not in repr(now.draft(held))
    assert PLANTED not in repr(now.run(held))
    assert PLANTED not in repr(
        planning.merged(now.draft(held).entries[0].desired, {SOURCED.meta.uid: {"password": PLANTED}})
    )


def test_origins_name_the_layer_and_the_source() -> None:
    link = a_link(overrides={"host": "inner", "secretRef": {"name": "own"}})
    connection = to_all(login="l", secretRef={"name": "creds"})
    fields: dict[str, Fields] = {connection.meta.uid: {"password": "x"}, link.meta.uid: {"schema": "s"}}
    case = Case([connection, link], {o.meta.uid: ready(o, fields[o.meta.uid]) for o in (connection, link)})
    merged = planning.merged(case.draft().entries[0].desired, fields)
    assert {n: (v.origin, v.sourced) for n, v in merged.items()} == {
        "type": ("Connection", False),
        "login": ("Connection", False),
        "password": ("Secret creds", True),
        "host": ("link to-prod", False),
        "schema": ("link to-prod: Secret own", True),
    }
