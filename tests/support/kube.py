"""The API server as a cluster administrator sees it, with nothing of the operator's own client in between."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp

from dev.stack import LocalStack

Object = dict[str, Any]
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
_CORE = {"Secret": "secrets", "Event": "events", "ConfigMap": "configmaps"}
_OURS = {
    "Connection": "connections",
    "ConnectionLink": "connectionlinks",
    "AirflowDeployment": "airflowdeployments",
    "Workspace": "workspaces",
}
KINDS = tuple(_OURS)


class Refused(Exception):
    """The API server said no."""

    def __init__(self, status: int, answer: Object) -> None:
        super().__init__(f"{status} {answer.get('reason')}: {answer.get('message')}")
        self.status = status


class Admin:
    """Requests as administrator. Every method speaks of raw objects."""

    def __init__(self, stack: LocalStack) -> None:
        self._server = stack.control_plane.server
        self._ssl = ssl.create_default_context(cafile=str(stack.pki.ca.certificate))
        self._ssl.load_cert_chain(stack.pki.admin.certificate, stack.pki.admin.key)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """One request; an answer of 400 and above is `Refused`."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        url = self._server + path + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type}
        async with self._session.request(method, url, data=data, headers=headers, ssl=self._ssl) as response:
            answer: Object = json.loads(await response.read() or b"{}")
            if response.status >= 400:
                raise Refused(response.status, answer)
            return answer

    async def get(self, kind: str, name: str, namespace: str) -> Object | None:
        """The object, or None."""
        try:
            return await self.request("GET", path_of(kind, namespace, name))
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    async def list(self, kind: str, namespace: str) -> list[Object]:
        """All objects of a kind in a namespace."""
        items: list[Object] = (await self.request("GET", path_of(kind, namespace)))["items"]
        return items

    async def apply(self, manifest: Object, manager: str = "tests") -> Object:
        """Server-side apply, as kubectl and GitOps tools do."""
        meta = manifest["metadata"]
        return await self.request(
            "PATCH",
            path_of(manifest["kind"], meta.get("namespace", ""), meta["name"]),
            manifest,
            query={"fieldManager": manager, "force": "true"},
            content_type=APPLY,
        )

    async def create(self, manifest: Object) -> Object:
        """POST."""
        return await self.request("POST", path_of(manifest["kind"], manifest["metadata"]["namespace"]), manifest)

    async def replace(self, manifest: Object) -> Object:
        """PUT."""
        meta = manifest["metadata"]
        return await self.request("PUT", path_of(manifest["kind"], meta["namespace"], meta["name"]), manifest)

    async def patch(self, kind: str, name: str, namespace: str, change: Object) -> Object:
        """A merge patch: what is None goes."""
        return await self.request("PATCH", path_of(kind, namespace, name), change, content_type=MERGE)

    async def delete(self, kind: str, name: str, namespace: str) -> None:
        """DELETE; one that is gone already is fine."""
        try:
            await self.request("DELETE", path_of(kind, namespace, name))
        except Refused as refused:
            if refused.status != 404:
                raise


def path_of(kind: str, namespace: str, name: str = "") -> str:
    """The URL path of a kind's collection, or of one object of it."""
    tail = f"/{name}" if name else ""
    if kind == "Namespace":
        return f"/api/v1/namespaces{tail}"
    if kind in _CORE:
        return f"/api/v1/namespaces/{namespace}/{_CORE[kind]}{tail}"
    return f"/apis/jetbridge.dev/v1alpha1/namespaces/{namespace}/{_OURS[kind]}{tail}"


def encoded(data: Mapping[str, str | bytes]) -> dict[str, str]:
    """The data of a Secret as the API takes it."""
    return {k: base64.b64encode(v.encode() if isinstance(v, str) else v).decode() for k, v in data.items()}


def decoded(secret: Object) -> dict[str, str]:
    """The data of a Secret as text."""
    return {k: base64.b64decode(v).decode() for k, v in (secret.get("data") or {}).items()}
