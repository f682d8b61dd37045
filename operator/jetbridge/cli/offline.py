"""What each deployment would receive, told from files alone: the operator's own core, with the sources as the material."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jetbridge.core.airflow import NotRepresentable
from jetbridge.core.digest import Keyring, Scope
from jetbridge.core.fields import FieldValue
from jetbridge.core.ingest import entry_digest
from jetbridge.core.material import Blocked, Material, NoMaterial, Ready
from jetbridge.core.plan import Observed, draft, merged, plan, render
from jetbridge.core.resolve import DeploymentSlice, Problem, resolve
from jetbridge.core.secret_value import SecretValue
from jetbridge.core.sources import Collected, collect, has_sources, refs_fingerprint
from jetbridge.core.views import DeploymentView, Owner, Record
from jetbridge.shell.state import ClusterState

# Offline digests never leave the process; the key only has to be there.
_KEYRING = Keyring("offline", {"offline": SecretValue(b"offline")})


@dataclass(frozen=True, slots=True)
class OfflineEntry:
    """One connection as a deployment would receive it."""

    env_name: str
    connection_id: str
    connection: str
    via: str
    fields: Mapping[str, FieldValue] = field(repr=False)
    value: str = field(repr=False)
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OfflineDeployment:
    """All that one deployment would receive, and what it would lack."""

    deployment: DeploymentView
    entries: tuple[OfflineEntry, ...]
    problems: tuple[Problem, ...]
    not_admitted: tuple[str, ...]
    notes: tuple[str, ...]


def render_all(state: ClusterState) -> list[OfflineDeployment]:
    """What every deployment of the state would receive, sorted by namespace and name."""
    found = sorted(state.deployments, key=lambda view: view.key)
    return [render_deployment(state, view) for view in found]


def render_deployment(state: ClusterState, view: DeploymentView) -> OfflineDeployment:
    """What one deployment would receive."""
    workspaces = tuple(state.workspace_slice(home, view) for home in view.workspaces)
    owners: list[Owner] = [o for w in workspaces for o in w.connections]
    owners += [o for w in workspaces for o in w.links]
    notes: list[str] = []
    material = {owner.meta.uid: _material(state, owner, notes) for owner in owners}
    namespace = state.namespace(view.meta.namespace)
    resolution = resolve(DeploymentSlice(view, namespace, workspaces, material, discreet=False))
    scope = Scope(namespace.meta.uid if namespace is not None else "", view.meta.uid)
    work = draft(view, scope, resolution, Observed(None), _KEYRING)
    stored = {
        layer.owner.uid: layer.ready.fields
        for layer in work.needs
        if layer.ready is not None and layer.ready.fields is not None
    }
    result = plan(work, stored, _KEYRING, "")
    entries = []
    for entry in result.entries:
        if entry.record is None:
            continue
        fields = merged(entry.desired, stored)
        try:
            value, _ = render(fields, view.format)
        except NotRepresentable:  # then there would be no record
            continue
        connection = entry.desired.connection
        entries.append(
            OfflineEntry(
                entry.desired.env_name,
                connection.connection_id,
                str(connection.meta),
                entry.desired.via,
                fields,
                value,
                entry.warnings,
            )
        )
    problems = [*resolution.problems, *(e.problem for e in result.entries if e.problem is not None)]
    told = [t.message for t in resolution.told]
    return OfflineDeployment(
        view,
        tuple(entries),
        tuple(sorted(problems, key=lambda p: (p.connection_id, p.connection))),
        resolution.not_admitted,
        tuple(dict.fromkeys([*notes, *told])),
    )


def _material(state: ClusterState, owner: Owner, notes: list[str]) -> Material:
    spec = owner.fields
    if spec is None or not has_sources(spec):
        return NoMaterial()
    source = collect(spec, owner.meta.namespace, lambda name: state.secrets.get(owner.meta.namespace, name))
    if not isinstance(source, Collected):
        return Blocked(source.reason.value, source.message)
    notes += source.warnings
    digest = entry_digest(_KEYRING, Scope("", owner.meta.uid), source.fields)
    return Ready(Record("", 0, digest, refs_fingerprint(spec)), source.fields)
