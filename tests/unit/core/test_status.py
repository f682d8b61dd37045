"""The statuses: what people read. Bounded, masked, nothing of another tenant, written only when something is new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from jetbridge.api.connection import ConnectionStatus
from jetbridge.api.deployment import AirflowDeploymentStatus
from jetbridge.api.link import ConnectionLinkStatus
from jetbridge.api.workspace import WorkspaceStatus
from jetbridge.core.ingest import StoreReason
from jetbridge.core.material import Blocked, LastIngest, Material, NoMaterial, Ready
from jetbridge.core.outcome import Outcome, Word, WriteFailure
from jetbridge.core.plan import Plan
from jetbridge.core.resolve import Problem, Resolution
from jetbridge.core.sources import Collected, SourceProblem, SourceReason
from jetbridge.core.status import (
    Ingested,
    connection_status,
    deployment_status,
    link_status,
    workspace_status,
)
from jetbridge.core.views import ConnectionView, DeploymentView, LinkView, Record
from tests.fakes.objects import a_connection, a_deployment, a_link, a_workspace
from tests.strategies import PLANTED, World, changes, step
from tests.unit.core.test_laws import after, owner_statuses
from tests.unit.core.test_plan import Case, ready, to_all

NOW, THEN = "2026-02-02T00:00:00Z", "2026-01-01T00:00:00Z"
RECORD = Record("secret/jetbridge/team-a/connections/warehouse", 3, "k1:d", "refs")
SOURCED = {"type": "postgres", "secretRef": {"name": "creds"}}
NOTHING = Ingested(NoMaterial(), None, None, None)
TAKEN = Ingested(
    Ready(RECORD, {"password": PLANTED}), RECORD, None, Collected({"password": PLANTED}, {}, {"creds": "7"})
)


def ready_of(status: Mapping[str, Any] | None, kind: str = "Ready") -> tuple[str, str]:
    assert status is not None
    found = next(c for c in status["conditions"] if c["type"] == kind)
    return found["status"], found["reason"]


def message(status: Mapping[str, Any] | None, kind: str = "Ready") -> str:
    assert status is not None
    return str(next(c for c in status["conditions"] if c["type"] == kind)["message"])


# AirflowDeployment


def of_deployment(
    case: Case,
    held: Any = None,
    *,
    failure: WriteFailure | None = None,
    view: DeploymentView | None = None,
    **more: Any,
) -> dict[str, Any]:
    work = case.draft(held)
    resolution = replace(work.resolution, **more)
    return deployment_status(view or case.deployment, resolution, case.run(held), failure, NOW)


def test_a_deployment_tells_what_it_has() -> None:
    connection = to_all(secretRef={"name": "creds"}, host="h")
    link = a_link(overrides={"host": "x", "unset": ["login"]})
    case = Case([connection, link], {connection.meta.uid: ready(connection, {"password": PLANTED, "login": "me"})})
    status = of_deployment(case)
    assert status["delivered"] == "1/1"
    assert ready_of(status) == ("True", "Delivered")
    (listed,) = status["connections"]
    assert listed["id"] == "warehouse"
    assert listed["connection"] == "team-a/warehouse"
    assert listed["via"] == "link to-prod"
    assert listed["fields"] == {
        "host": "link to-prod",
        "login": "unset by link to-prod",
        "secretRef": "Secret creds",
    }
    assert listed["vault"] == ["secret/team-a/warehouse@1"]
    assert listed["since"] == NOW
    assert PLANTED not in repr(status)


def test_a_deployment_without_connections_is_ready() -> None:
    assert ready_of(of_deployment(Case([]))) == ("True", "Delivered")


def test_a_deployment_names_each_problem_and_counts_what_it_should_have() -> None:
    material: dict[str, Material] = {"connection-team-a-b": Blocked("SourceMissing", "why")}
    status = of_deployment(Case([to_all("a"), to_all("b")], material))
    assert status["delivered"] == "1/2"
    assert ready_of(status) == ("False", "SourceMissing")
    assert status["problems"] == [{"id": "b", "connection": "team-a/b", "reason": "SourceMissing", "message": "why"}]
    assert [c["id"] for c in status["connections"]] == ["a"]


def test_an_older_state_is_listed_and_a_problem() -> None:
    held = Case([to_all(host="a")]).held()
    material: dict[str, Material] = {"connection-team-a-warehouse": Blocked("SourceInvalid", "why")}
    status = of_deployment(Case([to_all(host="b")], material), held)
    assert (len(status["connections"]), len(status["problems"]), status["delivered"]) == (1, 1, "0/1")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"not_admitted": ("team-b",)}, "NotAdmitted"),
        ({"frozen": ("team-b",)}, "WorkspaceNotWatched"),
        ({"problems": (Problem("airflow_db", "team-a/x", "Reserved", "m"),)}, "Reserved"),
        ({"failure": WriteFailure("Forbidden", "m")}, "Forbidden"),
        ({"view": a_deployment(style="YAML")}, "InvalidSpec"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else v,
)
def test_why_a_deployment_is_not_ready(more: dict[str, Any], reason: str) -> None:
    assert ready_of(of_deployment(Case([to_all()]), **more)) == ("False", reason)


def test_a_failed_write_lists_nothing_as_delivered() -> None:
    status = of_deployment(Case([to_all()]), failure=WriteFailure("Forbidden", "m"))
    assert status["delivered"] == "0/1"
    assert "connections" not in status


def test_a_deployments_lists_are_bounded() -> None:
    many = [to_all(f"c{n}") for n in range(260)]
    blocked: dict[str, Material] = {c.meta.uid: Blocked("SourceMissing", "x" * 5000) for c in many[:60]}
    status = of_deployment(Case([*many], blocked))
    assert status["delivered"] == "200/260"
    assert (len(status["connections"]), len(status["problems"])) == (200, 50)
    AirflowDeploymentStatus.model_validate(status, extra="forbid")


def test_the_longest_names_fit_into_a_deployments_status() -> None:
    long = "x" * 253
    spec: dict[str, Any] = {
        "secretRef": {"name": long},
        "fieldsFrom": [{"field": "password", "secretKeyRef": {"name": long, "key": long}}],
    }
    connection = to_all(**spec)
    link = a_link(name=long, overrides=spec | {"unset": ["extra." + "y" * 240]})
    case = Case([connection, link], {o.meta.uid: ready(o, {"password": "x"}) for o in (connection, link)})
    AirflowDeploymentStatus.model_validate(of_deployment(case), extra="forbid")


# Connection


def of_connection(
    view: ConnectionView,
    known: Ingested = NOTHING,
    words: Mapping[tuple[str, str], Word | None] | None = None,
    refusal: Problem | None = None,
) -> dict[str, Any]:
    return connection_status(view, known, words or {}, refusal, NOW)


GOOD = Word(True, True, "Delivered", "m", 1)
BAD = Word(False, True, "TooLarge", "m", 1)
BESIDE = Word(True, False, "NameTaken", "m", 1)


def test_a_connection_without_sources_is_accepted() -> None:
    status = of_connection(a_connection())
    assert ready_of(status) == ("True", "Accepted")
    assert [c["type"] for c in status["conditions"]] == ["Ready"]
    assert status["connectionId"] == "warehouse"


def test_a_connection_with_sources_tells_of_its_entry() -> None:
    status = of_connection(a_connection(spec=SOURCED), TAKEN)
    assert ready_of(status) == ready_of(status, "Stored") == ("True", "Stored")
    assert status["vault"] == {"path": RECORD.path, "version": 3, "digest": "k1:d", "refs": "refs"}
    assert status["sources"] == [{"name": "creds", "resourceVersion": "7"}]
    assert PLANTED not in repr(status)


def test_the_versions_of_sources_change_only_with_the_entry() -> None:
    """A source that was touched and not changed writes no status."""
    before = of_connection(a_connection(spec=SOURCED), TAKEN)
    touched = replace(TAKEN, source=Collected({"password": PLANTED}, {}, {"creds": "8"}))
    assert of_connection(a_connection(spec=SOURCED, status=before), touched) == before


def test_a_kept_value_says_that_the_source_is_gone() -> None:
    gone = Ingested(Ready(RECORD, None), RECORD, None, SourceProblem(SourceReason.MISSING, "m"))
    status = of_connection(a_connection(spec=SOURCED), gone)
    assert ready_of(status, "Stored") == ("True", "SourceGoneKept")
    assert ready_of(status)[0] == "True"


def test_warnings_of_sources_are_told() -> None:
    warned = replace(TAKEN, source=Collected({"password": PLANTED}, {}, {}, ("ends in a line break",)))
    assert "ends in a line break" in message(of_connection(a_connection(spec=SOURCED), warned), "Stored")


@pytest.mark.parametrize("reason", ["SourceMissing", "VaultUnavailable", "ForeignEntry"])
def test_blocked_material_is_told_by_its_reason(reason: str) -> None:
    known = Ingested(Blocked(reason, "why"), None, None, SourceProblem(SourceReason.MISSING, "why"))
    status = of_connection(a_connection(spec=SOURCED), known)
    assert ready_of(status) == ready_of(status, "Stored") == ("False", reason)


def test_a_vault_that_is_away_does_not_turn_what_is_stored() -> None:
    away = replace(TAKEN, last=LastIngest(StoreReason.UNAVAILABLE, "away", 1))
    assert ready_of(of_connection(a_connection(spec=SOURCED), away), "Stored") == ("True", "Stored")


def test_an_invalid_connection_keeps_its_record() -> None:
    view = a_connection(spec={"port": "x"})
    status = of_connection(view, Ingested(NoMaterial(), RECORD, None, None))
    assert ready_of(status) == ready_of(status, "Stored") == ("False", "InvalidSpec")
    assert status["vault"]["version"] == 3


def test_a_refused_id_is_told() -> None:
    refusal = Problem("airflow_db", "team-a/x", "Reserved", "m")
    assert ready_of(of_connection(a_connection(), refusal=refusal)) == ("False", "Reserved")


@pytest.mark.parametrize(
    ("words", "delivered"),
    [
        ([], "0/0"),
        ([GOOD, GOOD], "2/2"),
        ([GOOD, BAD], "1/2"),
        ([GOOD, BESIDE], "1/1"),
        ([GOOD, None], "as before"),
    ],
    ids=["nobody", "all", "one failed", "one does not apply", "one has not spoken"],
)
def test_how_many_have_it(words: list[Word | None], delivered: str) -> None:
    view = a_connection(status={"delivered": "as before"})
    assert of_connection(view, words={("ns", str(n)): w for n, w in enumerate(words)})["delivered"] == delivered


def test_a_connection_names_no_deployment() -> None:
    status = of_connection(a_connection(), words={("other-tenant", "private"): BAD})
    assert "private" not in repr(status)
    assert "other-tenant" not in repr(status)


# ConnectionLink


def of_link(
    view: LinkView | None = None,
    *,
    known: Ingested = NOTHING,
    connection: ConnectionView | None = a_connection(),
    target: DeploymentView | None = a_deployment(),
    word: Word | None = GOOD,
    not_admitted: tuple[str, ...] = (),
    spoken: bool = True,
) -> dict[str, Any] | None:
    view = view or a_link()
    words = {view.meta.uid: word} if word is not None else {}
    outcome = Outcome(words, frozenset(), frozenset(not_admitted), 1, {}, True) if spoken else None
    return link_status(view, known, connection, target, outcome, NOW)


def test_a_delivered_link_is_ready() -> None:
    status = of_link()
    assert status is not None
    assert ready_of(status) == ("True", "Delivered")
    assert (status["delivered"], status["connectionId"], status["observedGeneration"]) == ("1/1", "warehouse", 1)


@pytest.mark.parametrize(
    ("more", "reason", "delivered"),
    [
        ({"connection": None}, "ConnectionNotFound", "0/0"),
        ({"connection": a_connection(deletionTimestamp=THEN)}, "ConnectionNotFound", "0/0"),
        ({"connection": a_connection(name="airflow-db")}, "Reserved", "0/0"),
        ({"target": None}, "DeploymentNotFound", "0/0"),
        ({"target": a_deployment(workspaces=["team-b"])}, "DeploymentNotFound", "0/0"),
        ({"not_admitted": ("team-a",)}, "NotAdmitted", "0/1"),
        ({"known": Ingested(Blocked("SourceMissing", "m"), None, None, None)}, "SourceMissing", "0/1"),
        ({"word": BAD}, "TooLarge", "0/1"),
        ({"view": a_link(overrides={"port": "x"})}, "InvalidSpec", "0/0"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else v,
)
def test_why_a_link_is_not_ready(more: dict[str, Any], reason: str, delivered: str) -> None:
    status = of_link(**more)
    assert status is not None
    assert ready_of(status) == ("False", reason)
    assert status["delivered"] == delivered


def test_a_link_that_does_not_apply_is_ready_and_says_which_does() -> None:
    status = of_link(word=Word(True, False, "Superseded", "the older link x", 1))
    assert ready_of(status) == ("True", "Superseded")


@pytest.mark.parametrize(
    "more",
    [
        {"spoken": False},
        {"word": None},
        {"word": Word(True, True, "Delivered", "m", 2)},
        {"word": Word(False, True, "Pending", "m", 1)},
    ],
    ids=["not reconciled", "no word", "of another generation", "pending"],
)
def test_a_link_waits_until_the_deployment_has_spoken_of_it(more: dict[str, Any]) -> None:
    assert of_link(**more) is None


def test_a_link_does_not_tell_whether_a_deployment_exists() -> None:
    there = of_link(target=a_deployment(workspaces=["team-b"]))
    absent = of_link(target=None)
    assert there == absent


# Workspace


def test_a_workspace_counts_who_uses_it() -> None:
    status = workspace_status(a_workspace(), 3, NOW)
    assert (status["deployments"], ready_of(status)) == (3, ("True", "Accepted"))


def test_an_invalid_workspace_says_that_it_admits_nobody() -> None:
    status = workspace_status(a_workspace(admits="Everyone"), 0, NOW)
    assert ready_of(status) == ("False", "InvalidSpec")
    assert "no other namespace is admitted" in message(status)


# All


def test_the_same_world_gives_the_same_status_later() -> None:
    """Nothing is written again only because time passes."""
    case = Case([to_all()])
    first = deployment_status(a_deployment(), case.draft().resolution, case.run(now=THEN), None, THEN)
    held = case.held()
    again = deployment_status(a_deployment(status=first), case.draft(held).resolution, case.run(held), None, NOW)
    assert again == first


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes())
def test_every_status_fits_its_schema(change: tuple[World, World]) -> None:
    before, now = change
    held = after(before)
    for deployment in now.deployments:
        done = step(now, deployment, held)
        status = deployment_status(deployment, done.resolution, done.plan, None, NOW)
        AirflowDeploymentStatus.model_validate(status, extra="forbid")
        owners = [*now.connections, *now.links]
        for owner, told in zip(owners, owner_statuses(now, done.outcome, deployment), strict=True):
            model = ConnectionStatus if isinstance(owner, ConnectionView) else ConnectionLinkStatus
            if told is not None:
                model.model_validate(told, extra="forbid")
    for workspace in now.workspaces:
        WorkspaceStatus.model_validate(workspace_status(workspace, 1, NOW), extra="forbid")


def test_as_many_sources_as_the_schema_takes_fit_into_the_status() -> None:
    items = [{"field": f"extra.k{n}", "secretKeyRef": {"name": f"s{n}"}} for n in range(64)]
    view = a_connection(spec={"type": "x", "secretRef": {"name": "whole"}, "fieldsFrom": items})
    assert view.problem is None
    versions = {"whole": "1"} | {f"s{n}": "1" for n in range(64)}
    status = of_connection(view, replace(TAKEN, source=Collected({}, {}, versions)))
    ConnectionStatus.model_validate(status, extra="forbid")


def test_nothing_resolved_and_nothing_planned_is_survived() -> None:
    status = deployment_status(a_deployment(), Resolution((), (), (), (), ()), Plan((), (), (), {}), None, NOW)
    assert status["delivered"] == "0/0"
