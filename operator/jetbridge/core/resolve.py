"""Which connections one deployment has, from which layers: consent, links, and one winner for each environment name.

Pure: `resolve` sees a frozen slice of the world and returns data (design, section 2, points 1 to 4).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from jetbridge.api.common import LabelSelector
from jetbridge.api.fields import ConnectionFields
from jetbridge.api.link import Overrides
from jetbridge.core.airflow import check_connection_id, env_name
from jetbridge.core.digest import fingerprint
from jetbridge.core.material import Blocked, Material, Ready
from jetbridge.core.views import ConnectionView, DeploymentView, LinkView, Meta, NamespaceView, WorkspaceView


@dataclass(frozen=True, slots=True)
class WorkspaceSlice:
    """One workspace as one deployment sees it. `observed` is False when its namespace is not watched."""

    namespace: str
    observed: bool
    consent: WorkspaceView | None
    connections: tuple[ConnectionView, ...]
    links: tuple[LinkView, ...]


@dataclass(frozen=True, slots=True)
class DeploymentSlice:
    """All that decides what one deployment has. `material` is keyed by the UID of a Connection or link."""

    deployment: DeploymentView
    namespace: NamespaceView | None
    workspaces: tuple[WorkspaceSlice, ...]
    material: Mapping[str, Material] = field(repr=False)
    discreet: bool = True
    """Whether another tenant's source problems are told by their reason alone; offline there is no other tenant."""


@dataclass(frozen=True, slots=True)
class LayerInput:
    """One layer of an entry: plain values, and the record of the sourced ones."""

    origin: str
    owner: Meta
    spec: ConnectionFields
    unset: tuple[str, ...]
    ready: Ready | None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a connection is not there, or is there in an older state."""

    connection_id: str
    connection: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class DesiredEntry:
    """One connection that the deployment should have. `blocked` says why it can't be rendered now."""

    env_name: str
    connection: ConnectionView
    link: LinkView | None
    layers: tuple[LayerInput, ...]
    identity: str
    blocked: Problem | None

    @property
    def via(self) -> str:
        return f"link {self.link.meta.name}" if self.link is not None else "LinkedToAll"


@dataclass(frozen=True, slots=True)
class Told:
    """A Connection or link that does not apply here, with no fault of its own, and which one does."""

    uid: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a deployment should have. `frozen` are workspaces that can't be seen: what they gave stays."""

    entries: tuple[DesiredEntry, ...]
    told: tuple[Told, ...]
    problems: tuple[Problem, ...]
    not_admitted: tuple[str, ...]
    frozen: tuple[str, ...]


def matches(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Kubernetes label selector semantics: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/."""
    if selector is None:
        return False
    if any(labels.get(k) != v for k, v in (selector.match_labels or {}).items()):
        return False
    for expression in selector.match_expressions or ():
        value = labels.get(expression.key)
        among = value is not None and value in (expression.values or ())
        holds = {
            "In": among,
            "NotIn": not among,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[expression.operator]
        if not holds:
            return False
    return True


def admits(workspace: WorkspaceView | None, home: str, namespace: str, labels: Mapping[str, str] | None) -> bool:
    """Whether the workspace in `home` lets deployments of `namespace` use it. Unknown labels admit nobody."""
    if home == namespace:
        return True
    if workspace is None or workspace.spec is None or workspace.meta.deleting:
        return False
    consent = workspace.spec.deployments.namespaces
    if consent.from_ == "All":
        return True
    if consent.from_ == "Selector":
        return labels is not None and matches(consent.selector, labels)
    return False


@dataclass(frozen=True, slots=True)
class _Candidate:
    rank: tuple[int, int, tuple[str, str]]
    connection: ConnectionView
    link: LinkView | None


def resolve(world: DeploymentSlice) -> Resolution:
    """What the deployment should have.

    Laws: the same slice gives the same answer whatever the order of its parts; each environment name has one winner;
    nothing of a workspace that does not admit the deployment is in the answer.
    """
    told: list[Told] = []
    problems: list[Problem] = []
    not_admitted: list[str] = []
    frozen: list[str] = []
    by_name: dict[str, list[_Candidate]] = defaultdict(list)
    here = world.deployment.meta.namespace
    labels = world.namespace.labels if world.namespace is not None else None
    for order, workspace in enumerate(world.workspaces):
        if not workspace.observed:
            frozen.append(workspace.namespace)
            continue
        if not admits(workspace.consent, workspace.namespace, here, labels):
            not_admitted.append(workspace.namespace)
            continue
        for candidate in _candidates(order, workspace, told):
            refused = check_connection_id(candidate.connection.connection_id)
            if refused is not None:
                problems.append(_problem(candidate.connection, refused.reason, refused.message))
                continue
            by_name[env_name(candidate.connection.connection_id)].append(candidate)
    entries = []
    for name in sorted(by_name):
        winner, *losers = sorted(by_name[name], key=lambda c: c.rank)
        entries.append(_entry(name, winner, world.material, here if world.discreet else None))
        told += _tell_losers(name, winner, losers)
    return Resolution(
        tuple(entries),
        tuple(sorted(told, key=lambda t: (t.uid, t.reason))),
        tuple(sorted(problems, key=lambda p: (p.connection_id, p.connection))),
        tuple(sorted(not_admitted)),
        tuple(sorted(frozen)),
    )


def _candidates(order: int, workspace: WorkspaceSlice, told: list[Told]) -> Iterable[_Candidate]:
    links: dict[str, list[LinkView]] = defaultdict(list)
    for link in workspace.links:
        if not link.meta.deleting:
            links[link.connection_name].append(link)
    for connection in workspace.connections:
        if connection.meta.deleting:
            continue
        named = sorted(links.get(connection.meta.name, ()), key=lambda link: link.meta.age_order)
        if not named and not connection.linked_to_all:
            continue
        told += [
            Told(
                link.meta.uid,
                "Superseded",
                f"the older link {named[0].meta.name} gives {connection.meta.name} to this deployment; "
                "this one takes over when that one goes",
            )
            for link in named[1:]
        ]
        rank = (order, 0 if named else 2, connection.meta.age_order)
        yield _Candidate(rank, connection, named[0] if named else None)


def _tell_losers(name: str, winner: _Candidate, losers: list[_Candidate]) -> Iterable[Told]:
    for loser in losers:
        message = (
            f"{name} is taken by Connection {winner.connection.meta.name}"
            if loser.connection.meta.namespace == winner.connection.meta.namespace
            else f"{name} is taken by a connection of a workspace that the deployment lists earlier"
        )
        for meta in (loser.connection.meta, *((loser.link.meta,) if loser.link is not None else ())):
            yield Told(meta.uid, "NameTaken", message)


def _entry(name: str, winner: _Candidate, material: Mapping[str, Material], here: str | None) -> DesiredEntry:
    connection, link = winner.connection, winner.link
    identity = fingerprint(connection.meta.uid, link.meta.uid if link is not None else "")
    layers: list[LayerInput] = []
    blocked: Problem | None = None
    owners: list[ConnectionView | LinkView] = [connection] if link is None else [connection, link]
    for owner in owners:
        if owner.problem is not None:
            blocked = blocked or _problem(connection, "InvalidSpec", f"{_kind(owner)} {owner.meta}: {owner.problem}")
            continue
        state = material[owner.meta.uid]
        if isinstance(state, Blocked):
            blocked = blocked or _problem(connection, state.reason, state.message)
            continue
        spec = owner.fields
        if spec is None:
            continue
        ready = state if isinstance(state, Ready) else None
        origin = "" if owner is connection else f"link {owner.meta.name}"
        unset = tuple(spec.unset or ()) if isinstance(spec, Overrides) else ()
        layers.append(LayerInput(origin, owner.meta, spec, unset, ready))
    if blocked is not None and here is not None and connection.meta.namespace != here:
        # What is wrong with a source is for the workspace's people to read, not for another tenant's.
        blocked = replace(blocked, message=f"Connection {connection.meta} can't be used now; its status says why")
    return DesiredEntry(name, connection, link, tuple(layers), identity, blocked)


def _kind(owner: ConnectionView | LinkView) -> str:
    return "Connection" if isinstance(owner, ConnectionView) else "ConnectionLink"


def _problem(connection: ConnectionView, reason: str, message: str) -> Problem:
    return Problem(connection.connection_id, str(connection.meta), reason, message)
