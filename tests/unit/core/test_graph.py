"""What a change affects: the keys for every kind of change, of the old state and of the new."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jetbridge.core.graph import Key, affected, key_of
from jetbridge.core.views import DeploymentView, View
from jetbridge.shell.state import ClusterState
from tests.fakes.objects import (
    a_connection,
    a_deployment,
    a_link,
    a_namespace,
    a_rendered,
    a_source,
    a_workspace,
)

SOURCED = {"type": "x", "secretRef": {"name": "creds"}}
TO_ALL = {"type": "x", "sharing": "LinkedToAll"}


def state() -> ClusterState:
    """Two workspaces; prod and dev use team-a, other uses team-b alone."""
    found = ClusterState()
    for view in (
        a_connection("team-a", "restricted", SOURCED),
        a_connection("team-a", "to-all", TO_ALL),
        a_connection("team-b", "elsewhere", SOURCED),
        a_link("team-a", "link", of="restricted", to=("airflow", "prod"), overrides={"secretRef": {"name": "own"}}),
        a_deployment("airflow", "prod", workspaces=["team-a", "team-b"]),
        a_deployment("team-a", "dev"),
        a_deployment("other", "other", workspaces=["team-b"]),
        a_workspace("team-a"),
        a_workspace("team-b"),
    ):
        found.upsert(view)
    return found


def keys(old: View | None, new: View | None) -> set[str]:
    return {str(key) for key in affected(old, new, state())}


CASES: list[tuple[str, View, set[str]]] = [
    (
        "a restricted connection: its links and their deployments",
        a_connection("team-a", "restricted", SOURCED),
        {"Connection team-a/restricted", "ConnectionLink team-a/link", "AirflowDeployment airflow/prod"},
    ),
    (
        "a connection for all: every deployment that lists its workspace",
        a_connection("team-a", "to-all", TO_ALL),
        {"Connection team-a/to-all", "AirflowDeployment airflow/prod", "AirflowDeployment team-a/dev"},
    ),
    (
        "a link: its connection and its deployment",
        a_link("team-a", "link", of="restricted", to=("airflow", "prod")),
        {"ConnectionLink team-a/link", "Connection team-a/restricted", "AirflowDeployment airflow/prod"},
    ),
    (
        "a deployment: the links to it, and the workspaces it lists",
        a_deployment("airflow", "prod", workspaces=["team-a", "team-b"]),
        {
            "AirflowDeployment airflow/prod",
            "ConnectionLink team-a/link",
            "Workspace team-a/default",
            "Workspace team-b/default",
        },
    ),
    (
        "a workspace: every deployment that lists it",
        a_workspace("team-a"),
        {"Workspace team-a/default", "AirflowDeployment airflow/prod", "AirflowDeployment team-a/dev"},
    ),
    (
        "a namespace: its deployments, and the workspaces that count them",
        a_namespace("airflow"),
        {"AirflowDeployment airflow/prod", "Workspace team-a/default", "Workspace team-b/default"},
    ),
    ("a source: who names it", a_source("team-a", "creds"), {"Connection team-a/restricted"}),
    ("a source of a link", a_source("team-a", "own"), {"ConnectionLink team-a/link"}),
    ("a source that nobody names", a_source("team-a", "unknown"), set()),
    ("a source in another namespace", a_source("other", "creds"), set()),
    (
        "a rendered Secret: its deployment",
        a_rendered("airflow", owner=("prod", "u")),
        {"AirflowDeployment airflow/prod"},
    ),
    (
        "a rendered Secret that somebody names as a source",
        a_rendered("team-a", "creds", owner=("dev", "u")),
        {"AirflowDeployment team-a/dev", "Connection team-a/restricted"},
    ),
    ("a Secret with our label that nobody owns", a_rendered("airflow", owner=None), set()),
]
IDS = [name for name, _, _ in CASES]


@pytest.mark.parametrize(("view", "expected"), [(v, e) for _, v, e in CASES], ids=IDS)
def test_an_addition(view: View, expected: set[str]) -> None:
    assert keys(None, view) == expected


@pytest.mark.parametrize(("view", "expected"), [(v, e) for _, v, e in CASES], ids=IDS)
def test_a_removal(view: View, expected: set[str]) -> None:
    counting = (
        {"Connection team-a/restricted", "Connection team-a/to-all"} if isinstance(view, DeploymentView) else set()
    )
    assert keys(view, None) == expected | counting


def later(view: Any, **changes: Any) -> Any:
    return replace(view, meta=replace(view.meta, resource_version="9", **changes))


@pytest.mark.parametrize(
    "view",
    [
        a_connection("team-a", "restricted", SOURCED),
        a_connection("team-a", "to-all", TO_ALL),
        a_link("team-a", "link", of="restricted", to=("airflow", "prod")),
        a_deployment("airflow", "prod", workspaces=["team-a"]),
        a_workspace("team-a"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_a_status_touches_its_own_key_alone(view: Any) -> None:
    assert keys(view, later(view)) == {str(key_of(view))}


def test_a_namespace_whose_labels_stay_touches_nobody() -> None:
    view = a_namespace("airflow", labels={"a": "b"})
    assert keys(view, later(view)) == set()


def test_a_namespace_whose_labels_change_touches_its_deployments() -> None:
    assert "AirflowDeployment airflow/prod" in keys(a_namespace("airflow"), a_namespace("airflow", labels={"a": "b"}))


@pytest.mark.parametrize("change", [{"generation": 2}, {"deletion": "2026-02-02T00:00:00Z"}, {"uid": "anew"}], ids=str)
def test_another_spec_deletion_or_identity_is_wide(change: dict[str, Any]) -> None:
    view = a_connection("team-a", "to-all", TO_ALL)
    assert "AirflowDeployment team-a/dev" in keys(view, later(view, **change))


def test_both_ends_of_a_link_that_moved_hear_of_it() -> None:
    old = a_link("team-a", "link", of="restricted", to=("airflow", "prod"))
    new = a_link("team-a", "link", of="to-all", to=("team-a", "dev"), generation=2)
    assert keys(old, new) == {
        "ConnectionLink team-a/link",
        "Connection team-a/restricted",
        "Connection team-a/to-all",
        "AirflowDeployment airflow/prod",
        "AirflowDeployment team-a/dev",
    }


def test_who_loses_a_connection_that_is_no_longer_for_all_hears_of_it() -> None:
    old = a_connection("team-a", "to-all", TO_ALL)
    assert "AirflowDeployment team-a/dev" in keys(old, a_connection("team-a", "to-all", {"type": "x"}, generation=2))


def test_a_workspace_that_a_deployment_no_longer_lists_hears_of_it() -> None:
    old = a_deployment("airflow", "prod", workspaces=["team-a"])
    new = a_deployment("airflow", "prod", workspaces=["team-b"], generation=2)
    assert {"Workspace team-a/default", "Workspace team-b/default"} <= keys(old, new)


def test_the_connections_of_a_workspace_that_a_deployment_no_longer_lists_count_anew() -> None:
    old = a_deployment("airflow", "prod", workspaces=["team-a", "team-b"])
    new = a_deployment("airflow", "prod", workspaces=["team-b"], generation=2)
    assert {"Connection team-a/restricted", "Connection team-a/to-all"} <= keys(old, new)
    assert "Connection team-b/elsewhere" not in keys(old, new)


def test_a_secret_that_became_another_kind_touches_both() -> None:
    assert keys(a_source("team-a", "creds"), a_rendered("team-a", "creds", owner=("dev", "u"))) == {
        "AirflowDeployment team-a/dev",
        "Connection team-a/restricted",
    }


def test_a_key_reads_well() -> None:
    assert str(Key("Connection", "a", "b")) == "Connection a/b"
