"""The cluster writer over `kubernetes.aio`.

Requests are made on the client's lowest layer: typed models cost several times the request itself, and an error's text, which
may quote an object, is never kept.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import yaml
from kubernetes.aio import client as k8s
from kubernetes.aio import config as k8s_config

from jetbridge.api.common import API_VERSION, GROUP, VERSION
from jetbridge.api.kinds import Kind
from jetbridge.core.actions import SecretBody
from jetbridge.core.plan import LABELS, SECRET_TYPE
from jetbridge.core.views import MANIFEST_ANNOTATION, Meta
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

FIELD_MANAGER = "jetbridge"
_APPLY = "application/apply-patch+yaml"
_TIMEOUT = 30


def secret_manifest(body: SecretBody) -> Raw:
    """A rendered Secret as the API takes it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": body.name,
            "namespace": body.namespace,
            "labels": dict(LABELS),
            "annotations": {MANIFEST_ANNOTATION: body.manifest},
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "AirflowDeployment",
                    "name": body.owner_name,
                    "uid": body.owner_uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "type": SECRET_TYPE,
        "data": {k: base64.b64encode(v.reveal()).decode() for k, v in body.data.items()},
    }


def decode_data(raw: Mapping[str, Any]) -> dict[str, bytes]:
    """The data of a Secret as the API gives it."""
    return {key: base64.b64decode(value or "") for key, value in (raw.get("data") or {}).items()}


async def load_credentials(kubeconfig: Path | None) -> k8s.Configuration:
    """The credentials of a kubeconfig, or those of the pod when none is given.

    Raises:
        ClusterError: there are none.
    """
    configuration = k8s.Configuration()
    try:
        if kubeconfig is not None:
            await k8s_config.load_kube_config(  # type: ignore[no-untyped-call]
                str(kubeconfig), client_configuration=configuration
            )
        else:
            k8s_config.load_incluster_config(  # type: ignore[no-untyped-call]
                client_configuration=configuration
            )
    except (k8s_config.ConfigException, yaml.YAMLError, OSError) as error:
        where = f"in {kubeconfig}" if kubeconfig is not None else "in a pod, nor a kubeconfig"
        raise ClusterError(f"no credentials for Kubernetes {where} ({type(error).__name__})") from None
    configuration.connection_pool_maxsize = 100
    return configuration


class Kube(Cluster):
    """Speaks to one API server. `observe(verb, resource, code)` is told of every answer."""

    def __init__(
        self, kubeconfig: Path | None = None, observe: Callable[[str, str, int], None] = lambda *_: None
    ) -> None:
        self._kubeconfig = kubeconfig
        self._observe = observe
        self._client: k8s.ApiClient | None = None
        self._reload = asyncio.Lock()

    async def open(self) -> None:
        """Loads the credentials and is ready for requests.

        Raises:
            ClusterError: there are none.
        """
        configuration = await load_credentials(self._kubeconfig)
        old, self._client = self._client, k8s.ApiClient(configuration)
        if old is not None:
            await old.close()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            await self._client.close()  # type: ignore[no-untyped-call]

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        resource: str = "",
    ) -> Raw:
        """One request; gives the answer's object.

        Raises:
            ClusterError: one of its kinds, by the answer's status.
        """
        used = self._client
        status, text = await self._send(method, path, body, query, content_type)
        if status == 401:
            # Bound tokens rotate: read the credentials anew, once, however many requests met it.
            async with self._reload:
                if self._client is used:
                    await self.open()
            status, text = await self._send(method, path, body, query, content_type)
        self._observe(method, resource, status)
        if 200 <= status < 300:
            answer: Raw = json.loads(text)
            return answer
        raise _error(status, _reason(text), method, path)

    async def _send(
        self, method: str, path: str, body: Any, query: Mapping[str, str] | None, content_type: str
    ) -> tuple[int, bytes]:
        client = self._client
        if client is None:
            raise ApiUnavailable("not connected")
        url = client.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", "Content-Type": content_type, "User-Agent": "jetbridge"}
        try:
            token = await client.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
            if token:
                headers["Authorization"] = token
            response = await client.rest_client.request(  # type: ignore[no-untyped-call]
                method, url, headers=headers, body=body, _request_timeout=_TIMEOUT
            )
            return int(response.status), await response.read()
        except (
            aiohttp.ClientError,
            TimeoutError,
            OSError,
            RuntimeError,
        ) as error:  # RuntimeError: a session that was closed
            raise ApiUnavailable(f"the API server can't be reached ({type(error).__name__})") from None

    # -- the contract

    async def get_secret(self, namespace: str, name: str) -> Raw | None:
        try:
            return await self.request("GET", _secret(namespace, name), resource="secrets")
        except Missing:
            return None

    async def create_secret(self, body: SecretBody) -> Raw:
        return await self.request(
            "POST",
            f"/api/v1/namespaces/{body.namespace}/secrets",
            body=secret_manifest(body),
            query={"fieldManager": FIELD_MANAGER},
            resource="secrets",
        )

    async def replace_secret(self, body: SecretBody, uid: str, resource_version: str) -> Raw:
        manifest = secret_manifest(body)
        manifest["metadata"] |= {"uid": uid, "resourceVersion": resource_version}
        return await self.request(
            "PUT",
            _secret(body.namespace, body.name),
            body=manifest,
            query={"fieldManager": FIELD_MANAGER},
            resource="secrets",
        )

    async def delete_secret(self, namespace: str, name: str, uid: str) -> None:
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        try:
            await self.request("DELETE", _secret(namespace, name), body=options, resource="secrets")
        except Missing:
            return

    async def apply_status(self, kind: Kind, meta: Meta, status: Mapping[str, Any]) -> Raw:
        return await self._apply(kind, meta, "/status", {}, {"status": dict(status)})

    async def apply_finalizers(self, kind: Kind, meta: Meta, finalizers: Sequence[str]) -> Raw:
        return await self._apply(kind, meta, "", {"finalizers": list(finalizers)} if finalizers else {}, {})

    async def create_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        await self.request("POST", f"/api/v1/namespaces/{namespace}/events", body=event, resource="events")

    async def _apply(
        self, kind: Kind, meta: Meta, subresource: str, metadata: Mapping[str, Any], rest: Mapping[str, Any]
    ) -> Raw:
        # Without the uid an apply would make a deleted object anew; without the version (a status is not compared by uid) it
        # could go to another object of that name.
        seen = {"uid": meta.uid, "resourceVersion": meta.resource_version}
        body = {
            "apiVersion": API_VERSION,
            "kind": kind.kind,
            "metadata": {"name": meta.name, "namespace": meta.namespace, **seen, **metadata},
            **rest,
        }
        return await self.request(
            "PATCH",
            f"/apis/{GROUP}/{VERSION}/namespaces/{meta.namespace}/{kind.plural}/{meta.name}{subresource}",
            body=body,
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            content_type=_APPLY,
            resource=kind.plural + subresource,
        )


def _secret(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/secrets/{name}"


def _reason(text: bytes) -> str:
    """The machine-readable reason of a Status; its message may quote the object and is dropped."""
    try:
        reason = json.loads(text).get("reason")
    except (ValueError, AttributeError):
        return ""
    return reason if isinstance(reason, str) else ""


def _error(status: int, reason: str, method: str, path: str) -> ClusterError:
    what = f"{method} {path}: {status} {reason}".rstrip()
    if status == 404:
        return Missing(what)
    if status == 409:
        return Taken(what) if reason == "AlreadyExists" else Conflict(what)
    if status in (401, 403):
        return Forbidden(what)
    if status in (400, 405, 413, 415, 422):
        return Refused(what)
    return ApiUnavailable(what)
