"""The CRDs on a real API server: what it accepts and refuses, and in which words; what people see of an object.

The objects are those of `tests/unit/api/cases.yaml`, which the models are tested with as well: both must agree.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml
from kubernetes import client, config

from jetbridge.api.common import API_VERSION, GROUP, VERSION
from jetbridge.api.kinds import BY_KIND, KINDS, Kind

pytestmark = pytest.mark.contract

ROOT = Path(__file__).parents[2]
CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load((ROOT / "tests/unit/api/cases.yaml").read_text())
REFUSED_BY_SERVER = [case for case in CASES["refused"] if case.keys() & {"message", "server"}]
APPLY = "application/apply-patch+yaml"
MANAGER = "contract-tests"


class Stack(Protocol):
    """What is needed of the local stack."""

    @property
    def admin_kubeconfig(self) -> Path: ...


@dataclass(frozen=True)
class Namespace:
    """One fresh namespace, and what the tests do in it. Methods raise `client.ApiException` as the server answers."""

    name: str
    objects: client.CustomObjectsApi

    def create(self, kind: str, name: str, spec: Any = None, **more: Any) -> Any:
        """Creates an object; what the server stored. No `spec` key without a spec."""
        body = manifest(kind, name, spec) | more
        plural = BY_KIND[kind].plural
        return self.objects.create_namespaced_custom_object(GROUP, VERSION, self.name, plural, body)

    def replace(self, kind: str, name: str, spec: Any) -> Any:
        """Replaces an object's spec."""
        plural = BY_KIND[kind].plural
        body = self.get(kind, name) | {"spec": spec}
        return self.objects.replace_namespaced_custom_object(GROUP, VERSION, self.name, plural, name, body)

    def apply(self, kind: str, name: str, spec: Any) -> Any:
        """Server-side apply, as kubectl and GitOps tools do."""
        self.objects.patch_namespaced_custom_object(
            GROUP,
            VERSION,
            self.name,
            BY_KIND[kind].plural,
            name,
            manifest(kind, name, spec),
            field_manager=MANAGER,
            _content_type=APPLY,
        )
        return self.get(kind, name)  # the client gives None for an apply that creates (201)

    def set_status(self, kind: str, name: str, status: Any, **more: Any) -> Any:
        """Merges into the status subresource."""
        plural = BY_KIND[kind].plural
        return self.objects.patch_namespaced_custom_object_status(
            GROUP,
            VERSION,
            self.name,
            plural,
            name,
            {"status": status} | more,
            _content_type="application/merge-patch+json",
        )

    def get(self, kind: str, name: str) -> Any:
        """The object as stored."""
        return self.objects.get_namespaced_custom_object(GROUP, VERSION, self.name, BY_KIND[kind].plural, name)

    def table(self, kind: str) -> Any:
        """The table that kubectl prints."""
        return self.objects.list_namespaced_custom_object(
            GROUP,
            VERSION,
            self.name,
            BY_KIND[kind].plural,
            _headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"},
        )


def manifest(kind: str, name: str, spec: Any) -> dict[str, Any]:
    body = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}}
    return body if spec is None else body | {"spec": spec}


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[client.ApiClient]:
    """A client of the stack's API server, which serves the CRDs as they are in `crds/`."""
    made = client.ApiClient(_configuration(stack.admin_kubeconfig))
    with made:
        crds = client.ApiextensionsV1Api(made)
        for path in sorted((ROOT / "crds").glob("*.yaml")):
            body = yaml.safe_load(path.read_text())
            name = body["metadata"]["name"]
            crds.patch_custom_resource_definition(name, body, field_manager=MANAGER, force=True, _content_type=APPLY)
            _established(crds, name)
        yield made


def _configuration(kubeconfig: Path) -> client.Configuration:
    made = client.Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=made)  # type: ignore[no-untyped-call]
    return made


def _conditions(crds: client.ApiextensionsV1Api, name: str) -> dict[str, str]:
    status = crds.read_custom_resource_definition(name).status
    return {c.type: c.status for c in (status and status.conditions) or ()}


def _established(crds: client.ApiextensionsV1Api, name: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        if _conditions(crds, name).get("Established") == "True":
            return
        assert time.monotonic() < deadline, f"{name}: not established in 30 s"
        time.sleep(0.1)


@pytest.fixture
def namespace(api: client.ApiClient) -> Iterator[Namespace]:
    """A namespace that no other test sees. Nobody may finalize it on the local stack, so its objects go first."""
    core = client.CoreV1Api(api)
    name = f"crds-{uuid.uuid4().hex[:12]}"
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
    objects = client.CustomObjectsApi(api)
    yield Namespace(name, objects)
    for kind in KINDS:
        objects.delete_collection_namespaced_custom_object(GROUP, VERSION, name, kind.plural)
    core.delete_namespace(name)


def title(case: dict[str, Any]) -> str:
    return str(case["case"])


def said(error: pytest.ExceptionInfo[client.ApiException]) -> str:
    """The server's message, of an answer that calls the object invalid."""
    assert error.value.status == 422, error.value.body
    return str(json.loads(str(error.value.body))["message"])


# What the server accepts and refuses


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_crd_is_in_force(api: client.ApiClient, kind: Kind) -> None:
    """Established under its names, structural, and no CEL rule too costly (the server would have refused it)."""
    state = _conditions(client.ApiextensionsV1Api(api), f"{kind.plural}.{GROUP}")
    assert state["Established"] == state["NamesAccepted"] == "True"
    assert state.get("NonStructuralSchema", "False") == "False"


@pytest.mark.parametrize("case", CASES["accepted"], ids=title)
def test_accepted_and_nothing_added(namespace: Namespace, case: dict[str, Any]) -> None:
    """What comes back is what was said: a default filled in by the server is drift to GitOps."""
    name = case.get("name", "warehouse")
    made = namespace.create(case["kind"], name, case.get("spec"))
    assert made.get("spec") == case.get("spec")
    assert namespace.get(case["kind"], name).get("spec") == case.get("spec")
    assert "status" not in made


@pytest.mark.parametrize("case", REFUSED_BY_SERVER, ids=title)
def test_refused(namespace: Namespace, case: dict[str, Any]) -> None:
    """With the words of the rule."""
    with pytest.raises(client.ApiException) as caught:
        namespace.create(case["kind"], case.get("name", "warehouse"), case.get("spec"))
    assert str(case.get("server", case.get("message"))) in said(caught)


def test_a_refusal_names_the_field(namespace: Namespace) -> None:
    with pytest.raises(client.ApiException) as caught:
        namespace.create("Connection", "a", {"connectionId": "airflow_db", "type": "aws"})
    assert "spec.connectionId: Invalid value" in said(caught)


def test_the_largest_object_is_within_the_cost_of_cel(namespace: Namespace) -> None:
    """Every list full: a rule that is cheap by the server's estimate must not fail when it is run."""
    keys = [f"extra.{'k' * 200}{number}" for number in range(64)]
    sources = [{"field": key, "secretKeyRef": {"name": "s", "key": "k"}} for key in keys]
    overrides = {"fieldsFrom": sources, "unset": [f"{key}x" for key in keys]}
    spec = {"mode": "Share", "connectionRef": {"name": "a"}, "deploymentRef": {"name": "b"}, "overrides": overrides}
    assert namespace.create("ConnectionLink", "full", spec)["spec"] == spec


# The id of a connection


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        pytest.param("my-db.eu", None, "my_db_eu", id="adding the id that it has by default"),
        pytest.param("my-db.eu", "my_db_eu", None, id="removing the id that it has by default"),
        pytest.param("my-db", "warehouse", "warehouse", id="keeping an id"),
        pytest.param("my-db", None, None, id="keeping the default"),
    ],
)
def test_the_same_effective_id_is_allowed(
    namespace: Namespace, name: str, before: str | None, after: str | None
) -> None:
    """Whether it is spelt out is a matter of taste."""
    namespace.create("Connection", name, connection(before))
    changed = connection(after) | {"host": "new"}
    assert namespace.replace("Connection", name, changed)["spec"] == changed


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("warehouse", "other", id="changing"),
        pytest.param("warehouse", "Warehouse", id="changing its case"),
        pytest.param(None, "other", id="adding another than the default"),
        pytest.param(None, "my-db", id="adding the name itself, which is not the default"),
        pytest.param("warehouse", None, id="removing another than the default"),
    ],
)
def test_another_effective_id_is_refused(namespace: Namespace, before: str | None, after: str | None) -> None:
    """DAGs ask for the id: a Connection that changes its id withdraws one connection and makes another."""
    namespace.create("Connection", "my-db", connection(before))
    with pytest.raises(client.ApiException) as caught:
        namespace.replace("Connection", "my-db", connection(after))
    assert "the connection id is immutable: DAGs ask for it" in said(caught)


def connection(connection_id: str | None) -> dict[str, Any]:
    return {"type": "aws"} | ({} if connection_id is None else {"connectionId": connection_id})


def test_the_type_of_a_connection_may_change(namespace: Namespace) -> None:
    namespace.create("Connection", "a", {"type": "postgres"})
    assert namespace.replace("Connection", "a", {"type": "mysql"})["spec"] == {"type": "mysql"}


# Apply


def test_applying_again_changes_nothing(namespace: Namespace) -> None:
    """The same generation and resourceVersion: an idle GitOps tool causes no event."""
    case = next(case for case in CASES["accepted"] if case["case"] == "everything a connection can say")
    first = namespace.apply("Connection", "warehouse", case["spec"])
    again = namespace.apply("Connection", "warehouse", case["spec"])
    assert first["spec"] == case["spec"]
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_lists_are_applied_by_key(namespace: Namespace) -> None:
    """Two managers may each own an item of `fieldsFrom`."""
    item = {"field": "password", "secretKeyRef": {"name": "a"}}
    namespace.create("Connection", "a", {"type": "aws", "fieldsFrom": [item]})
    other = {"field": "login", "secretKeyRef": {"name": "b"}}
    assert namespace.apply("Connection", "a", {"fieldsFrom": [other]})["spec"]["fieldsFrom"] == [item, other]


def test_an_unknown_field_is_pruned(namespace: Namespace) -> None:
    """Why `mode` is required, and why the models' users must not count on unknown fields."""
    spec = {"type": "aws", "shraing": "LinkedToAll"}
    assert namespace.create("Connection", "a", spec)["spec"] == {"type": "aws"}


def test_a_null_in_extra_reaches_the_store(namespace: Namespace) -> None:
    """The server can't refuse it: it does not look into `extra`. So the operator must, as the models do."""
    spec = {"type": "aws", "extra": {"a": None, "b": {"c": [None]}}}
    assert namespace.create("Connection", "a", spec)["spec"] == spec


# What people see

CONDITION = {
    "type": "Ready",
    "status": "True",
    "reason": "Delivered",
    "message": "Delivered to all.",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
    "observedGeneration": 1,
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_columns(namespace: Namespace, kind: Kind) -> None:
    """Those of the model, in its order, after the name; the ones with a priority only with `-o wide`."""
    shown = namespace.table(kind.kind)["columnDefinitions"]
    assert [(c["name"], c["type"], c["priority"]) for c in shown] == [
        ("Name", "string", 0),
        *((c.name, c.type, c.priority) for c in kind.columns),
    ]


def test_a_row_answers_where_and_whether(namespace: Namespace) -> None:
    namespace.create("Connection", "my-db", {"type": "postgres", "sharing": "Restricted"})
    status = {
        "connectionId": "my_db",
        "delivered": "2/3",
        "vault": {"path": "secret/x", "version": 7, "digest": "d", "refs": "r"},
        "conditions": [CONDITION],
    }
    namespace.set_status("Connection", "my-db", status)
    table = namespace.table("Connection")
    cells = dict(zip((c["name"] for c in table["columnDefinitions"]), table["rows"][0]["cells"], strict=True))
    assert cells.pop("Age")
    assert cells.pop("Since")
    assert cells == {
        "Name": "my-db",
        "Id": "my_db",
        "Type": "postgres",
        "Sharing": "Restricted",
        "Delivered": "2/3",
        "Vault": 7,
        "Ready": "True",
        "Reason": "Delivered",
    }


def test_the_names_resolve(api: client.ApiClient) -> None:
    """Plural, singular, short name and category, as kubectl looks them up."""
    found = client.CustomObjectsApi(api).get_api_resources(GROUP, VERSION).resources
    by_name = {resource.name: resource for resource in found}
    for kind in KINDS:
        resource = by_name[kind.plural]
        assert resource.kind == kind.kind
        assert resource.singular_name == kind.singular
        assert resource.short_names == [kind.short]
        assert resource.categories == ["jetbridge"]
        assert resource.namespaced
        assert f"{kind.plural}/status" in by_name


# Spec and status


def test_spec_and_status_are_apart(namespace: Namespace) -> None:
    """Who may write an object can't forge its status; who may write a status can't change what is asked for."""
    forged = {"conditions": [CONDITION]}
    made = namespace.create("Connection", "a", {"type": "aws"}, status=forged)
    assert "status" not in made

    changed = namespace.set_status("Connection", "a", forged, spec={"type": "postgres"})
    assert changed["spec"] == {"type": "aws"}
    assert changed["status"] == forged
    assert changed["metadata"]["generation"] == made["metadata"]["generation"]

    replaced = namespace.replace("Connection", "a", {"type": "mysql"})
    assert replaced["status"] == forged
    assert replaced["metadata"]["generation"] == made["metadata"]["generation"] + 1


@pytest.mark.parametrize(
    ("kind", "spec", "status"),
    [
        (
            "Connection",
            {"type": "aws"},
            {
                "observedGeneration": 1,
                "connectionId": "a",
                "vault": {"path": "secret/a", "version": 1, "digest": "k1:0", "refs": "r"},
                "sources": [{"name": "a", "resourceVersion": "1"}],
                "delivered": "1/1",
                "conditions": [CONDITION, CONDITION | {"type": "Stored"}],
            },
        ),
        (
            "AirflowDeployment",
            {},
            {
                "observedGeneration": 1,
                "secretName": "a-connections",
                "delivered": "1/2",
                "connections": [
                    {
                        "id": "a",
                        "connection": "ns/a",
                        "via": "LinkedToAll",
                        "fields": {"password": "Secret s", "extra.k": "link l"},
                        "vault": ["secret/a@1"],
                        "since": "2026-01-01T00:00:00Z",
                    }
                ],
                "problems": [{"id": "b", "connection": "ns/b", "reason": "NoSource", "message": "Make one."}],
                "conditions": [CONDITION],
            },
        ),
        (
            "Workspace",
            {"deployments": {"namespaces": {"from": "All"}}},
            {"observedGeneration": 1, "deployments": 3, "conditions": [CONDITION]},
        ),
    ],
)
def test_a_full_status_is_accepted(namespace: Namespace, kind: str, spec: Any, status: Any) -> None:
    """And kept whole: a field that the schema lacks would be pruned silently."""
    namespace.create(kind, "default", spec)
    assert namespace.set_status(kind, "default", status)["status"] == status


def test_a_status_without_bounds_is_refused(namespace: Namespace) -> None:
    namespace.create("Connection", "a", {"type": "aws"})
    with pytest.raises(client.ApiException) as caught:
        namespace.set_status("Connection", "a", {"conditions": [CONDITION | {"message": "x" * 2049}]})
    assert "Too long" in said(caught)
