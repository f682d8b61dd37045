"""Which connections a deployment has: consent, links, one winner for each environment name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from jetbridge.api.common import LabelSelector
from jetbridge.core.material import Blocked, Material, NoMaterial
from jetbridge.core.resolve import DeploymentSlice, Resolution, WorkspaceSlice, admits, matches, resolve
from jetbridge.core.views import ConnectionView, LinkView, NamespaceView, WorkspaceView
from tests.fakes.objects import a_connection, a_deployment, a_link, a_namespace, a_workspace

TO_ALL = {"type": "postgres", "sharing": "LinkedToAll"}
YOUNGER = "2026-01-02T00:00:00Z"
YOUNGEST = "2026-01-03T00:00:00Z"


def home(
    namespace: str = "team-a",
    *objects: ConnectionView | LinkView,
    consent: WorkspaceView | None = None,
    observed: bool = True,
) -> WorkspaceSlice:
    connections = tuple(o for o in objects if isinstance(o, ConnectionView))
    links = tuple(o for o in objects if isinstance(o, LinkView))
    return WorkspaceSlice(namespace, observed, consent, connections, links)


def answer(
    *workspaces: WorkspaceSlice,
    namespace: NamespaceView | None = None,
    material: Mapping[str, Material] | None = None,
    here: str = "team-a",
) -> Resolution:
    ready: dict[str, Material] = {}
    for workspace in workspaces:
        ready |= {c.meta.uid: NoMaterial() for c in workspace.connections}
        ready |= {x.meta.uid: NoMaterial() for x in workspace.links}
    deployment = a_deployment(here, "prod", workspaces=[w.namespace for w in workspaces])
    where = namespace or a_namespace(here)
    return resolve(DeploymentSlice(deployment, where, workspaces, ready | dict(material or {})))


def has(resolution: Resolution) -> dict[str, str]:
    """Environment names, and by what: Connection via link."""
    return {e.env_name.removeprefix("AIRFLOW_CONN_"): f"{e.connection.meta} via {e.via}" for e in resolution.entries}


# Selectors

LABELS = {"team": "data", "tier": "prod", "empty": ""}


@pytest.mark.parametrize(
    ("selector", "holds"),
    [
        ({"matchLabels": {"team": "data"}}, True),
        ({"matchLabels": {"team": "data", "tier": "prod"}}, True),
        ({"matchLabels": {"team": "data", "tier": "dev"}}, False),
        ({"matchLabels": {"absent": "x"}}, False),
        ({"matchLabels": {"absent": ""}}, False),
        ({"matchLabels": {"empty": ""}}, True),
        ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["ops", "data"]}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["ops"]}]}, False),
        ({"matchExpressions": [{"key": "absent", "operator": "In", "values": ["x"]}]}, False),
        ({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["ops"]}]}, True),
        ({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["data"]}]}, False),
        ({"matchExpressions": [{"key": "absent", "operator": "NotIn", "values": ["x"]}]}, True),
        ({"matchExpressions": [{"key": "empty", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "absent", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "absent", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "empty", "operator": "DoesNotExist"}]}, False),
        (
            {"matchLabels": {"team": "data"}, "matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]},
            False,
        ),
        (
            {"matchLabels": {"team": "data"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]},
            True,
        ),
    ],
)
def test_selector(selector: Any, holds: bool) -> None:
    assert matches(LabelSelector.model_validate(selector), LABELS) is holds


def test_no_selector_selects_nothing() -> None:
    assert not matches(None, LABELS)


# Consent


@pytest.mark.parametrize(
    ("consent", "labels", "admitted"),
    [
        (None, {"team": "data"}, False),
        (a_workspace(admits="Same"), {"team": "data"}, False),
        (a_workspace(admits="All"), {}, True),
        (a_workspace(admits="All"), None, True),
        (a_workspace(admits="Selector", selector={"matchLabels": {"team": "data"}}), {"team": "data"}, True),
        (a_workspace(admits="Selector", selector={"matchLabels": {"team": "data"}}), {"team": "ops"}, False),
        (a_workspace(admits="Selector", selector={"matchLabels": {"team": "data"}}), None, False),
        (
            a_workspace(admits="Selector", selector={"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}),
            None,
            False,
        ),
        (a_workspace(admits="Everyone"), {"team": "data"}, False),
        (a_workspace(admits="All", deletionTimestamp="2026-02-01T00:00:00Z"), {}, False),
    ],
    ids=[
        "none",
        "Same",
        "All",
        "All, labels unknown",
        "selected",
        "not selected",
        "labels unknown",
        "absent",
        "bad",
        "gone",
    ],
)
def test_consent_of_another_namespace(consent: WorkspaceView | None, labels: Any, admitted: bool) -> None:
    assert admits(consent, "team-a", "airflow", labels) is admitted


@pytest.mark.parametrize("consent", [None, a_workspace(admits="Same"), a_workspace(admits="Everyone")])
def test_the_own_namespace_needs_no_consent(consent: WorkspaceView | None) -> None:
    assert admits(consent, "team-a", "team-a", None)


def test_not_admitted_gives_nothing_and_is_told() -> None:
    result = answer(home("team-a", a_connection(spec=TO_ALL)), here="airflow")
    assert not result.entries
    assert result.not_admitted == ("team-a",)
    assert not result.told
    assert not result.problems


def test_not_admitted_looks_the_same_whether_the_workspace_exists_or_refuses() -> None:
    refusing = answer(home("team-a", a_connection(spec=TO_ALL), consent=a_workspace(admits="Same")), here="airflow")
    absent = answer(home("team-a"), here="airflow")
    assert refusing == absent


def test_admitted_and_empty_is_fine() -> None:
    result = answer(home("team-a", consent=a_workspace()), here="airflow")
    assert result == Resolution((), (), (), (), ())


def test_an_unwatched_workspace_is_frozen_and_gives_nothing() -> None:
    result = answer(home("team-a", a_connection(spec=TO_ALL), observed=False))
    assert not result.entries
    assert (result.frozen, result.not_admitted) == (("team-a",), ())


# Links


def test_restricted_without_a_link_is_not_given() -> None:
    assert has(answer(home("team-a", a_connection()))) == {}


def test_a_link_gives_a_restricted_connection() -> None:
    assert has(answer(home("team-a", a_connection(), a_link()))) == {"WAREHOUSE": "team-a/warehouse via link to-prod"}


def test_linked_to_all_needs_no_link() -> None:
    assert has(answer(home("team-a", a_connection(spec=TO_ALL)))) == {"WAREHOUSE": "team-a/warehouse via LinkedToAll"}


@pytest.mark.parametrize("spec", [TO_ALL, {"type": "postgres"}], ids=["LinkedToAll", "Restricted"])
def test_switching_sharing_keeps_overrides(spec: dict[str, str]) -> None:
    connection = a_connection(spec=spec)
    (entry,) = answer(home("team-a", connection, a_link(overrides={"host": "h", "unset": ["login"]}))).entries
    assert [layer.origin for layer in entry.layers] == ["", "link to-prod"]
    assert entry.layers[1].unset == ("login",)
    assert entry.layers[1].spec.host == "h"


def test_the_oldest_link_applies_and_the_others_are_told_by_which() -> None:
    result = answer(
        home(
            "team-a",
            a_connection(),
            a_link(name="young", creationTimestamp=YOUNGER),
            a_link(name="old"),
            a_link(name="youngest", creationTimestamp=YOUNGEST),
        )
    )
    assert has(result) == {"WAREHOUSE": "team-a/warehouse via link old"}
    assert [(t.uid, t.reason) for t in result.told] == [
        ("connectionlink-team-a-young", "Superseded"),
        ("connectionlink-team-a-youngest", "Superseded"),
    ]
    assert all("old" in t.message for t in result.told)
    assert not result.problems


def test_the_name_decides_among_links_of_one_age() -> None:
    result = answer(home("team-a", a_connection(), a_link(name="b"), a_link(name="a")))
    assert has(result) == {"WAREHOUSE": "team-a/warehouse via link a"}


@pytest.mark.parametrize("what", ["link", "connection"])
def test_what_is_being_deleted_gives_nothing(what: str) -> None:
    gone = {"deletionTimestamp": "2026-02-01T00:00:00Z"}
    connection = a_connection(**(gone if what == "connection" else {}))
    assert has(answer(home("team-a", connection, a_link(**(gone if what == "link" else {}))))) == {}


def test_a_deleted_link_uncovers_the_next() -> None:
    old = a_link(name="old", deletionTimestamp="2026-02-01T00:00:00Z")
    result = answer(home("team-a", a_connection(), old, a_link(name="young", creationTimestamp=YOUNGER)))
    assert has(result) == {"WAREHOUSE": "team-a/warehouse via link young"}
    assert not result.told


def test_the_identity_is_that_of_connection_and_link() -> None:
    plain = answer(home("team-a", a_connection(spec=TO_ALL))).entries[0].identity
    linked = answer(home("team-a", a_connection(spec=TO_ALL), a_link())).entries[0].identity
    remade = answer(home("team-a", a_connection(spec=TO_ALL, uid="another"))).entries[0].identity
    assert len({plain, linked, remade}) == 3


# One winner for a name


def named(
    name: str, connection_id: str, *, to_all: bool = True, ns: str = "team-a", created: str = "2026-01-01"
) -> ConnectionView:
    spec = {"type": "x", "connectionId": connection_id} | ({"sharing": "LinkedToAll"} if to_all else {})
    return a_connection(ns, name, spec, creationTimestamp=f"{created}T00:00:00Z")


def test_shared_by_name_beats_linked_to_all() -> None:
    result = answer(
        home(
            "team-a",
            named("old", "db"),
            named("young", "db", to_all=False, created="2026-02-02"),
            a_link(of="young"),
        )
    )
    assert has(result) == {"DB": "team-a/young via link to-prod"}


def test_the_oldest_wins_among_equals() -> None:
    result = answer(home("team-a", named("b", "db", created="2026-02-02"), named("a", "db", created="2026-03-03")))
    assert has(result) == {"DB": "team-a/b via LinkedToAll"}


def test_ids_that_differ_in_case_share_a_name() -> None:
    result = answer(home("team-a", named("a", "DB"), named("b", "db", created="2026-02-02")))
    assert has(result) == {"DB": "team-a/a via LinkedToAll"}
    assert [t.uid for t in result.told] == ["connection-team-a-b"]


def test_a_loser_is_told_and_is_no_problem() -> None:
    result = answer(
        home("team-a", named("a", "db", to_all=False), named("b", "db", to_all=False, created="2026-02-02"),
             a_link(name="la", of="a"), a_link(name="lb", of="b"))
    )  # fmt: skip
    assert {(t.uid, t.reason) for t in result.told} == {
        ("connection-team-a-b", "NameTaken"),
        ("connectionlink-team-a-lb", "NameTaken"),
    }
    assert all("Connection a" in t.message for t in result.told)
    assert not result.problems


def test_the_order_of_the_list_decides_between_workspaces_before_anything_else() -> None:
    first = home("team-b", named("late", "db", ns="team-b", created="2026-09-09"), consent=a_workspace("team-b"))
    second = home("team-a", named("early", "db", to_all=False), a_link(of="early"))
    assert has(answer(first, second)) == {"DB": "team-b/late via LinkedToAll"}
    assert has(answer(second, first)) == {"DB": "team-a/early via link to-prod"}


def test_a_loser_to_another_workspace_is_not_told_of_whom() -> None:
    first = home("team-b", named("secretive", "db", ns="team-b"), consent=a_workspace("team-b"))
    result = answer(first, home("team-a", named("mine", "db")))
    (told,) = result.told
    assert told.uid == "connection-team-a-mine"
    assert "secretive" not in told.message
    assert "team-b" not in told.message


@pytest.mark.parametrize("connection_id", ["airflow_db", "AIRFLOW_DB", "a___b"])
def test_a_reserved_id_is_a_problem_and_not_given(connection_id: str) -> None:
    result = answer(home("team-a", named("x", connection_id), named("fine", "db")))
    assert has(result) == {"DB": "team-a/fine via LinkedToAll"}
    assert [p.connection for p in result.problems] == ["team-a/x"]


def test_a_reserved_default_id_is_a_problem() -> None:
    result = answer(home("team-a", a_connection(name="airflow-db", spec=TO_ALL)))
    assert not result.entries
    assert [p.connection_id for p in result.problems] == ["airflow_db"]


# What can't be rendered now


def test_blocked_material_blocks_the_entry_and_no_other() -> None:
    blocked = {"connection-team-a-a": Blocked("SourceMissing", "m")}
    result = answer(home("team-a", named("a", "one"), named("b", "two")), material=blocked)
    assert [(e.env_name, e.blocked is not None) for e in result.entries] == [
        ("AIRFLOW_CONN_ONE", True),
        ("AIRFLOW_CONN_TWO", False),
    ]


def test_blocked_material_of_a_link_blocks_the_entry() -> None:
    blocked = {"connectionlink-team-a-to-prod": Blocked("SourceMissing", "m")}
    (entry,) = answer(home("team-a", a_connection(), a_link()), material=blocked).entries
    assert entry.blocked is not None
    assert entry.blocked.reason == "SourceMissing"


def test_a_blocked_winner_does_not_give_way() -> None:
    blocked = {"connection-team-a-a": Blocked("SourceMissing", "m")}
    result = answer(home("team-a", named("a", "db"), named("b", "db", created="2026-02-02")), material=blocked)
    assert has(result) == {"DB": "team-a/a via LinkedToAll"}


@pytest.mark.parametrize("bad", ["connection", "link"])
def test_an_invalid_object_blocks_its_entry_and_says_which(bad: str) -> None:
    connection = a_connection(spec={"type": "x", "port": "x"} if bad == "connection" else None)
    link = a_link(overrides={"port": "x"} if bad == "link" else None)
    (entry,) = answer(home("team-a", connection, link)).entries
    assert entry.blocked is not None
    assert entry.blocked.reason == "InvalidSpec"
    assert ("ConnectionLink team-a/to-prod" in entry.blocked.message) is (bad == "link")


def test_the_first_fault_is_told() -> None:
    blocked: dict[str, Material] = {
        "connection-team-a-warehouse": Blocked("SourceMissing", "of the connection"),
        "connectionlink-team-a-to-prod": Blocked("SourceInvalid", "of the link"),
    }
    (entry,) = answer(home("team-a", a_connection(), a_link()), material=blocked).entries
    assert entry.blocked is not None
    assert entry.blocked.message == "of the connection"
