"""The cluster writer's contract: one suite on the fake and on a real API server, there with the operator's own rights."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from dev.ports import free_ports
from dev.stack import LocalStack
from jetbridge.api.kinds import CONNECTION, DEPLOYMENT, KINDS, Kind
from jetbridge.core.actions import SecretBody
from jetbridge.core.plan import LABELS
from jetbridge.core.secret_value import SecretValue
from jetbridge.core.views import ENTRY_FINALIZER, MANIFEST_ANNOTATION, Meta, parse_meta
from jetbridge.shell.cluster import (
    ApiUnavailable,
    Cluster,
    ClusterError,
    Conflict,
    Forbidden,
    Missing,
    Raw,
    Refused,
    Taken,
)
from jetbridge.shell.kube import Kube, decode_data
from tests.fakes import objects
from tests.fakes.cluster import FakeCluster

PLANTED = "hunter2-planted"
NOW = "2026-01-01T00:00:00Z"
_PLURALS = {k.kind: k.plural for k in KINDS}


class Admin(Protocol):
    """What people do past the operator."""

    async def put(self, raw: Raw) -> Raw: ...
    async def get(self, kind: str, namespace: str, name: str) -> Raw | None: ...
    async def delete(self, kind: str, namespace: str, name: str) -> None: ...
    async def set_status(self, kind: str, namespace: str, name: str, status: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True)
class FakeAdmin:
    """The fake's own methods."""

    cluster: FakeCluster

    async def put(self, raw: Raw) -> Raw:
        return self.cluster.put(raw)

    async def get(self, kind: str, namespace: str, name: str) -> Raw | None:
        return self.cluster.get(kind, namespace, name)

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        self.cluster.delete(kind, namespace, name)

    async def set_status(self, kind: str, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        self.cluster.set_status(kind, namespace, name, status)


@dataclass(frozen=True)
class RealAdmin:
    """The cluster's administrator; writes as another field manager."""

    kube: Kube

    async def put(self, raw: Raw) -> Raw:
        meta = {k: v for k, v in raw["metadata"].items() if k not in ("uid", "generation", "managedFields")}
        kind, namespace, name = raw["kind"], meta.get("namespace", ""), meta["name"]
        old = await self.get(kind, namespace, name)
        query = {"fieldManager": "somebody"}
        if old is None:
            meta.pop("resourceVersion", None)
            body = {**raw, "metadata": meta}
            return await self.kube.request("POST", _path(kind, namespace), body=body, query=query)
        meta["resourceVersion"] = old["metadata"]["resourceVersion"]
        meta.setdefault("finalizers", old["metadata"].get("finalizers", []))
        body = {**raw, "metadata": meta}
        return await self.kube.request("PUT", _path(kind, namespace, name), body=body, query=query)

    async def get(self, kind: str, namespace: str, name: str) -> Raw | None:
        try:
            return await self.kube.request("GET", _path(kind, namespace, name))
        except Missing:
            return None

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        await self.kube.request("DELETE", _path(kind, namespace, name))

    async def set_status(self, kind: str, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        raw = await self.get(kind, namespace, name)
        assert raw is not None
        body, query = {**raw, "status": dict(status)}, {"fieldManager": "somebody"}
        await self.kube.request("PUT", _path(kind, namespace, name) + "/status", body=body, query=query)


def _path(kind: str, namespace: str, name: str = "") -> str:
    base = "/api/v1" if kind in ("Secret", "Namespace") else "/apis/jetbridge.dev/v1alpha1"
    plural = {"Secret": "secrets", "Namespace": "namespaces"}.get(kind) or _PLURALS[kind]
    where = f"/namespaces/{namespace}" if namespace else ""
    return f"{base}{where}/{plural}" + (f"/{name}" if name else "")


@dataclass(frozen=True)
class Both:
    """A cluster, its administrator, and a namespace of its own."""

    cluster: Cluster
    admin: Admin
    namespace: str

    def body(self, name: str = "prod-connections", owner_uid: str = "owner-uid", **data: str) -> SecretBody:
        values = {key: SecretValue.of(value) for key, value in data.items()}
        return SecretBody(self.namespace, name, "prod", owner_uid, "the manifest", values)

    async def connection(self, name: str = "warehouse", **more: Any) -> Meta:
        """A Connection that somebody made; its metadata as the API server has it."""
        raw = objects.connection(self.namespace, name, **more)
        raw["metadata"].pop("uid")
        return parse_meta(await self.admin.put(raw))

    async def status(self, status: Mapping[str, Any], kind: Kind = CONNECTION, name: str = "warehouse") -> Raw:
        """Applies a status to an object as it is now."""
        return await self.cluster.apply_status(kind, parse_meta(await self.get(kind.kind, name)), status)

    async def finalizers(self, *finalizers: str) -> Raw:
        """Applies finalizers to the Connection as it is now."""
        meta = parse_meta(await self.get("Connection", "warehouse"))
        return await self.cluster.apply_finalizers(CONNECTION, meta, finalizers)

    async def get(self, kind: str, name: str) -> Raw:
        found = await self.admin.get(kind, self.namespace, name)
        assert found is not None, f"there is no {kind} {name}"
        return found

    async def secret(self, name: str = "prod-connections") -> dict[str, str]:
        return {k: v.decode() for k, v in decode_data(await self.get("Secret", name)).items()}


@pytest.fixture(params=["fake", pytest.param("kubernetes", marks=pytest.mark.contract)])
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    """The fake, and Kube with the operator's kubeconfig."""
    namespace = f"contract-{uuid.uuid4().hex[:10]}"
    if request.param == "fake":
        fake = FakeCluster()
        yield Both(fake, FakeAdmin(fake), namespace)
        return
    stack: LocalStack = request.getfixturevalue("stack")
    kube, admin = Kube(stack.operator_kubeconfig), Kube(stack.admin_kubeconfig)
    await kube.open()
    await admin.open()
    await admin.request("POST", "/api/v1/namespaces", body={"metadata": {"name": namespace}})
    yield Both(kube, RealAdmin(admin), namespace)
    await kube.close()
    await admin.close()


# Secrets


async def test_a_secret_that_is_not_there(both: Both) -> None:
    assert await both.cluster.get_secret(both.namespace, "nothing") is None


async def test_a_created_secret_is_what_was_asked_for(both: Both) -> None:
    raw = await both.cluster.create_secret(both.body(AIRFLOW_CONN_A="{}", AIRFLOW_CONN_B="é\n"))
    stored = await both.get("Secret", "prod-connections")
    meta = stored["metadata"]
    assert raw["metadata"]["uid"] == meta["uid"]
    assert raw["metadata"]["resourceVersion"] == meta["resourceVersion"]
    assert decode_data(raw) == decode_data(stored) == {"AIRFLOW_CONN_A": b"{}", "AIRFLOW_CONN_B": "é\n".encode()}
    assert (stored["type"], meta["labels"]) == ("Opaque", dict(LABELS))
    assert meta["annotations"] == {MANIFEST_ANNOTATION: "the manifest"}
    (owner,) = meta["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == (
        "AirflowDeployment",
        "prod",
        "owner-uid",
        True,
    )


async def test_an_empty_secret_can_be_created(both: Both) -> None:
    assert decode_data(await both.cluster.create_secret(both.body())) == {}


async def test_a_name_that_is_taken_is_left_alone(both: Both) -> None:
    await both.admin.put(objects.source(both.namespace, "prod-connections", {"theirs": "x"}, labelled=False))
    with pytest.raises(Taken):
        await both.cluster.create_secret(both.body(AIRFLOW_CONN_A=PLANTED))
    assert await both.secret() == {"theirs": "x"}


async def test_a_replaced_secret_holds_nothing_of_before(both: Both) -> None:
    created = parse_meta(await both.cluster.create_secret(both.body(A="1", B="2")))
    stored = await both.get("Secret", "prod-connections")
    stored["data"]["FOREIGN"] = "eA=="
    stored["metadata"]["labels"]["theirs"] = "x"
    now = parse_meta(await both.admin.put(stored))
    raw = await both.cluster.replace_secret(both.body(B="3"), created.uid, now.resource_version)
    assert await both.secret() == {"B": "3"}
    assert raw["metadata"]["labels"] == dict(LABELS)
    assert raw["metadata"]["uid"] == created.uid
    assert raw["metadata"]["resourceVersion"] != now.resource_version


async def test_a_secret_that_changed_since_is_not_replaced(both: Both) -> None:
    seen = parse_meta(await both.cluster.create_secret(both.body(A="1")))
    stored = await both.get("Secret", "prod-connections")
    stored["data"]["FOREIGN"] = "eA=="
    await both.admin.put(stored)
    with pytest.raises(Conflict):
        await both.cluster.replace_secret(both.body(A="2"), seen.uid, seen.resource_version)
    assert (await both.secret()).keys() == {"A", "FOREIGN"}


async def test_a_secret_made_anew_is_not_replaced(both: Both) -> None:
    await both.cluster.create_secret(both.body(A="1"))
    await both.admin.delete("Secret", both.namespace, "prod-connections")
    again = parse_meta(await both.cluster.create_secret(both.body(A="2")))
    with pytest.raises(Conflict):
        await both.cluster.replace_secret(both.body(A="3"), "another-uid", again.resource_version)
    assert await both.secret() == {"A": "2"}


async def test_a_secret_that_is_gone_is_not_made_by_a_replacement(both: Both) -> None:
    seen = parse_meta(await both.cluster.create_secret(both.body(A="1")))
    await both.admin.delete("Secret", both.namespace, "prod-connections")
    with pytest.raises((Missing, Conflict)):
        await both.cluster.replace_secret(both.body(A="2"), seen.uid, seen.resource_version)
    assert await both.cluster.get_secret(both.namespace, "prod-connections") is None


async def test_an_immutable_secret_refuses_other_data(both: Both) -> None:
    await both.cluster.create_secret(both.body(A="1"))
    stored = await both.get("Secret", "prod-connections")
    seen = parse_meta(await both.admin.put({**stored, "immutable": True}))
    with pytest.raises(Refused):
        await both.cluster.replace_secret(both.body(A=PLANTED), seen.uid, seen.resource_version)
    assert await both.secret() == {"A": "1"}


async def test_a_secret_of_another_type_can_not_be_replaced(both: Both) -> None:
    raw = objects.source(both.namespace, "prod-connections", {"A": "1"}, kind="jetbridge.dev/test", labelled=False)
    seen = parse_meta(await both.admin.put(raw))
    with pytest.raises(Refused):
        await both.cluster.replace_secret(both.body(A=PLANTED), seen.uid, seen.resource_version)


async def test_a_secret_that_is_too_large_is_refused(both: Both) -> None:
    with pytest.raises(Refused) as caught:
        await both.cluster.create_secret(both.body(A=PLANTED * 80_000))
    assert PLANTED not in str(caught.value)


async def test_a_secret_is_deleted_by_its_uid(both: Both) -> None:
    seen = parse_meta(await both.cluster.create_secret(both.body(A="1")))
    with pytest.raises(Conflict):
        await both.cluster.delete_secret(both.namespace, "prod-connections", "another-uid")
    assert await both.secret() == {"A": "1"}
    await both.cluster.delete_secret(both.namespace, "prod-connections", seen.uid)
    assert await both.cluster.get_secret(both.namespace, "prod-connections") is None


async def test_deleting_a_secret_that_is_gone_is_fine(both: Both) -> None:
    await both.cluster.delete_secret(both.namespace, "nothing", "any-uid")


async def test_one_of_two_creators_wins(both: Both) -> None:
    results = await asyncio.gather(
        *(both.cluster.create_secret(both.body(A=str(n))) for n in range(5)), return_exceptions=True
    )
    assert sum(isinstance(r, dict) for r in results) == 1
    assert sum(isinstance(r, Taken) for r in results) == 4


# Statuses


def ready(status: str = "True", kind: str = "Ready") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": "Reason",
        "message": "m",
        "lastTransitionTime": NOW,
        "observedGeneration": 1,
    }


async def test_an_applied_status_stands(both: Both) -> None:
    meta = await both.connection()
    status = {"observedGeneration": 1, "delivered": "1/1", "conditions": [ready(kind="Stored"), ready()]}
    raw = await both.status(status)
    assert raw["status"] == status
    assert (await both.get("Connection", "warehouse"))["status"] == status
    assert raw["spec"] == {"type": "postgres"}
    assert raw["metadata"]["generation"] == meta.generation, "a status is no new generation"


async def test_what_is_no_longer_applied_is_gone(both: Both) -> None:
    await both.connection()
    entry = {"path": "p", "version": 1, "digest": "d", "refs": "r"}
    await both.status({"vault": entry, "conditions": [ready(kind="Stored"), ready()]})
    raw = await both.status({"conditions": [ready("False")]})
    assert raw["status"] == {"conditions": [ready("False")]}


async def test_the_same_status_again_changes_nothing(both: Both) -> None:
    await both.connection()
    first = await both.status({"conditions": [ready()]})
    again = await both.status({"conditions": [ready()]})
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_the_condition_of_somebody_else_stays(both: Both) -> None:
    await both.connection()
    await both.admin.set_status("Connection", both.namespace, "warehouse", {"conditions": [ready(kind="Theirs")]})
    await both.status({"conditions": [ready()]})
    raw = await both.status({"conditions": [ready("False")]})
    assert {c["type"]: c["status"] for c in raw["status"]["conditions"]} == {"Theirs": "True", "Ready": "False"}


async def test_our_condition_is_ours_also_when_somebody_changed_it(both: Both) -> None:
    await both.connection()
    await both.status({"conditions": [ready()]})
    await both.admin.set_status("Connection", both.namespace, "warehouse", {"conditions": [ready("False")]})
    raw = await both.status({"conditions": [ready()]})
    assert [c["status"] for c in raw["status"]["conditions"]] == ["True"]


async def test_a_status_for_what_is_gone_makes_nothing(both: Both) -> None:
    meta = await both.connection()
    await both.admin.delete("Connection", both.namespace, "warehouse")
    with pytest.raises((Missing, Conflict)):
        await both.cluster.apply_status(CONNECTION, meta, {"conditions": [ready()]})
    assert await both.admin.get("Connection", both.namespace, "warehouse") is None


async def test_a_status_for_what_was_made_anew_is_refused(both: Both) -> None:
    meta = await both.connection()
    await both.admin.delete("Connection", both.namespace, "warehouse")
    await both.connection()
    with pytest.raises((Missing, Conflict)):
        await both.cluster.apply_status(CONNECTION, meta, {"conditions": [ready()]})
    assert "status" not in await both.get("Connection", "warehouse")


async def test_a_status_for_what_changed_since_is_refused(both: Both) -> None:
    """The change is on its way to us, and its status will be another one."""
    meta = await both.connection()
    await both.admin.put(objects.connection(both.namespace, "warehouse", {"type": "http"}))
    with pytest.raises(Conflict):
        await both.cluster.apply_status(CONNECTION, meta, {"conditions": [ready()]})
    assert "status" not in await both.get("Connection", "warehouse")


async def test_a_status_beyond_its_bounds_is_refused(both: Both) -> None:
    await both.connection()
    with pytest.raises(Refused) as caught:
        await both.status({"delivered": PLANTED * 10})
    assert PLANTED not in str(caught.value)


async def test_a_list_in_a_status_is_replaced_whole(both: Both) -> None:
    raw = objects.deployment(both.namespace, "prod")
    raw["metadata"].pop("uid")
    await both.admin.put(raw)
    problem = {"id": "a", "connection": "n/a", "reason": "R", "message": "m"}
    await both.status({"problems": [problem, {**problem, "id": "b"}]}, DEPLOYMENT, "prod")
    after = await both.status({"problems": [{**problem, "id": "c"}]}, DEPLOYMENT, "prod")
    assert [p["id"] for p in after["status"]["problems"]] == ["c"]


# Finalizers


async def test_a_finalizer_is_put_and_taken(both: Both) -> None:
    await both.connection()
    raw = await both.finalizers(ENTRY_FINALIZER)
    assert raw["metadata"]["finalizers"] == [ENTRY_FINALIZER]
    assert raw["spec"] == {"type": "postgres"}
    raw = await both.finalizers()
    assert not raw["metadata"].get("finalizers")


async def test_the_same_finalizer_again_changes_nothing(both: Both) -> None:
    await both.connection()
    first = await both.finalizers(ENTRY_FINALIZER)
    again = await both.finalizers(ENTRY_FINALIZER)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_the_finalizer_of_somebody_else_stays(both: Both) -> None:
    await both.connection(finalizers=["theirs.dev/x"])
    raw = await both.finalizers(ENTRY_FINALIZER)
    assert set(raw["metadata"]["finalizers"]) == {"theirs.dev/x", ENTRY_FINALIZER}
    raw = await both.finalizers()
    assert raw["metadata"]["finalizers"] == ["theirs.dev/x"]


async def test_a_finalizer_does_not_take_the_status_away(both: Both) -> None:
    await both.connection()
    await both.finalizers(ENTRY_FINALIZER)
    await both.status({"delivered": "1/1"})
    raw = await both.finalizers()
    assert raw["status"] == {"delivered": "1/1"}
    await both.finalizers(ENTRY_FINALIZER)
    raw = await both.status({"delivered": "2/2"})
    assert raw["metadata"]["finalizers"] == [ENTRY_FINALIZER], "a status does not take a finalizer away"


async def test_what_is_deleted_waits_for_our_finalizer_and_goes_with_it(both: Both) -> None:
    await both.connection()
    await both.finalizers(ENTRY_FINALIZER)
    await both.admin.delete("Connection", both.namespace, "warehouse")
    waiting = parse_meta(await both.get("Connection", "warehouse"))
    assert waiting.deleting
    raw = await both.finalizers()
    assert raw["metadata"]["deletionTimestamp"]
    assert not raw["metadata"].get("finalizers")
    assert await both.admin.get("Connection", both.namespace, "warehouse") is None


async def test_what_is_deleted_takes_no_new_finalizer(both: Both) -> None:
    await both.connection(finalizers=["theirs.dev/x"])
    await both.admin.delete("Connection", both.namespace, "warehouse")
    with pytest.raises(Refused):
        await both.finalizers(ENTRY_FINALIZER)


async def test_a_finalizer_for_what_changed_since_is_refused(both: Both) -> None:
    meta = await both.connection(finalizers=["theirs.dev/x"])
    await both.admin.delete("Connection", both.namespace, "warehouse")
    with pytest.raises(Conflict):
        await both.cluster.apply_finalizers(CONNECTION, meta, (ENTRY_FINALIZER,))


async def test_a_finalizer_for_what_is_gone_makes_nothing(both: Both) -> None:
    """A server-side apply would create the object, were it not for the uid."""
    meta = await both.connection()
    await both.admin.delete("Connection", both.namespace, "warehouse")
    with pytest.raises((Missing, Conflict)):
        await both.cluster.apply_finalizers(CONNECTION, meta, (ENTRY_FINALIZER,))
    assert await both.admin.get("Connection", both.namespace, "warehouse") is None


async def test_a_finalizer_for_what_was_made_anew_is_refused(both: Both) -> None:
    meta = await both.connection()
    await both.admin.delete("Connection", both.namespace, "warehouse")
    await both.connection()
    with pytest.raises((Missing, Conflict)):
        await both.cluster.apply_finalizers(CONNECTION, meta, (ENTRY_FINALIZER,))
    assert "finalizers" not in (await both.get("Connection", "warehouse"))["metadata"]


# Events


async def test_an_event_is_taken(both: Both) -> None:
    meta = await both.connection()
    involved = {"kind": "Connection", "namespace": both.namespace, "name": "warehouse", "uid": meta.uid}
    await both.cluster.create_event(
        both.namespace,
        {
            "metadata": {"generateName": "warehouse.", "namespace": both.namespace},
            "involvedObject": {"apiVersion": "jetbridge.dev/v1alpha1", **involved},
            "type": "Normal",
            "reason": "Delivered",
            "message": "m",
            "source": {"component": "jetbridge"},
            "firstTimestamp": NOW,
            "lastTimestamp": NOW,
            "count": 1,
        },
    )


# What is a server's alone


async def kube(path: Path) -> Kube:
    made = Kube(path)
    await made.open()
    return made


@pytest.mark.contract
async def test_what_the_role_does_not_allow_is_forbidden(stack: LocalStack) -> None:
    cluster = await kube(stack.operator_kubeconfig)
    with pytest.raises(Forbidden):
        await cluster.request("PATCH", "/api/v1/namespaces/default/secrets/x", body={"data": {"a": PLANTED}})
    await cluster.close()


@pytest.mark.contract
async def test_every_answer_is_observed_with_its_code(stack: LocalStack) -> None:
    told: list[tuple[str, str, int]] = []
    cluster = Kube(stack.operator_kubeconfig, lambda *what: told.append(what))
    await cluster.open()
    await cluster.get_secret("default", "nothing")
    await cluster.close()
    assert told == [("GET", "secrets", 404)]


@pytest.mark.contract
async def test_a_token_that_was_replaced_is_read_anew(stack: LocalStack, tmp_path: Path) -> None:
    """Bound tokens rotate; the old one ends."""
    token = tmp_path / "token"
    token.write_text(PLANTED)
    config = tmp_path / "kubeconfig"
    config.write_text(stack.operator_kubeconfig.read_text().replace(str(stack.operator_token), str(token)))
    cluster = await kube(config)
    token.write_text(stack.operator_token.read_text())
    assert await cluster.get_secret("default", "nothing") is None
    await cluster.close()


@pytest.mark.contract
async def test_a_token_that_stays_wrong_is_forbidden_without_quoting_it(stack: LocalStack, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(PLANTED)
    config = tmp_path / "kubeconfig"
    config.write_text(stack.operator_kubeconfig.read_text().replace(str(stack.operator_token), str(token)))
    cluster = await kube(config)
    with pytest.raises(Forbidden) as caught:
        await cluster.get_secret("default", "nothing")
    assert PLANTED not in str(caught.value)
    await cluster.close()


async def test_an_api_server_that_does_not_listen_is_unavailable(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = tmp_path / "kubeconfig"
    config.write_text(
        f"""
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: u, user: {{token: {PLANTED}}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
current-context: x
"""
    )
    cluster = await kube(config)
    with pytest.raises(ApiUnavailable) as caught:
        await cluster.get_secret("default", "nothing")
    assert PLANTED not in str(caught.value)
    await cluster.close()


async def test_a_kubeconfig_that_is_none_is_told(tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text(f"users: {PLANTED}\n")
    with pytest.raises(ClusterError) as caught:
        await kube(config)
    assert PLANTED not in str(caught.value)


async def test_without_an_open_connection_nothing_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ApiUnavailable):
        await Kube(tmp_path / "none").get_secret("a", "b")
