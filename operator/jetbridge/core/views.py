"""What the core sees of the cluster: one frozen view for each object that matters, parsed once.

A view of an object that breaks a rule still says who it is (`problem` says what is wrong), so that what it delivered
before can stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from jetbridge.api.common import GROUP, ApiModel
from jetbridge.api.connection import ConnectionSpec
from jetbridge.api.deployment import AirflowDeploymentSpec
from jetbridge.api.fields import ConnectionFields
from jetbridge.api.link import ConnectionLinkSpec, Overrides
from jetbridge.api.workspace import WorkspaceSpec
from jetbridge.core.airflow import default_connection_id
from jetbridge.core.secret_value import SecretValue

SOURCE_LABEL = "jetbridge.dev/source"
RENDERED_LABEL = "jetbridge.dev/rendered"
MANIFEST_ANNOTATION = "jetbridge.dev/content"
ENTRY_FINALIZER = "jetbridge.dev/vault-entry"
WORKSPACE_NAME = "default"

Raw = Mapping[str, Any]
Format = Literal["JSON", "URI"]


@dataclass(frozen=True, slots=True)
class Meta:
    """The metadata of an object that decisions use. `created` is RFC 3339 and sorts as text."""

    namespace: str
    name: str
    uid: str
    resource_version: str = ""
    generation: int = 0
    created: str = ""
    deletion: str | None = None
    finalizers: tuple[str, ...] = ()

    @property
    def deleting(self) -> bool:
        return self.deletion is not None

    @property
    def age_order(self) -> tuple[str, str]:
        """Oldest first; the name decides among equals. An object without a time is the youngest."""
        return (self.created or "9999", self.name)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def parse_meta(raw: Raw) -> Meta:
    """The metadata of a raw object."""
    meta: Raw = raw["metadata"]
    return Meta(
        namespace=meta.get("namespace", ""),
        name=meta["name"],
        uid=meta.get("uid", ""),
        resource_version=meta.get("resourceVersion", ""),
        generation=meta.get("generation", 0),
        created=str(meta.get("creationTimestamp") or ""),
        deletion=meta.get("deletionTimestamp"),
        finalizers=tuple(meta.get("finalizers") or ()),
    )


@dataclass(frozen=True, slots=True)
class Record:
    """What the status remembers of the entry in Vault. `digest` is keyed; `refs` is not secret."""

    path: str
    version: int
    digest: str
    refs: str


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """A Connection."""

    meta: Meta
    connection_id: str
    linked_to_all: bool
    spec: ConnectionSpec | None
    problem: str | None
    record: Record | None
    status: Raw = field(repr=False)

    @property
    def fields(self) -> ConnectionFields | None:
        return self.spec


@dataclass(frozen=True, slots=True)
class LinkView:
    """A ConnectionLink."""

    meta: Meta
    connection_name: str
    deployment: tuple[str, str]
    spec: ConnectionLinkSpec | None
    problem: str | None
    record: Record | None
    status: Raw = field(repr=False)

    @property
    def fields(self) -> Overrides | None:
        return self.spec.overrides if self.spec is not None else None


Owner = ConnectionView | LinkView


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """An AirflowDeployment, with its defaults filled in."""

    meta: Meta
    workspaces: tuple[str, ...]
    secret_name: str
    format: Format
    problem: str | None
    status: Raw = field(repr=False)

    @property
    def key(self) -> tuple[str, str]:
        return (self.meta.namespace, self.meta.name)


@dataclass(frozen=True, slots=True)
class WorkspaceView:
    """A Workspace; `spec` is None when it breaks a rule, and then it admits nobody."""

    meta: Meta
    spec: WorkspaceSpec | None
    problem: str | None
    status: Raw = field(repr=False)


@dataclass(frozen=True, slots=True)
class NamespaceView:
    """A namespace: its labels are the administrator's word."""

    meta: Meta
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SourceView:
    """A Secret that is labelled as a source."""

    meta: Meta
    type: str
    data: Mapping[str, SecretValue] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RenderedView:
    """A Secret that carries our label. Whether it is ours, its owner's UID tells."""

    meta: Meta
    owner_name: str
    owner_uid: str
    type: str
    immutable: bool
    labels: Mapping[str, str]
    manifest: str | None
    data: Mapping[str, SecretValue] = field(repr=False)


SecretView = SourceView | RenderedView
View = ConnectionView | LinkView | DeploymentView | WorkspaceView | NamespaceView | SecretView


def _explain(error: ValidationError, prefix: str) -> str:
    """One sentence for the first errors: field and rule, never the value."""
    parts = []
    for item in error.errors(include_url=False, include_context=False, include_input=False)[:3]:
        where = ".".join(str(p) for p in (prefix, *item["loc"]))
        parts.append(f"{where}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)


M = TypeVar("M", bound=ApiModel)


def _spec(model: type[M], raw: Raw, *, strict: bool) -> tuple[M | None, str | None]:
    try:
        extra: Literal["forbid", "ignore"] = "forbid" if strict else "ignore"
        return model.model_validate(raw.get("spec") or {}, extra=extra, by_alias=True, by_name=False), None
    except ValidationError as error:
        return None, _explain(error, "spec")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> Raw:
    return value if isinstance(value, Mapping) else {}


def _record(status: Raw) -> Record | None:
    entry = _mapping(status.get("vault"))
    try:
        return Record(entry["path"], int(entry["version"]), entry["digest"], entry["refs"])
    except (KeyError, TypeError, ValueError):
        return None


def connection_view(raw: Raw, *, strict: bool = False) -> ConnectionView:
    """Parses a Connection. With `strict`, unknown fields are a problem too (the API server prunes them)."""
    meta = parse_meta(raw)
    spec, problem = _spec(ConnectionSpec, raw, strict=strict)
    loose = _mapping(raw.get("spec"))
    status = _mapping(raw.get("status"))
    return ConnectionView(
        meta=meta,
        connection_id=_text(loose.get("connectionId")) or default_connection_id(meta.name),
        linked_to_all=loose.get("sharing") == "LinkedToAll",
        spec=spec,
        problem=problem,
        record=_record(status),
        status=status,
    )


def link_view(raw: Raw, *, strict: bool = False) -> LinkView:
    """Parses a ConnectionLink."""
    meta = parse_meta(raw)
    spec, problem = _spec(ConnectionLinkSpec, raw, strict=strict)
    loose = _mapping(raw.get("spec"))
    target = _mapping(loose.get("deploymentRef"))
    status = _mapping(raw.get("status"))
    return LinkView(
        meta=meta,
        connection_name=_text(_mapping(loose.get("connectionRef")).get("name")),
        deployment=(_text(target.get("namespace")) or meta.namespace, _text(target.get("name"))),
        spec=spec,
        problem=problem,
        record=_record(status),
        status=status,
    )


def deployment_view(raw: Raw, *, strict: bool = False) -> DeploymentView:
    """Parses an AirflowDeployment and fills in what was left out."""
    meta = parse_meta(raw)
    spec, problem = _spec(AirflowDeploymentSpec, raw, strict=strict)
    env = spec.deliver.env if spec is not None and spec.deliver is not None else None
    listed = tuple(w.namespace for w in (spec.workspaces or ())) if spec is not None else ()
    return DeploymentView(
        meta=meta,
        workspaces=listed or (meta.namespace,),
        secret_name=(env.secret_name if env is not None else None) or f"{meta.name}-connections",
        format=(env.format if env is not None else None) or "JSON",
        problem=problem,
        status=_mapping(raw.get("status")),
    )


def workspace_view(raw: Raw, *, strict: bool = False) -> WorkspaceView:
    """Parses a Workspace."""
    spec, problem = _spec(WorkspaceSpec, raw, strict=strict)
    return WorkspaceView(parse_meta(raw), spec, problem, _mapping(raw.get("status")))


def namespace_view(raw: Raw) -> NamespaceView:
    """Parses a Namespace."""
    return NamespaceView(parse_meta(raw), dict(raw["metadata"].get("labels") or {}))


def owner_of(raw: Raw) -> tuple[str, str]:
    """Name and UID of the AirflowDeployment that owns a Secret; empty when none does."""
    for owner in raw["metadata"].get("ownerReferences") or ():
        group = str(owner.get("apiVersion", "")).partition("/")[0]
        if group == GROUP and owner.get("kind") == "AirflowDeployment":
            return str(owner.get("name", "")), str(owner.get("uid", ""))
    return "", ""


def secret_view(raw: Raw, data: Mapping[str, bytes]) -> SecretView | None:
    """Parses a Secret; `data` is decoded. None when it is neither a source nor ours.

    A Secret that carries our rendered label is never a source, whatever else it says.
    """
    meta = parse_meta(raw)
    labels: Mapping[str, str] = raw["metadata"].get("labels") or {}
    values = {key: SecretValue(value) for key, value in data.items()}
    kind = str(raw.get("type") or "Opaque")
    if RENDERED_LABEL in labels:
        owner_name, owner_uid = owner_of(raw)
        annotations = raw["metadata"].get("annotations") or {}
        return RenderedView(
            meta=meta,
            owner_name=owner_name,
            owner_uid=owner_uid,
            type=kind,
            immutable=bool(raw.get("immutable")),
            labels=dict(labels),
            manifest=annotations.get(MANIFEST_ANNOTATION),
            data=values,
        )
    if labels.get(SOURCE_LABEL) == "true":
        return SourceView(meta, kind, values)
    return None
