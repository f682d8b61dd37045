"""Raw objects as the API server gives them, with as little to say as possible."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from jetbridge.api.common import API_VERSION
from jetbridge.core.views import (
    MANIFEST_ANNOTATION,
    RENDERED_LABEL,
    SOURCE_LABEL,
    ConnectionView,
    DeploymentView,
    LinkView,
    NamespaceView,
    RenderedView,
    SecretView,
    SourceView,
    WorkspaceView,
    connection_view,
    deployment_view,
    link_view,
    namespace_view,
    secret_view,
    workspace_view,
)

Raw = dict[str, Any]
CREATED = "2026-01-01T00:00:00Z"


def _object(kind: str, namespace: str, name: str, spec: Any, more: Mapping[str, Any]) -> Raw:
    metadata = {
        "name": name,
        "uid": f"{kind.lower()}-{namespace}-{name}",
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": CREATED,
    }
    if namespace:
        metadata["namespace"] = namespace
    status = more.get("status")
    metadata |= {k: v for k, v in more.items() if k != "status"}
    raw: Raw = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata}
    if spec is not None:
        raw["spec"] = spec
    if status is not None:
        raw["status"] = status
    return raw


def connection(namespace: str = "team-a", name: str = "warehouse", spec: Any = None, **more: Any) -> Raw:
    """A Connection of type postgres unless `spec` says more; `more` is metadata, and `status`."""
    return _object("Connection", namespace, name, {"type": "postgres"} if spec is None else spec, more)


def link(
    namespace: str = "team-a",
    name: str = "to-prod",
    *,
    to: tuple[str | None, str] = (None, "prod"),
    of: str = "warehouse",
    overrides: Any = None,
    **more: Any,
) -> Raw:
    """A ConnectionLink; `to` is the deployment's namespace (None: left out) and name."""
    target = {"name": to[1]} | ({"namespace": to[0]} if to[0] is not None else {})
    spec: Raw = {"mode": "Share", "connectionRef": {"name": of}, "deploymentRef": target}
    if overrides is not None:
        spec["overrides"] = overrides
    return _object("ConnectionLink", namespace, name, spec, more)


def deployment(
    namespace: str = "team-a",
    name: str = "prod",
    *,
    workspaces: Sequence[str] = (),
    secret_name: str | None = None,
    style: str | None = None,
    **more: Any,
) -> Raw:
    """An AirflowDeployment."""
    spec: Raw = {}
    if workspaces:
        spec["workspaces"] = [{"namespace": w} for w in workspaces]
    env = {k: v for k, v in (("secretName", secret_name), ("format", style)) if v is not None}
    if env:
        spec["deliver"] = {"env": env}
    return _object("AirflowDeployment", namespace, name, spec, more)


def workspace(namespace: str = "team-a", admits: str = "All", selector: Any = None, **more: Any) -> Raw:
    """A Workspace."""
    namespaces: Raw = {"from": admits}
    if selector is not None:
        namespaces["selector"] = selector
    return _object("Workspace", namespace, "default", {"deployments": {"namespaces": namespaces}}, more)


def namespace(name: str = "team-a", **more: Any) -> Raw:
    """A Namespace; `labels` are metadata."""
    return _object("Namespace", "", name, None, more)


def source(
    ns: str = "team-a",
    name: str = "creds",
    data: Mapping[str, str | bytes] | None = None,
    *,
    kind: str = "Opaque",
    labelled: bool = True,
    **more: Any,
) -> Raw:
    """A source Secret."""
    if labelled:
        more["labels"] = {SOURCE_LABEL: "true", **more.get("labels", {})}
    raw = _object("Secret", ns, name, None, more)
    given = {"password": "pw"} if data is None else data
    encoded = {k: base64.b64encode(v.encode() if isinstance(v, str) else v).decode() for k, v in given.items()}
    return raw | {"apiVersion": "v1", "type": kind, "data": encoded}


def rendered(
    ns: str = "team-a",
    name: str = "prod-connections",
    data: Mapping[str, str] | None = None,
    *,
    owner: tuple[str, str] | None = ("prod", "airflowdeployment-team-a-prod"),
    manifest: str | None = None,
    kind: str = "Opaque",
    immutable: bool = False,
    **more: Any,
) -> Raw:
    """A rendered Secret; `owner` is name and UID."""
    raw = source(ns, name, data or {}, kind=kind, labelled=False, **more)
    raw["metadata"]["labels"] = {RENDERED_LABEL: "true", SOURCE_LABEL: "false", **more.get("labels", {})}
    if manifest is not None:
        raw["metadata"]["annotations"] = {MANIFEST_ANNOTATION: manifest}
    if owner is not None:
        reference = {"apiVersion": API_VERSION, "kind": "AirflowDeployment", "name": owner[0], "uid": owner[1]}
        raw["metadata"]["ownerReferences"] = [reference]
    if immutable:
        raw["immutable"] = True
    return raw


# -- parsed


def a_connection(*args: Any, **more: Any) -> ConnectionView:
    """`connection`, parsed."""
    return connection_view(connection(*args, **more))


def a_link(*args: Any, **more: Any) -> LinkView:
    """`link`, parsed."""
    return link_view(link(*args, **more))


def a_deployment(*args: Any, **more: Any) -> DeploymentView:
    """`deployment`, parsed."""
    return deployment_view(deployment(*args, **more))


def a_workspace(*args: Any, **more: Any) -> WorkspaceView:
    """`workspace`, parsed."""
    return workspace_view(workspace(*args, **more))


def a_namespace(*args: Any, **more: Any) -> NamespaceView:
    """`namespace`, parsed."""
    return namespace_view(namespace(*args, **more))


def _decoded(raw: Raw) -> dict[str, bytes]:
    return {k: base64.b64decode(v) for k, v in raw["data"].items()}


def a_secret(raw: Raw) -> SecretView | None:
    """A raw Secret, parsed."""
    return secret_view(raw, _decoded(raw))


def a_source(*args: Any, **more: Any) -> SourceView:
    """`source`, parsed."""
    view = a_secret(source(*args, **more))
    assert isinstance(view, SourceView)
    return view


def a_rendered(*args: Any, **more: Any) -> RenderedView:
    """`rendered`, parsed."""
    view = a_secret(rendered(*args, **more))
    assert isinstance(view, RenderedView)
    return view
