"""A workspace that is not watched: what it gave stays, in the place that the deployment's list gives it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from jetbridge.core import manifest as manifests
from jetbridge.core.actions import CreateSecret, DeleteSecret
from jetbridge.core.digest import Keyring
from jetbridge.core.material import Material, NoMaterial
from jetbridge.core.plan import Observed, Plan, draft, plan
from jetbridge.core.resolve import DeploymentSlice, WorkspaceSlice, resolve
from jetbridge.core.views import ConnectionView, RenderedView
from tests.fakes.objects import a_connection, a_deployment, a_namespace, a_workspace
from tests.strategies import as_rendered
from tests.unit.core.test_plan import NAME, NOW, RING, SCOPE, THEN, problems


def shared(workspace: str, name: str = "warehouse", **spec: Any) -> ConnectionView:
    return a_connection(workspace, name, {"type": "postgres", "host": workspace, "sharing": "LinkedToAll", **spec})


@dataclass
class Listed:
    """A deployment that lists workspaces in this order, some of which are not watched."""

    workspaces: tuple[str, ...]
    gives: tuple[ConnectionView, ...]
    unwatched: frozenset[str] = field(default=frozenset())
    keyring: Keyring | None = RING

    def run(self, held: RenderedView | None = None, now: str = NOW) -> Plan:
        deployment = a_deployment(workspaces=self.workspaces)
        slices = tuple(
            WorkspaceSlice(
                home,
                home not in self.unwatched,
                a_workspace(home),
                tuple(c for c in self.gives if c.meta.namespace == home),
                (),
            )
            for home in self.workspaces
        )
        material: dict[str, Material] = {c.meta.uid: NoMaterial() for c in self.gives}
        resolution = resolve(DeploymentSlice(deployment, a_namespace(), slices, material))
        records = manifests.load(held.manifest) if held is not None else {}
        work = draft(deployment, SCOPE, resolution, Observed(held, records), self.keyring)
        return plan(work, {}, self.keyring, now)

    def held(self) -> RenderedView:
        """The Secret once this was delivered, at an earlier time."""
        (action,) = self.run(now=THEN).actions
        assert isinstance(action, CreateSecret)
        return as_rendered(action.body, "secret-uid")

    def without(self, *workspaces: str) -> Listed:
        """The same, with workspaces that are watched no more."""
        return replace(self, unwatched=frozenset(workspaces))


def hosts(result: Plan, held: RenderedView) -> dict[str, str]:
    """The host of each connection in the Secret after the plan."""
    data = held.data
    for action in result.actions:
        assert not isinstance(action, DeleteSecret)
        data = action.body.data
    return {n.removeprefix("AIRFLOW_CONN_"): json.loads(v.text())["host"] for n, v in data.items()}


FIRST, SECOND = shared("first"), shared("second")
ONE = Listed(("first", "second"), (FIRST,))
TWO = replace(ONE, gives=(FIRST, SECOND))


def test_a_workspace_listed_earlier_keeps_its_entry() -> None:
    result = TWO.without("first").run(TWO.held())
    assert result.actions == ()
    assert result.kept == (NAME,)


def test_a_workspace_listed_earlier_keeps_its_entry_from_a_newcomer() -> None:
    """The other one made its Connection after the first workspace was watched no more."""
    held = ONE.held()
    result = TWO.without("first").run(held)
    assert result.actions == ()
    assert hosts(result, held) == {"WAREHOUSE": "first"}


def test_whoever_loses_to_a_workspace_that_is_not_watched_is_told() -> None:
    result = TWO.without("first").run(TWO.held())
    (entry,) = result.entries
    assert entry.desired.connection is SECOND
    assert (entry.current, entry.record) == (False, None)
    assert problems(result) == {"WAREHOUSE": "WorkspaceNotWatched"}
    assert entry.problem is not None
    assert "first" in entry.problem.message


def test_a_workspace_listed_later_gives_way() -> None:
    held = replace(ONE, gives=(SECOND,)).held()
    result = TWO.without("second").run(held)
    assert hosts(result, held) == {"WAREHOUSE": "first"}
    assert result.kept == ()
    assert problems(result) == {}
    assert result.records[NAME].workspace == "first"


def test_what_gave_way_does_not_come_back_by_itself() -> None:
    """Nothing of it is left; it comes back when its workspace is watched again."""
    held = replace(ONE, gives=(SECOND,)).held()
    (action,) = TWO.without("second").run(held).actions
    assert not isinstance(action, DeleteSecret)
    after = as_rendered(action.body, "secret-uid")
    gone = replace(ONE, gives=(SECOND,)).without("second").run(after)
    assert hosts(gone, after) == {}


def test_other_entries_of_both_stay() -> None:
    mine, theirs = shared("first", "mine"), shared("second", "theirs")
    all_of_them = Listed(("first", "second"), (FIRST, mine, SECOND, theirs))
    held = all_of_them.held()
    expected = {"WAREHOUSE": "first", "MINE": "first", "THEIRS": "second"}
    for unwatched in (("first",), ("second",), ("first", "second")):
        result = all_of_them.without(*unwatched).run(held)
        assert hosts(result, held) == expected, unwatched
        assert result.actions == (), unwatched


def test_between_two_that_are_not_watched_nothing_changes() -> None:
    held = TWO.held()
    result = TWO.without("first", "second").run(held)
    assert (result.actions, result.kept) == ((), (NAME,))


def test_when_it_is_watched_again_the_list_decides_as_before() -> None:
    held = TWO.held()
    assert TWO.run(held).actions == ()
    withdrawn = replace(TWO, gives=(SECOND,)).run(held)
    assert hosts(withdrawn, held) == {"WAREHOUSE": "second"}


def test_a_workspace_that_is_listed_no_more_keeps_nothing() -> None:
    held = ONE.held()
    result = Listed(("second",), (SECOND,), frozenset({"first"})).run(held)
    assert hosts(result, held) == {"WAREHOUSE": "second"}


@pytest.mark.parametrize("keyring", [RING, None], ids=["keys", "no keys"])
@pytest.mark.parametrize("unwatched", ["first", "second"])
def test_before_vault_was_reached_nothing_of_a_workspace_that_is_not_watched_is_lost(
    unwatched: str, keyring: Keyring | None
) -> None:
    case = replace(ONE, gives=(shared(unwatched),))
    held = case.held()
    assert hosts(replace(case.without(unwatched), keyring=keyring).run(held), held) == {"WAREHOUSE": unwatched}


@pytest.mark.parametrize("unwatched", ["first", "second"])
def test_it_settles(unwatched: str) -> None:
    for before in (ONE, TWO, replace(ONE, gives=(SECOND,))):
        held = before.held()
        for action in TWO.without(unwatched).run(held).actions:
            assert not isinstance(action, DeleteSecret)
            held = as_rendered(action.body, "secret-uid")
        assert TWO.without(unwatched).run(held).actions == ()
