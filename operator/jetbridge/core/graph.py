"""What a change affects: from one changed object to the keys that must be looked at again.

The cost of a change grows with what it affects, not with what exists: every look-up here is one of an index.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from jetbridge.core.views import (
    ConnectionView,
    DeploymentView,
    LinkView,
    NamespaceView,
    RenderedView,
    SourceView,
    View,
    WorkspaceView,
)


class Key(NamedTuple):
    """One unit of work: an object of one of the four kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Index(Protocol):
    """The look-ups that the graph needs."""

    def links_of(self, namespace: str, connection: str) -> Iterable[LinkView]: ...
    def links_to(self, namespace: str, deployment: str) -> Iterable[LinkView]: ...
    def deployments_using(self, workspace: str) -> Iterable[DeploymentView]: ...
    def deployments_in(self, namespace: str) -> Iterable[DeploymentView]: ...
    def shared_with_all(self, workspace: str) -> Iterable[ConnectionView]: ...
    def owners_naming(self, namespace: str, secret: str) -> Iterable[ConnectionView | LinkView]: ...


def key_of(view: ConnectionView | LinkView | DeploymentView | WorkspaceView) -> Key:
    """The key of a view."""
    return Key(_KINDS[type(view)], view.meta.namespace, view.meta.name)


_KINDS: dict[type, str] = {
    ConnectionView: "Connection",
    LinkView: "ConnectionLink",
    DeploymentView: "AirflowDeployment",
    WorkspaceView: "Workspace",
}


def affected(old: View | None, new: View | None, index: Index) -> set[Key]:
    """The keys that a change touches. Both states count: who loses something must hear of it as well."""
    keys: set[Key] = set()
    wide = asks_for_other(old, new)
    for view in (old, new):
        if isinstance(view, ConnectionView):
            keys.add(key_of(view))
            if wide:
                keys |= _of_connection(view, index)
        elif isinstance(view, LinkView):
            keys.add(key_of(view))
            if wide:
                keys.add(Key("Connection", view.meta.namespace, view.connection_name))
                keys.add(Key("AirflowDeployment", *view.deployment))
        elif isinstance(view, DeploymentView):
            keys.add(key_of(view))
            if wide:
                keys |= {key_of(link) for link in index.links_to(*view.key)}
                keys |= {Key("Workspace", home, "default") for home in view.workspaces}
        elif isinstance(view, WorkspaceView):
            keys.add(key_of(view))
            if wide:
                keys |= {key_of(d) for d in index.deployments_using(view.meta.namespace)}
        elif isinstance(view, NamespaceView):
            if wide:
                for deployment in index.deployments_in(view.meta.name):
                    keys.add(key_of(deployment))
                    keys |= {Key("Workspace", home, "default") for home in deployment.workspaces}
        elif isinstance(view, SourceView):
            keys |= {key_of(o) for o in index.owners_naming(view.meta.namespace, view.meta.name)}
        elif isinstance(view, RenderedView):
            if view.owner_name:
                keys.add(Key("AirflowDeployment", view.meta.namespace, view.owner_name))
            # Who named it as a source hears that it is none.
            keys |= {key_of(o) for o in index.owners_naming(view.meta.namespace, view.meta.name)}
    if isinstance(old, DeploymentView):
        keys |= _counted_by(old, new, index)
    return keys


def _counted_by(old: DeploymentView, new: View | None, index: Index) -> set[Key]:
    """The Connections that count a deployment which is gone, or no longer lists their workspace."""
    kept = new.workspaces if isinstance(new, DeploymentView) else ()
    left = set(old.workspaces) - set(kept)
    keys = {key_of(c) for home in left for c in index.shared_with_all(home)}
    linked = (x for x in index.links_to(*old.key) if x.meta.namespace in left)
    return keys | {Key("Connection", x.meta.namespace, x.connection_name) for x in linked}


def _of_connection(view: ConnectionView, index: Index) -> set[Key]:
    keys: set[Key] = set()
    for link in index.links_of(view.meta.namespace, view.meta.name):
        keys.add(key_of(link))
        keys.add(Key("AirflowDeployment", *link.deployment))
    if view.linked_to_all:
        keys |= {key_of(d) for d in index.deployments_using(view.meta.namespace)}
    return keys


def asks_for_other(old: View | None, new: View | None) -> bool:
    """Whether more changed than a status or other metadata that nobody else depends on."""
    if old is None or new is None:
        return True
    if isinstance(old, NamespaceView) and isinstance(new, NamespaceView):
        return old.labels != new.labels or old.meta.uid != new.meta.uid
    return (
        old.meta.uid != new.meta.uid
        or old.meta.generation != new.meta.generation
        or old.meta.deletion != new.meta.deletion
    )
