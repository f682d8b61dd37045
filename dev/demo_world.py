"""What the deployments should have, told from the live objects by the operator's own core."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import SecretStr

from dev.apiclient import Raw, Server
from jetbridge.api.common import GROUP, VERSION
from jetbridge.api.kinds import KINDS
from jetbridge.core.airflow import NotRepresentable
from jetbridge.core.fields import EXTRA, FieldValue
from jetbridge.core.jsonvalue import JsonValue
from jetbridge.core.material import Ready
from jetbridge.core.plan import StoredFields, merged, render
from jetbridge.core.resolve import DeploymentSlice, DesiredEntry, resolve
from jetbridge.core.secret_value import MASK
from jetbridge.core.views import (
    SOURCE_LABEL,
    DeploymentView,
    Owner,
    View,
    connection_view,
    deployment_view,
    link_view,
    namespace_view,
    secret_view,
    workspace_view,
)
from jetbridge.shell.memory import Memory
from jetbridge.shell.settings import VaultSettings
from jetbridge.shell.state import ClusterState

ObjectRef = tuple[str, str, str]  # kind, namespace, name
_PARSERS: Mapping[str, Callable[[Raw], View]] = {
    "Connection": connection_view,
    "ConnectionLink": link_view,
    "AirflowDeployment": deployment_view,
    "Workspace": workspace_view,
    "Namespace": namespace_view,
}


@dataclass(frozen=True, slots=True)
class Delivered:
    """One connection of one deployment: as it should be, and as its Secret has it (`text`; None when it has not)."""

    deployment: DeploymentView
    entry: DesiredEntry
    fields: Mapping[str, FieldValue]
    removed: Mapping[str, str]
    since: str
    text: str | None = field(repr=False)

    @property
    def as_planned(self) -> bool:
        """Whether the Secret has, byte for byte, what the core renders."""
        try:
            return self.text == render(self.fields, self.deployment.format)[0]
        except NotRepresentable:
            return False


@dataclass(frozen=True, slots=True)
class World:
    """The objects of one moment, raw and by what they are."""

    objects: Mapping[ObjectRef, Raw] = field(repr=False)

    def get(self, kind: str, namespace: str, name: str) -> Raw:
        """An object; empty when it is not there."""
        return self.objects.get((kind, namespace, name), {})

    def delivered(self, namespace: str, name: str) -> list[Delivered]:
        """What one deployment should have, in the order of the ids."""
        state = self._state()
        view = state.deployments.get(namespace, name)
        if view is None:
            return []
        workspaces = tuple(state.workspace_slice(home, view) for home in view.workspaces)
        # The records in the statuses are all that is asked of it; nobody logs in.
        memory = Memory(state, VaultSettings(address="http://127.0.0.1", auth="token", token=SecretStr("none")))
        owners: list[Owner] = []
        for workspace in workspaces:
            owners += [*workspace.connections, *workspace.links]
        material = {owner.meta.uid: memory.material(owner) for owner in owners}
        resolution = resolve(DeploymentSlice(view, state.namespace(namespace), workspaces, material))
        stored: StoredFields = {
            uid: known.fields
            for uid, known in material.items()
            if isinstance(known, Ready) and known.fields is not None
        }
        secret = secret_data(self.get("Secret", namespace, view.secret_name))
        since = {str(item["id"]): str(item.get("since", "")) for item in view.status.get("connections") or ()}
        return [
            Delivered(
                view,
                entry,
                merged(entry, stored),
                _removed(entry, stored),
                since.get(entry.connection.connection_id, ""),
                secret.get(entry.env_name),
            )
            for entry in resolution.entries
        ]

    def _state(self) -> ClusterState:
        state = ClusterState()
        for (kind, _, _), raw in self.objects.items():
            view = _view(kind, raw)
            if view is not None:
                state.upsert(view)
        return state


async def read_world(kubernetes: Server) -> World:
    """The live objects."""
    paths = {kind.kind: f"/apis/{GROUP}/{VERSION}/{kind.plural}" for kind in KINDS}
    paths |= {"Namespace": "/api/v1/namespaces", "Secret": f"/api/v1/secrets?labelSelector={SOURCE_LABEL}"}
    answers = await asyncio.gather(*(kubernetes.call("GET", path) for path in paths.values()))
    objects: dict[ObjectRef, Raw] = {}
    for kind, answer in zip(paths, answers, strict=True):
        for raw in answer["items"]:
            objects[(kind, raw["metadata"].get("namespace", ""), raw["metadata"]["name"])] = raw
    return World(objects)


def secret_data(raw: Raw) -> dict[str, str]:
    """The data of a Secret as text."""
    return {key: base64.b64decode(value or "").decode() for key, value in (raw.get("data") or {}).items()}


def masked(item: Delivered) -> str:
    """What stands in the Secret, without what came from a source; all is hidden if it is not just what was planned."""
    if item.text is None:
        return "missing"
    if not item.as_planned or item.deployment.format != "JSON":
        return MASK
    content = json.loads(item.text)
    for name, value in item.fields.items():
        if not value.sourced:
            continue
        if name.startswith(EXTRA):
            content["extra"][name.removeprefix(EXTRA)] = MASK
        else:
            content["conn_type" if name == "type" else name] = MASK
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def shown(value: JsonValue) -> str:
    """A field's value in a table."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _view(kind: str, raw: Raw) -> View | None:
    if kind == "Secret":
        return secret_view(raw, {key: base64.b64decode(value or "") for key, value in (raw.get("data") or {}).items()})
    return _PARSERS[kind](raw)


def _removed(entry: DesiredEntry, stored: StoredFields) -> dict[str, str]:
    """The fields that a layer takes away, and which one."""
    final = merged(entry, stored)
    names: Sequence[tuple[str, str]] = [(name, layer.origin) for layer in entry.layers for name in layer.unset]
    return {name: origin for name, origin in names if name not in final}
