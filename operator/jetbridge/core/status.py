"""The statuses of the four kinds, from outcomes: pure, bounded, and the same for the same world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jetbridge.api.deployment import MAX_LISTED_BYTES, MAX_LISTED_CONNECTIONS, MAX_LISTED_PROBLEMS
from jetbridge.core.airflow import check_connection_id
from jetbridge.core.conditions import condition
from jetbridge.core.fields import plain_fields
from jetbridge.core.ingest import StoreReason
from jetbridge.core.material import Blocked, LastIngest, Material, NoMaterial, Ready
from jetbridge.core.outcome import Outcome, Word, WriteFailure
from jetbridge.core.plan import Entry, Plan
from jetbridge.core.resolve import Problem, Resolution
from jetbridge.core.sources import Collected, SourceProblem, origins_of
from jetbridge.core.views import ConnectionView, DeploymentView, LinkView, Record, WorkspaceView

StatusBody = dict[str, Any]


# ---- AirflowDeployment


def deployment_status(
    view: DeploymentView, resolution: Resolution, plan: Plan, failure: WriteFailure | None, now: str
) -> StatusBody:
    """What a deployment's owner reads: what is in, from where, since when; what is not, and why."""
    problems = sorted(
        [*resolution.problems, *(e.problem for e in plan.entries if e.problem is not None)],
        key=lambda p: (p.connection_id, p.connection),
    )
    current = [e for e in plan.entries if e.current] if failure is None else []
    listed = [e for e in plan.entries if e.record is not None] if failure is None else []
    body: StatusBody = {
        "observedGeneration": view.meta.generation,
        "secretName": view.secret_name,
        "delivered": f"{len(current)}/{len(plan.entries) + len(resolution.problems)}",
    }
    if listed:
        body["connections"] = _bounded([_listed(e) for e in listed[:MAX_LISTED_CONNECTIONS]])
    if problems:
        body["problems"] = [_shown(p) for p in problems[:MAX_LISTED_PROBLEMS]]
    body["conditions"] = [_deployment_ready(view, resolution, problems, failure, len(current), now)]
    return body


def _bounded(items: list[StatusBody]) -> list[StatusBody]:
    """The items without the fields of those that would make the status larger than an object should be."""
    size = 0
    for item in items:
        size += len(repr(item))
        if size > MAX_LISTED_BYTES:
            item.pop("fields", None)
    return items


def _listed(entry: Entry) -> StatusBody:
    desired, record = entry.desired, entry.record
    fields: dict[str, str] = {}
    vault = []
    for layer in desired.layers:
        for name in layer.unset:
            for gone in [f for f in fields if f == name or (name == "extra" and f.startswith("extra."))]:
                del fields[gone]
            fields[name] = f"unset by {layer.origin}"
        plain = plain_fields(layer.spec)
        if layer.ready is not None:
            vault.append(f"{layer.ready.record.path}@{layer.ready.record.version}")
        prefix = f"{layer.origin}: " if layer.origin else ""
        for item in layer.spec.fields_from or ():
            where = origins_of(layer.spec, {item.field: None})
            fields[item.field] = prefix + where[item.field]
        if layer.spec.secret_ref is not None:
            fields["secretRef"] = f"{prefix}Secret {layer.spec.secret_ref.name}"
        if layer.origin:
            fields.update(dict.fromkeys(plain, layer.origin))
    body: StatusBody = {
        "id": desired.connection.connection_id,
        "connection": str(desired.connection.meta),
        "via": desired.via,
        "since": record.since if record is not None else "",
    }
    if fields:
        body["fields"] = {name: where[:640] for name, where in sorted(fields.items())[:64]}
    if vault:
        body["vault"] = vault
    return body


def _shown(problem: Problem) -> StatusBody:
    return {
        "id": problem.connection_id[:253],
        "connection": problem.connection,
        "reason": problem.reason,
        "message": problem.message[:1024],
    }


def _deployment_ready(
    view: DeploymentView,
    resolution: Resolution,
    problems: Sequence[Problem],
    failure: WriteFailure | None,
    current: int,
    now: str,
) -> StatusBody:
    if view.problem is not None:
        ready = ("False", "InvalidSpec", view.problem)
    elif failure is not None:
        ready = ("False", failure.reason, failure.message)
    elif resolution.not_admitted:
        names = ", ".join(resolution.not_admitted)
        ready = (
            "False",
            "NotAdmitted",
            f"not admitted by {names}: a Workspace named default there must admit namespace {view.meta.namespace}",
        )
    elif resolution.frozen:
        ready = (
            "False",
            "WorkspaceNotWatched",
            f"the operator does not watch {', '.join(resolution.frozen)}; what came from there stays as it is",
        )
    elif problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more, see status.problems)" if len(problems) > 1 else ""
        ready = ("False", first.reason, f"{first.connection_id}: {first.message}{more}")
    else:
        count = "1 connection is" if current == 1 else f"{current} connections are"
        ready = ("True", "Delivered", f"{count} in Secret {view.secret_name}")
    return _ready(view, ready, now)


# ---- Connection and ConnectionLink


@dataclass(frozen=True, slots=True)
class Ingested:
    """What is known of an owner's material when its status is written."""

    material: Material
    record: Record | None
    last: LastIngest | None
    source: Collected | SourceProblem | None


def _ingest_parts(view: ConnectionView | LinkView, known: Ingested, now: str) -> tuple[StatusBody, list[StatusBody]]:
    """The parts of the status that tell of the entry in Vault, and the condition Stored when there are sources."""
    body: StatusBody = {}
    conditions: list[StatusBody] = []
    if known.record is not None:
        r = known.record
        body["vault"] = {"path": r.path, "version": r.version, "digest": r.digest, "refs": r.refs}
        body["sources"] = _sources(view, known)
        if not body["sources"]:
            del body["sources"]
    if known.source is not None or view.problem is not None:
        stored = _stored(view, known)
        conditions.append(
            condition(view.status, "Stored", stored[0], stored[1], stored[2], generation=view.meta.generation, now=now)
        )
    return body, conditions


def _sources(view: ConnectionView | LinkView, known: Ingested) -> list[StatusBody]:
    """The versions of the sources when they were taken in; they change only with the entry."""
    before = view.record
    taken = isinstance(known.material, Ready) and isinstance(known.source, Collected)
    if taken and isinstance(known.source, Collected) and (before is None or known.record != before):
        return [{"name": n, "resourceVersion": v} for n, v in sorted(known.source.versions.items())[:64]]
    previous = view.status.get("sources")
    return list(previous) if isinstance(previous, Sequence) else []


def _stored(view: ConnectionView | LinkView, known: Ingested) -> tuple[Any, str, str]:
    material = known.material
    if view.problem is not None:
        return ("False", "InvalidSpec", view.problem)
    if isinstance(material, Blocked):
        return ("False", material.reason, material.message)
    if isinstance(material, Ready):
        where = f"stored in Vault at {material.record.path}, version {material.record.version}"
        if known.last is not None and known.last.reason.value in ("VaultUnavailable", "VaultDenied"):
            return ("True", "Stored", where)
        if isinstance(known.source, Collected):
            notes = f". Note: {'; '.join(known.source.warnings)}" if known.source.warnings else ""
            return ("True", "Stored", where + notes)
        return ("True", "SourceGoneKept", f"{where}; the source is gone, the value is kept")
    return ("True", "Stored", "nothing to store")


def connection_status(
    view: ConnectionView,
    known: Ingested,
    words: Mapping[tuple[str, str], Word | None],
    refusal: Problem | None,
    now: str,
) -> StatusBody:
    """What a Connection's author reads. `words` holds, for each deployment that should have it, what that one said at this
    generation, or None while it has not spoken; until all have, the count stays as it was."""
    body: StatusBody = {"observedGeneration": view.meta.generation, "connectionId": view.connection_id[:253]}
    parts, conditions = _ingest_parts(view, known, now)
    body.update(parts)
    delivered = _delivered(view.status, words)
    if delivered is not None:
        body["delivered"] = delivered
    if view.problem is not None:
        ready: tuple[Any, str, str] = ("False", "InvalidSpec", view.problem)
    elif refusal is not None:
        ready = ("False", refusal.reason, refusal.message)
    elif isinstance(known.material, Blocked):
        ready = ("False", known.material.reason, known.material.message)
    elif isinstance(known.material, NoMaterial):
        ready = ("True", "Accepted", "accepted; it has no sourced fields")
    else:
        ready = ("True", *_stored(view, known)[1:])
    body["conditions"] = [*conditions, _ready(view, ready, now)]
    return body


def link_status(
    view: LinkView,
    known: Ingested,
    connection: ConnectionView | None,
    target: DeploymentView | None,
    outcome: Outcome | None,
    now: str,
) -> StatusBody | None:
    """What a link's author reads; None while the deployment has not yet spoken of the link as it stands."""
    body: StatusBody = {"observedGeneration": view.meta.generation}
    if connection is not None:
        body["connectionId"] = connection.connection_id[:253]
    parts, conditions = _ingest_parts(view, known, now)
    body.update(parts)
    verdict = _link_verdict(view, known, connection, target, outcome)
    if verdict is None:
        return None
    ready, delivered = verdict
    body["delivered"] = delivered
    body["conditions"] = [*conditions, _ready(view, ready, now)]
    return body


def _link_verdict(
    view: LinkView,
    known: Ingested,
    connection: ConnectionView | None,
    target: DeploymentView | None,
    outcome: Outcome | None,
) -> tuple[tuple[Any, str, str], str] | None:
    home = view.meta.namespace
    where = "/".join(view.deployment)
    if view.problem is not None:
        return ("False", "InvalidSpec", view.problem), "0/0"
    if connection is None or connection.meta.deleting:
        return (
            "False",
            "ConnectionNotFound",
            f"there is no Connection {home}/{view.connection_name}; links name one of their own namespace",
        ), "0/0"
    refused = check_connection_id(connection.connection_id)
    if refused is not None:
        return ("False", refused.reason, refused.message), "0/0"
    if target is None or home not in target.workspaces:
        return (
            "False",
            "DeploymentNotFound",
            (
                f"there is no AirflowDeployment {where} that lists the workspace {home}: check deploymentRef's name and "
                f"namespace (this one when left out), or add {home} to its spec.workspaces"
            ),
        ), "0/0"
    if outcome is None:
        return None
    if home in outcome.not_admitted:
        return (
            "False",
            "NotAdmitted",
            f"namespace {view.deployment[0]} is not admitted here; the Workspace default of {home} must admit it",
        ), "0/1"
    if isinstance(known.material, Blocked):
        return ("False", known.material.reason, known.material.message), "0/1"
    word = outcome.words.get(view.meta.uid)
    if word is None or word.generation != view.meta.generation:
        return None
    if not word.applies:
        return ("True", word.reason, word.message), "0/0"
    if word.reason == StoreReason.PENDING.value:
        return None
    if not word.delivered:
        return ("False", word.reason, word.message), "0/1"
    return ("True", "Delivered", f"{where}: {word.message}"), "1/1"


def _delivered(status: Mapping[str, Any], words: Mapping[tuple[str, str], Word | None]) -> str | None:
    spoken = [w for w in words.values() if w is not None]
    if len(spoken) < len(words):
        before = status.get("delivered")
        return before if isinstance(before, str) else None
    applying = [w for w in spoken if w.applies]
    return f"{sum(w.delivered for w in applying)}/{len(applying)}"


# ---- Workspace


def workspace_status(view: WorkspaceView, users: int, now: str) -> StatusBody:
    """What a workspace's owner reads: whether its consent is in force, and how many deployments use it."""
    if view.problem is not None:
        ready = ("False", "InvalidSpec", f"{view.problem}; until it is mended no other namespace is admitted")
    else:
        ready = ("True", "Accepted", "its consent is in force")
    return {
        "observedGeneration": view.meta.generation,
        "deployments": users,
        "conditions": [_ready(view, ready, now)],
    }


def _ready(
    view: ConnectionView | LinkView | DeploymentView | WorkspaceView, ready: tuple[Any, str, str], now: str
) -> StatusBody:
    return condition(view.status, "Ready", ready[0], ready[1], ready[2], generation=view.meta.generation, now=now)
