"""Reads resources from files: the offline counterpart of the operator's feed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from jetbridge.api.common import API_VERSION, GROUP
from jetbridge.api.kinds import BY_KIND
from jetbridge.core.airflow import check_connection_id
from jetbridge.core.views import (
    ConnectionView,
    View,
    WorkspaceView,
    connection_view,
    deployment_view,
    link_view,
    namespace_view,
    secret_view,
    workspace_view,
)
from jetbridge.shell.state import ClusterState

Raw = dict[str, Any]
_PARSERS: Mapping[str, Callable[..., View]] = {
    "Connection": connection_view,
    "ConnectionLink": link_view,
    "AirflowDeployment": deployment_view,
    "Workspace": workspace_view,
}


class ManifestError(Exception):
    """Input that can't be used. `problems` name file, object and field; never a value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def load(paths: Iterable[Path], default_namespace: str) -> tuple[ClusterState, list[str]]:
    """Reads every resource of the files (a folder stands for its .yaml, .yml and .json files) into one state.

    Secrets and Namespaces count as well; other kinds are passed over. Namespaces that are not given have no labels. Gives the
    state, and what the API server would refuse of it: such an object holds up no other.

    Raises:
        ManifestError: files that can't be read, or what is no resource; with every problem found.
    """
    state = ClusterState()
    problems: list[str] = []
    refused: list[str] = []
    seen: dict[tuple[str, str, str], Path] = {}
    for path in _files(paths, problems):
        for number, raw in _documents(path, problems):
            where = f"{path}, document {number}"
            try:
                view = _view(raw, default_namespace, where, refused)
            except _Wrong as wrong:
                problems.append(f"{where}: {wrong}")
                continue
            if view is None:
                continue
            identity = (str(raw["kind"]), view.meta.namespace, view.meta.name)
            if identity in seen:
                problems.append(f"{where}: {identity[0]} {view.meta} stands in {seen[identity]} already")
                continue
            seen[identity] = path
            state.upsert(view)
    if problems:
        raise ManifestError(problems)
    for name in sorted({ns for _, ns, _ in seen if ns}):
        if state.namespace(name) is None:
            state.upsert(namespace_view(_identified({"kind": "Namespace", "metadata": {"name": name}})))
    return state, refused


class _Wrong(Exception):
    pass


def _files(paths: Iterable[Path], problems: list[str]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix in (".yaml", ".yml", ".json") and p.is_file())
            if not found:
                problems.append(f"{path}: the folder holds no .yaml, .yml or .json file")
            yield from found
        elif str(path) == "-":
            yield Path("/dev/stdin")
        elif path.exists():
            yield path
        else:
            problems.append(f"{path}: there is no such file or folder")


def _documents(path: Path, problems: list[str]) -> Iterator[tuple[int, Raw]]:
    try:
        documents = list(yaml.load_all(path.read_text(encoding="utf-8"), Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        # The error's own words may quote the file, and the file may hold secrets.
        problems.append(f"{path}{place}: this is not valid YAML")
        return
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        problems.append(f"{path}: can't be read ({type(error).__name__})")
        return
    for number, document in enumerate(documents, start=1):
        if document is None:
            continue
        if not isinstance(document, dict):
            problems.append(f"{path}, document {number}: a resource is a mapping with apiVersion, kind and metadata")
            continue
        if str(document.get("kind", "")).endswith("List") and isinstance(document.get("items"), list):
            yield from ((number, item) for item in document["items"] if isinstance(item, dict))
        else:
            yield number, document


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: times stay text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _view(raw: Raw, default_namespace: str, where: str, refused: list[str]) -> View | None:
    kind, version = raw.get("kind"), raw.get("apiVersion")
    ours = kind in BY_KIND and str(version).partition("/")[0] == GROUP
    core = kind in ("Secret", "Namespace") and version == "v1"
    if not isinstance(kind, str) or not isinstance(version, str):
        raise _Wrong("apiVersion and kind are required")
    if str(version).partition("/")[0] == GROUP and not ours:
        raise _Wrong(f"there is no kind {kind} in {GROUP}; there are {', '.join(BY_KIND)}")
    if not ours and not core:
        return None
    if ours and version != API_VERSION:
        raise _Wrong(f"{kind} has apiVersion {version}; expected {API_VERSION}")
    meta = raw.get("metadata")
    if not isinstance(meta, dict) or not isinstance(meta.get("name"), str):
        raise _Wrong(f"{kind}: metadata.name is required")
    if kind != "Namespace":
        meta.setdefault("namespace", default_namespace)
    raw = _identified(raw)
    if kind == "Namespace":
        return namespace_view(raw)
    if kind == "Secret":
        return secret_view(raw, _secret_data(raw))
    if not isinstance(raw.get("spec", {}), dict):
        raise _Wrong(f"{kind} {meta['namespace']}/{meta['name']}: spec is a mapping")
    view = _PARSERS[kind](raw, strict=True)
    _check(kind, view, where, refused)
    return view


def _check(kind: str, view: View, where: str, problems: list[str]) -> None:
    """What the CRDs' rules refuse, also those that look at metadata."""
    problem = getattr(view, "problem", None)
    if problem is not None:
        problems.append(f"{where}: {kind} {view.meta}: {problem}")
    if isinstance(view, WorkspaceView) and view.meta.name != "default":
        problems.append(f"{where}: {kind} {view.meta}: metadata.name: a namespace has one Workspace, named default")
    if isinstance(view, ConnectionView):
        refused = check_connection_id(view.connection_id)
        if refused is not None:
            problems.append(f"{where}: {kind} {view.meta}: spec.connectionId: {refused.message}")


def _identified(raw: Raw) -> Raw:
    """Fills in what the API server gives: a uid, and a generation."""
    meta = dict(raw["metadata"])
    meta.setdefault("uid", f"{raw.get('kind')}/{meta.get('namespace', '')}/{meta['name']}")
    meta.setdefault("generation", 1)
    return {**raw, "metadata": meta}


def _secret_data(raw: Raw) -> dict[str, bytes]:
    where = f"Secret {raw['metadata']['namespace']}/{raw['metadata']['name']}"
    out: dict[str, bytes] = {}
    data, plain = raw.get("data") or {}, raw.get("stringData") or {}
    if not isinstance(data, Mapping) or not isinstance(plain, Mapping):
        raise _Wrong(f"{where}: data and stringData are mappings")
    for key, value in data.items():
        try:
            out[str(key)] = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise _Wrong(f"{where}: data.{key} is not base64; put plain text into stringData") from None
    for key, value in plain.items():
        if not isinstance(value, str):
            raise _Wrong(f"{where}: stringData.{key} must be text; put it in quotes")
        out[str(key)] = value.encode()
    return out
