"""The operator's picture of the cluster: one store for each kind, indexed, and slices of it for the core."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jetbridge.core.graph import Index
from jetbridge.core.resolve import WorkspaceSlice
from jetbridge.core.sources import source_names
from jetbridge.core.views import (
    WORKSPACE_NAME,
    ConnectionView,
    DeploymentView,
    LinkView,
    NamespaceView,
    RenderedView,
    SecretView,
    SourceView,
    View,
    WorkspaceView,
)
from jetbridge.runtime.store import Change, Store


def _source_keys(view: ConnectionView | LinkView) -> Iterable[tuple[str, str]]:
    return [(view.meta.namespace, name) for name in source_names(view.fields)]


def _secret_owner(view: SecretView) -> Iterable[tuple[str, str]]:
    return [(view.meta.namespace, view.owner_name)] if isinstance(view, RenderedView) and view.owner_name else []


class ClusterState(Index):
    """All that is known. `watched` is None when the whole cluster is watched."""

    def __init__(self, watched: frozenset[str] | None = None) -> None:
        self.watched = watched
        self.connections: Store[ConnectionView] = Store(
            {
                "to_all": lambda v: [v.meta.namespace] if v.linked_to_all else [],
                "source": _source_keys,
            }
        )
        self.links: Store[LinkView] = Store(
            {
                "connection": lambda v: [(v.meta.namespace, v.connection_name)],
                "deployment": lambda v: [v.deployment],
                "pair": lambda v: [(v.meta.namespace, v.deployment)],
                "source": _source_keys,
            }
        )
        self.deployments: Store[DeploymentView] = Store(
            {"workspace": lambda v: v.workspaces, "namespace": lambda v: [v.meta.namespace]}
        )
        self.workspaces: Store[WorkspaceView] = Store()
        self.namespaces: Store[NamespaceView] = Store()
        self.secrets: Store[SecretView] = Store({"owner": _secret_owner})

    # -- changes

    def upsert(self, view: View) -> Change[View] | None:
        """Takes in a version of an object."""
        return self.store_of(type(view)).upsert(view)

    def remove(self, view: View, resource_version: str = "") -> Change[View] | None:
        """Takes in the deletion of an object."""
        meta = view.meta
        return self.store_of(type(view)).remove(meta.namespace, meta.name, meta.uid, resource_version)

    def store_of(self, kind: type) -> Store[View]:
        """The store of a kind of view."""
        stores: Mapping[type, Store] = {  # type: ignore[type-arg]
            ConnectionView: self.connections,
            LinkView: self.links,
            DeploymentView: self.deployments,
            WorkspaceView: self.workspaces,
            NamespaceView: self.namespaces,
            SourceView: self.secrets,
            RenderedView: self.secrets,
        }
        return stores[kind]

    # -- look-ups

    def links_of(self, namespace: str, connection: str) -> tuple[LinkView, ...]:
        return self.links.by("connection", (namespace, connection))

    def links_to(self, namespace: str, deployment: str) -> tuple[LinkView, ...]:
        return self.links.by("deployment", (namespace, deployment))

    def deployments_using(self, workspace: str) -> tuple[DeploymentView, ...]:
        return self.deployments.by("workspace", workspace)

    def deployments_in(self, namespace: str) -> tuple[DeploymentView, ...]:
        return self.deployments.by("namespace", namespace)

    def shared_with_all(self, workspace: str) -> tuple[ConnectionView, ...]:
        return self.connections.by("to_all", workspace)

    def owners_naming(self, namespace: str, secret: str) -> tuple[ConnectionView | LinkView, ...]:
        where = (namespace, secret)
        return (*self.connections.by("source", where), *self.links.by("source", where))

    def rendered_of(self, deployment: tuple[str, str]) -> tuple[RenderedView, ...]:
        """The rendered Secrets that name the deployment as their owner, whatever its UID."""
        found = self.secrets.by("owner", deployment)
        return tuple(v for v in found if isinstance(v, RenderedView))

    def namespace(self, name: str) -> NamespaceView | None:
        return self.namespaces.get("", name)

    def observes(self, namespace: str) -> bool:
        """Whether the namespace is watched: only then absence means something."""
        return self.watched is None or namespace in self.watched

    def workspace_slice(self, home: str, deployment: DeploymentView) -> WorkspaceSlice:
        """What of a workspace matters to one deployment: its links to it, and the Connections that these name or all share."""
        links = self.links.by("pair", (home, deployment.key))
        found = {v.meta.name: v for v in self.connections.by("to_all", home)}
        for link in links:
            connection = self.connections.get(home, link.connection_name)
            if connection is not None:
                found[connection.meta.name] = connection
        return WorkspaceSlice(
            namespace=home,
            observed=self.observes(home),
            consent=self.workspaces.get(home, WORKSPACE_NAME),
            connections=tuple(found[name] for name in sorted(found)),
            links=links,
        )

    def deployments_for(self, connection: ConnectionView) -> tuple[DeploymentView, ...]:
        """The deployments that should have a Connection, consent aside."""
        home = connection.meta.namespace
        found = {d.key: d for d in self.deployments_using(home)} if connection.linked_to_all else {}
        for link in self.links_of(home, connection.meta.name):
            deployment = self.deployments.get(*link.deployment)
            if deployment is not None and home in deployment.workspaces:
                found[deployment.key] = deployment
        return tuple(found[key] for key in sorted(found))
