"""Parsing objects: what is read, what an invalid object still says, and that no message holds a value."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from jetbridge.core.views import (
    ConnectionView,
    Meta,
    Record,
    RenderedView,
    SourceView,
    connection_view,
    deployment_view,
    link_view,
    parse_meta,
    workspace_view,
)
from tests.fakes.objects import (
    a_connection,
    a_deployment,
    a_link,
    a_namespace,
    a_secret,
    a_workspace,
    connection,
    deployment,
    link,
    rendered,
    source,
    workspace,
)

PLANTED = "hunter2-planted"


def test_meta_reads_what_decisions_use() -> None:
    raw = connection(
        generation=3, resourceVersion="77", deletionTimestamp="2026-02-02T00:00:00Z", finalizers=["a/b", "c/d"]
    )
    assert parse_meta(raw) == Meta(
        namespace="team-a",
        name="warehouse",
        uid="connection-team-a-warehouse",
        resource_version="77",
        generation=3,
        created="2026-01-01T00:00:00Z",
        deletion="2026-02-02T00:00:00Z",
        finalizers=("a/b", "c/d"),
    )


def test_meta_of_a_file_needs_only_a_name() -> None:
    meta = parse_meta({"metadata": {"name": "x", "creationTimestamp": None, "finalizers": None}})
    assert (meta.name, meta.uid, meta.created, meta.deleting) == ("x", "", "", False)


def test_an_object_without_a_time_is_the_youngest() -> None:
    times = ["", "2026-01-01T00:00:00Z", "2025-01-01T00:00:00Z"]
    metas = [Meta("a", str(i), "", created=t) for i, t in enumerate(times)]
    assert [m.name for m in sorted(metas, key=lambda m: m.age_order)] == ["2", "1", "0"]


def test_the_id_is_the_name_with_underscores_when_left_out() -> None:
    assert a_connection(name="my-conn.x").connection_id == "my_conn_x"
    assert a_connection(spec={"type": "x", "connectionId": "Given"}).connection_id == "Given"


def test_sharing_is_restricted_when_left_out() -> None:
    assert not a_connection().linked_to_all
    assert a_connection(spec={"type": "x", "sharing": "LinkedToAll"}).linked_to_all


def test_a_links_deployment_is_in_its_own_namespace_when_left_out() -> None:
    assert a_link(to=(None, "prod")).deployment == ("team-a", "prod")
    assert a_link(to=("airflow", "prod")).deployment == ("airflow", "prod")


def test_a_deployments_defaults() -> None:
    view = a_deployment("airflow", "prod")
    assert (view.workspaces, view.secret_name, view.format) == (("airflow",), "prod-connections", "JSON")


def test_what_a_deployment_states_beats_the_defaults() -> None:
    view = a_deployment("airflow", "prod", workspaces=["b", "a"], secret_name="mine", style="URI")
    assert (view.workspaces, view.secret_name, view.format) == (("b", "a"), "mine", "URI")


def test_a_deployment_without_a_spec_is_valid() -> None:
    raw = deployment()
    del raw["spec"]
    assert deployment_view(raw).problem is None


@pytest.mark.parametrize(
    ("vault", "record"),
    [
        ({"path": "secret/x", "version": 2, "digest": "k:d", "refs": "r"}, Record("secret/x", 2, "k:d", "r")),
        ({"path": "secret/x", "version": "2", "digest": "k:d", "refs": "r"}, Record("secret/x", 2, "k:d", "r")),
        ({"path": "secret/x", "version": 2, "digest": "k:d"}, None),
        ({"path": "secret/x", "version": "two", "digest": "k:d", "refs": "r"}, None),
        ({"path": "secret/x", "version": None, "digest": "k:d", "refs": "r"}, None),
        ("text", None),
        (None, None),
    ],
)
def test_the_record_in_the_status(vault: Any, record: Record | None) -> None:
    assert a_connection(status={"vault": vault}).record == record
    assert a_link(status={"vault": vault}).record == record


@pytest.mark.parametrize("status", ["text", ["list"], 7, {"conditions": "text"}])
def test_a_mangled_status_is_survived(status: Any) -> None:
    assert a_connection(status=status).record is None


# Invalid objects


INVALID: list[tuple[str, Callable[[], Any]]] = [
    ("wrong type", lambda: a_connection(spec={"type": "x", "port": PLANTED})),
    ("out of range", lambda: a_connection(spec={"type": "x", "port": 99999})),
    ("not a mapping", lambda: a_connection(spec=[PLANTED])),
    ("text for a spec", lambda: a_connection(spec=PLANTED)),
    ("pattern", lambda: a_connection(spec={"type": PLANTED + "!"})),
    ("enum", lambda: a_connection(spec={"type": "x", "sharing": PLANTED})),
    ("too long", lambda: a_connection(spec={"type": "x", "host": PLANTED * 1000})),
    ("extra no object", lambda: a_connection(spec={"type": "x", "extra": PLANTED})),
    ("null in extra", lambda: a_connection(spec={"type": "x", "extra": {"a": {"b": [PLANTED, None]}}})),
    ("NaN in extra", lambda: a_connection(spec={"type": "x", "extra": {"a": [PLANTED, float("nan")]}})),
    ("odd object in extra", lambda: a_connection(spec={"type": "x", "extra": {"a": [PLANTED, object()]}})),
    ("odd secretRef", lambda: a_connection(spec={"type": "x", "secretRef": {"name": PLANTED.upper()}})),
    ("password plain", lambda: connection_view(connection(spec={"type": "x", "password": PLANTED}), strict=True)),
    (
        "fieldsFrom of no field",
        lambda: a_connection(spec={"type": "x", "fieldsFrom": [{"field": PLANTED, "secretKeyRef": {"name": "s"}}]}),
    ),
    (
        "plain and sourced",
        lambda: a_connection(
            spec={"type": "x", "host": PLANTED, "fieldsFrom": [{"field": "host", "secretKeyRef": {"name": "s"}}]}
        ),
    ),
    ("link overrides", lambda: a_link(overrides={"port": PLANTED})),
    ("link overrides extra", lambda: a_link(overrides={"extra": {"k": [PLANTED, None]}})),
    ("set and unset", lambda: a_link(overrides={"host": PLANTED, "unset": ["host"]})),
    ("deployment", lambda: deployment_view({**deployment(), "spec": {"workspaces": PLANTED}})),
    ("workspace", lambda: a_workspace(admits=PLANTED)),
    ("selector", lambda: a_workspace(admits="Selector", selector={"matchLabels": {"a": [PLANTED]}})),
]


@pytest.mark.parametrize("make", [m for _, m in INVALID], ids=[n for n, _ in INVALID])
def test_a_problem_never_holds_a_value(make: Callable[[], Any]) -> None:
    view = make()
    assert view.problem, "the object was to be invalid"
    assert PLANTED.casefold() not in view.problem.casefold()
    shown = repr([getattr(view, f.name) for f in dataclasses.fields(view) if f.name not in ("status", "meta")])
    if getattr(view, "spec", None) is None:
        assert PLANTED not in shown, "the parsed view shows a value of the spec"


def test_a_problem_names_the_field() -> None:
    assert "spec.port" in str(a_connection(spec={"type": "x", "port": "5432"}).problem)
    assert "spec.overrides.port" in str(a_link(overrides={"port": "5432"}).problem)


def test_an_invalid_connection_keeps_its_identity() -> None:
    view = a_connection(spec={"connectionId": "Given", "sharing": "LinkedToAll", "port": "5432"})
    assert view.spec is None
    assert (view.connection_id, view.linked_to_all, view.meta.name) == ("Given", True, "warehouse")


def test_an_invalid_link_keeps_its_identity() -> None:
    view = a_link(to=("airflow", "prod"), of="db", overrides={"port": "5432"})
    assert view.spec is None
    assert (view.connection_name, view.deployment) == ("db", ("airflow", "prod"))


def test_an_invalid_link_that_names_nothing_is_survived() -> None:
    raw = link()
    raw["spec"] = {"mode": "Share", "connectionRef": "text", "deploymentRef": ["list"]}
    view = link_view(raw)
    assert (view.connection_name, view.deployment) == ("", ("team-a", ""))
    assert view.problem


def test_an_invalid_workspace_admits_by_nothing() -> None:
    view = workspace_view(workspace(admits="Everyone"))
    assert view.spec is None
    assert view.problem


def test_unknown_fields_are_a_problem_only_offline() -> None:
    raw = connection(spec={"type": "x", "hots": "typo"})
    assert connection_view(raw).problem is None, "the API server prunes them"
    assert "hots" in str(connection_view(raw, strict=True).problem)


def test_status_is_not_in_a_repr() -> None:
    assert PLANTED not in repr(a_connection(status={"x": PLANTED}))


# Secrets and namespaces


def test_a_labelled_secret_is_a_source() -> None:
    view = a_secret(source(data={"password": PLANTED}))
    assert isinstance(view, SourceView)
    assert view.data["password"].text() == PLANTED
    assert PLANTED not in repr(view)


@pytest.mark.parametrize("value", ["false", "True", "yes", ""])
def test_a_secret_with_another_value_of_the_label_is_none(value: str) -> None:
    assert a_secret(source(labels={"jetbridge.dev/source": value})) is None


def test_a_secret_without_the_label_is_none() -> None:
    assert a_secret(source(labelled=False)) is None


def test_a_secret_with_our_label_is_never_a_source() -> None:
    view = a_secret(source(labels={"jetbridge.dev/rendered": "true"}, data={"password": PLANTED}))
    assert isinstance(view, RenderedView)
    assert PLANTED not in repr(view)


def test_a_rendered_secret_tells_its_owner() -> None:
    view = a_secret(rendered(owner=("prod", "u1"), manifest="{}", immutable=True, kind="kubernetes.io/tls"))
    assert isinstance(view, RenderedView)
    assert (view.owner_name, view.owner_uid, view.manifest) == ("prod", "u1", "{}")
    assert (view.immutable, view.type) == (True, "kubernetes.io/tls")


def test_an_owner_of_another_group_is_no_owner_of_ours() -> None:
    raw = rendered()
    raw["metadata"]["ownerReferences"][0]["apiVersion"] = "other.dev/v1"
    view = a_secret(raw)
    assert isinstance(view, RenderedView)
    assert view.owner_uid == ""


def test_a_namespace_has_its_labels() -> None:
    assert a_namespace("x", labels={"team": "data"}).labels == {"team": "data"}
    assert a_namespace("x").labels == {}


def test_views_are_frozen() -> None:
    view = a_connection()
    with pytest.raises(dataclasses.FrozenInstanceError):
        view.problem = "x"  # type: ignore[misc]
    assert isinstance(view, ConnectionView)
