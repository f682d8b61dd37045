"""Hypothesis strategies: values, and whole random worlds of some ten resources each.

A world is drawn from few names, so that ids clash, links compete and sources are shared. Two worlds drawn apart speak of the
same objects by the same UIDs: the second is what became of the first. Every value of a source holds `PLANTED`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from hypothesis import strategies as st

from jetbridge.core import manifest as manifests
from jetbridge.core.actions import CreateSecret, DeleteSecret, RemakeSecret, SecretAction, SecretBody
from jetbridge.core.digest import Keyring, Scope
from jetbridge.core.fields import Fields
from jetbridge.core.ingest import entry_digest
from jetbridge.core.jsonvalue import JsonValue
from jetbridge.core.manifest import Manifest
from jetbridge.core.material import Material, material_of, sources_of
from jetbridge.core.outcome import Outcome, outcome_of
from jetbridge.core.plan import LABELS, Draft, Observed, Plan, Unavailable, draft, plan
from jetbridge.core.resolve import DeploymentSlice, Resolution, WorkspaceSlice, resolve
from jetbridge.core.secret_value import SecretValue
from jetbridge.core.sources import Collected, refs_fingerprint
from jetbridge.core.views import (
    ConnectionView,
    DeploymentView,
    LinkView,
    NamespaceView,
    Owner,
    Record,
    RenderedView,
    SecretView,
    View,
    WorkspaceView,
    connection_view,
    link_view,
    parse_meta,
)
from tests.fakes import objects

PLANTED = "hunter2-planted"
KEYRING = Keyring("k1", {"k1": SecretValue(b"one" * 11)})
NOW = "2026-03-01T00:00:00Z"
T = TypeVar("T")
V = TypeVar("V", bound=View)

# -- values


def json_values() -> st.SearchStrategy[JsonValue]:
    """What `extra` may hold: JSON without nulls."""
    leaves: st.SearchStrategy[Any] = st.one_of(
        st.booleans(), st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False), st.text()
    )
    return st.recursive(
        leaves, lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(), c, max_size=3), max_leaves=6
    )


def sourced_fields() -> st.SearchStrategy[dict[str, JsonValue]]:
    """What sources can give, as a layer."""
    text = st.fixed_dictionaries(
        {}, optional={n: st.text() for n in ("type", "description", "host", "schema", "login", "password")}
    )
    port = st.fixed_dictionaries({}, optional={"port": st.integers(1, 65535)})
    extra = st.dictionaries(st.text().map("extra.".__add__), json_values(), max_size=3)
    return st.builds(lambda *parts: {k: v for part in parts for k, v in part.items()}, text, port, extra)


# -- worlds

NAMESPACES = ("team-a", "team-b", "airflow")
_IDS = ("db", "DB", "warehouse", "aws_default", "Aws_Default")
_BAD_IDS = ("airflow_db", "a___b")
_TIMES = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
_SOURCES = ("s1", "s2")
_PLAIN = (
    {"type": "postgres"},
    {"type": "postgres", "host": "one", "extra": {"a": 1}},
    {"type": "aws", "host": "two", "login": "me", "extra": {"a": 2, "b": {"c": 1}}},
    {"type": "http", "description": "two words", "extra": {}},
)
_RARELY = st.integers(0, 11).map(lambda n: n == 11)
_SOMETIMES = st.integers(0, 3).map(lambda n: n == 3)
_OFTEN = st.integers(0, 3).map(lambda n: n != 0)
_DEPLOYMENTS = tuple((ns, name) for ns in NAMESPACES for name in ("prod", "dev"))


def _owners(workspaces: Iterable[WorkspaceSlice]) -> Iterator[Owner]:
    for workspace in workspaces:
        yield from workspace.connections
        yield from workspace.links


@dataclass(frozen=True)
class World:
    """Everything that decides what deployments have."""

    connections: tuple[ConnectionView, ...]
    links: tuple[LinkView, ...]
    deployments: tuple[DeploymentView, ...]
    workspaces: tuple[WorkspaceView, ...]
    namespaces: tuple[NamespaceView, ...]
    secrets: tuple[SecretView, ...]
    stored: Mapping[str, Fields] = field(repr=False)
    watched: frozenset[str]
    vault_up: bool
    keyring: Keyring | None = KEYRING

    def shuffled(self, rng: random.Random) -> World:
        """The same world, told in another order."""

        def mixed(items: Sequence[T]) -> tuple[T, ...]:
            return tuple(rng.sample(items, len(items)))

        return replace(
            self,
            connections=mixed(self.connections),
            links=mixed(self.links),
            deployments=mixed(self.deployments),
            workspaces=mixed(self.workspaces),
            namespaces=mixed(self.namespaces),
            secrets=mixed(self.secrets),
        )

    def namespace(self, name: str) -> NamespaceView | None:
        return next((n for n in self.namespaces if n.meta.name == name), None)

    def secret(self, namespace: str, name: str) -> SecretView | None:
        return next((s for s in self.secrets if (s.meta.namespace, s.meta.name) == (namespace, name)), None)

    def source_scope(self, owner: Owner) -> Scope:
        namespace = self.namespace(owner.meta.namespace)
        return Scope(namespace.meta.uid if namespace is not None else "", owner.meta.uid)

    def material(self, owner: Owner) -> Material:
        found = sources_of(owner, lambda name: self.secret(owner.meta.namespace, name))
        return material_of(owner, owner.record, found, keyring=self.keyring, scope=self.source_scope(owner), last=None)

    def slice_of(self, deployment: DeploymentView) -> DeploymentSlice:
        """What one deployment sees of the world."""
        workspaces = []
        for home in deployment.workspaces:
            links = tuple(x for x in self.links if x.meta.namespace == home and x.deployment == deployment.key)
            named = {link.connection_name for link in links}
            connections = tuple(
                c for c in self.connections if c.meta.namespace == home and (c.linked_to_all or c.meta.name in named)
            )
            consent = next((w for w in self.workspaces if w.meta.namespace == home), None)
            workspaces.append(WorkspaceSlice(home, home in self.watched, consent, connections, links))
        material = {o.meta.uid: self.material(o) for o in _owners(workspaces)}
        return DeploymentSlice(deployment, self.namespace(deployment.meta.namespace), tuple(workspaces), material)


@dataclass(frozen=True)
class Step:
    """One reconcile of one deployment, as data."""

    world: DeploymentSlice
    resolution: Resolution
    draft: Draft
    plan: Plan
    outcome: Outcome


Secrets = Mapping[tuple[str, str], RenderedView]


def step(world: World, deployment: DeploymentView, secrets: Secrets, amended: Manifest | None = None) -> Step:
    """Gather, resolve, draft, fetch, plan."""
    seen = world.slice_of(deployment)
    resolution = resolve(seen)
    namespace = world.namespace(deployment.meta.namespace)
    scope = Scope(namespace.meta.uid if namespace is not None else "", deployment.meta.uid)
    mine = [s for s in secrets.values() if (s.meta.namespace, s.owner_name) == deployment.key]
    current = next((s for s in mine if s.meta.name == deployment.secret_name), None)
    records = amended if amended is not None else manifests.load(current.manifest) if current is not None else {}
    others = tuple(s for s in mine if s.meta.name != deployment.secret_name)
    work = draft(deployment, scope, resolution, Observed(current, records, others), world.keyring)
    stored: dict[str, Fields | Unavailable] = {}
    for layer in work.needs:
        assert layer.ready is not None
        if layer.ready.fields is not None:
            stored[layer.owner.uid] = layer.ready.fields
        elif world.vault_up:
            stored[layer.owner.uid] = world.stored[layer.owner.uid]
        else:
            stored[layer.owner.uid] = Unavailable("VaultUnavailable", "Vault is away")
    result = plan(work, stored, world.keyring, NOW)
    generations = {o.meta.uid: o.meta.generation for o in _owners(seen.workspaces)}
    outcome = outcome_of(resolution, result, None, deployment.meta.generation, generations)
    return Step(seen, resolution, work, result, outcome)


def execute(actions: Sequence[SecretAction], secrets: Secrets) -> dict[tuple[str, str], RenderedView]:
    """What the API server would hold after the actions."""
    out = dict(secrets)
    for action in actions:
        if isinstance(action, DeleteSecret):
            assert out[(action.namespace, action.name)].meta.uid == action.uid, "deletes another Secret"
            del out[(action.namespace, action.name)]
            continue
        place = (action.body.namespace, action.body.name)
        before = out.get(place)
        if isinstance(action, CreateSecret):
            assert before is None, "creates what is there"
        else:
            assert before is not None, "replaces what is not there"
            assert before.meta.uid == action.uid, "replaces another Secret"
            assert isinstance(action, RemakeSecret) or not before.immutable, "changes an immutable Secret"
        keeps = before is not None and not isinstance(action, RemakeSecret)
        uid = before.meta.uid if before is not None and keeps else f"secret-{next(_VERSIONS)}"
        out[place] = as_rendered(action.body, uid)
    return out


_VERSIONS = iter(range(10_000, 100_000_000))


def as_rendered(body: SecretBody, uid: str) -> RenderedView:
    """A body as it is seen again."""
    raw = objects.rendered(
        body.namespace, body.name, owner=(body.owner_name, body.owner_uid), manifest=body.manifest, uid=uid
    )
    raw["metadata"]["resourceVersion"] = str(next(_VERSIONS))
    return RenderedView(
        meta=parse_meta(raw),
        owner_name=body.owner_name,
        owner_uid=body.owner_uid,
        type="Opaque",
        immutable=False,
        labels=LABELS,
        manifest=body.manifest,
        data=dict(body.data),
    )


# -- drawing them


def _specs(draw: st.DrawFn, *, overrides: bool) -> dict[str, Any]:
    spec: dict[str, Any] = draw(st.sampled_from(_PLAIN))
    if overrides:
        spec = {k: v for k, v in spec.items() if k != "type"}
    kind = draw(st.sampled_from(["none", "secretRef", "fieldsFrom", "both"]))
    if kind in ("secretRef", "both"):
        spec["secretRef"] = {"name": draw(st.sampled_from(_SOURCES))}
    if kind in ("fieldsFrom", "both"):
        name = draw(st.sampled_from(["password", "extra.token"]))
        spec["fieldsFrom"] = [{"field": name, "secretKeyRef": {"name": draw(st.sampled_from(_SOURCES)), "key": "k"}}]
    return spec | ({"port": "not a number"} if draw(_RARELY) else {})


def _metadata(draw: st.DrawFn) -> dict[str, Any]:
    more: dict[str, Any] = {"creationTimestamp": draw(st.sampled_from(_TIMES)), "generation": draw(st.integers(1, 2))}
    if draw(_RARELY):
        more |= {"deletionTimestamp": "2026-02-01T00:00:00Z", "finalizers": ["jetbridge.dev/vault-entry"]}
    return more


def _connections(draw: st.DrawFn) -> list[dict[str, Any]]:
    out = []
    for ns, name in itertools.product(NAMESPACES, "abc"):
        if not draw(_OFTEN):
            continue
        spec = _specs(draw, overrides=False)
        spec["connectionId"] = draw(st.sampled_from(_BAD_IDS if draw(_RARELY) else _IDS))
        if draw(_OFTEN):
            spec["sharing"] = "LinkedToAll"
        out.append(objects.connection(ns, name, spec, **_metadata(draw)))
    return out


def _links(draw: st.DrawFn, deployments: Sequence[DeploymentView]) -> list[dict[str, Any]]:
    out = []
    for ns, name in itertools.product(NAMESPACES, "lmn"):
        if not draw(_OFTEN):
            continue
        overrides = _specs(draw, overrides=True) if draw(st.booleans()) else None
        if overrides is not None and draw(st.booleans()):
            overrides["unset"] = [n for n in ("host", "login", "extra") if n not in overrides]
        to = draw(st.sampled_from(deployments)).key
        of = draw(st.sampled_from("abc"))
        out.append(objects.link(ns, name, to=to, of=of, overrides=overrides, **_metadata(draw)))
    return out


def _secrets(draw: st.DrawFn, *, healthy: bool) -> list[SecretView]:
    out = []
    for ns in NAMESPACES:
        for name in ("s1", "s2"):
            kinds = ["good"] * 6 + ([] if healthy else ["gone", "type", "bytes", "nothing", "rendered"])
            how = draw(st.sampled_from(kinds))
            number = draw(st.integers(0, 1))
            data: dict[str, str | bytes] = {"password": f"{PLANTED}-{name}-{number}", "k": f"{PLANTED}-k-{number}"}
            if how == "gone":
                continue
            if how == "bytes":
                data = {"password": PLANTED.encode() + b"\xff", "k": b"\xff"}
            if how == "nothing":
                data = {"unknown": PLANTED}
            labels = {"jetbridge.dev/rendered": "true"} if how == "rendered" else {}
            kind = "kubernetes.io/service-account-token" if how == "type" else "Opaque"
            view = objects.a_secret(objects.source(ns, name, data, kind=kind, labels=labels))
            assert view is not None
            out.append(view)
    return out


def _with_record(draw: st.DrawFn, world: World, owner: Any, stored: dict[str, Fields], *, healthy: bool) -> Any:
    """Gives an owner a record in its status: of its source as it is, of an older state of it, or none."""
    found = sources_of(owner, lambda name: world.secret(owner.meta.namespace, name))
    how = draw(st.sampled_from(["fresh"] * 5 + ([] if healthy else ["older", "none", "other refs"])))
    if found is None or how == "none" or owner.fields is None:
        return owner
    fields: Fields = {"password": f"{PLANTED}-older"}
    if isinstance(found, Collected) and how == "fresh":
        fields = found.fields
    stored[owner.meta.uid] = fields
    digest = entry_digest(KEYRING, world.source_scope(owner), fields)
    refs = refs_fingerprint(owner.fields) if how != "other refs" else "others"
    return replace(owner, record=Record(f"secret/jetbridge/{owner.meta}", draw(st.integers(1, 2)), digest, refs))


@st.composite
def worlds(draw: st.DrawFn, *, all_watched: bool = False, healthy: bool = False) -> World:
    """A random world. In a healthy one all sources are good and taken in."""
    deployments = []
    for where in draw(st.lists(st.sampled_from(_DEPLOYMENTS), unique=True, min_size=1, max_size=3)):
        lists = draw(st.permutations(NAMESPACES))[: draw(st.integers(0, 3))]
        name = f"{where[1]}-other" if draw(_RARELY) else None
        style = draw(st.sampled_from([None, "URI"]))
        deployments.append(objects.a_deployment(*where, workspaces=lists, secret_name=name, style=style))
    consents = []
    for ns in NAMESPACES:
        how = draw(st.sampled_from(["none", "Same", "All", "All", "All", "Selector", "invalid"]))
        selector = {"matchLabels": {"team": draw(st.sampled_from(["data", "ops"]))}} if how == "Selector" else None
        if how != "none":
            consents.append(objects.a_workspace(ns, how, selector))
    labels = st.sampled_from([{}, {"team": "data"}, {"team": "ops"}])
    watched = frozenset(NAMESPACES)
    if not all_watched and draw(_SOMETIMES):
        watched -= {draw(st.sampled_from(NAMESPACES))}
    bare = World(
        connections=tuple(connection_view(raw) for raw in _connections(draw)),
        links=tuple(link_view(raw) for raw in _links(draw, deployments)),
        deployments=tuple(deployments),
        workspaces=tuple(consents),
        namespaces=tuple(objects.a_namespace(ns, labels=draw(labels)) for ns in NAMESPACES),
        secrets=tuple(_secrets(draw, healthy=healthy)),
        stored={},
        watched=watched,
        vault_up=not draw(_RARELY),
    )
    stored: dict[str, Fields] = {}
    return replace(
        bare,
        connections=tuple(_with_record(draw, bare, c, stored, healthy=healthy) for c in bare.connections),
        links=tuple(_with_record(draw, bare, x, stored, healthy=healthy) for x in bare.links),
        stored=stored,
    )


@st.composite
def changes(draw: st.DrawFn, *, all_watched: bool = False) -> tuple[World, World]:
    """A world and what became of it: most of it is as it was."""
    before = draw(worlds(all_watched=all_watched, healthy=draw(_OFTEN)))
    other = draw(worlds(all_watched=all_watched))
    stored: dict[str, Fields] = {}

    def some(old: Sequence[V], new: Sequence[V], often: st.SearchStrategy[bool] = _RARELY) -> tuple[V, ...]:
        olds: dict[tuple[str, str], V] = {(v.meta.namespace, v.meta.name): v for v in old}
        news: dict[tuple[str, str], V] = {(v.meta.namespace, v.meta.name): v for v in new}
        out = []
        for place in sorted({*olds, *news}):
            anew = draw(often)
            view = (news if anew else olds).get(place)
            if view is not None:
                out.append(view)
                kept = (other if anew else before).stored
                if view.meta.uid in kept:
                    stored[view.meta.uid] = kept[view.meta.uid]
        return tuple(out)

    return before, World(
        connections=some(before.connections, other.connections),
        links=some(before.links, other.links),
        deployments=before.deployments,
        workspaces=some(before.workspaces, other.workspaces),
        namespaces=some(before.namespaces, other.namespaces),
        secrets=some(before.secrets, other.secrets, _SOMETIMES),
        stored=stored,
        watched=other.watched,
        vault_up=other.vault_up,
    )
