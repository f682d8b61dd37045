"""The four kinds, in short. `$team`, `$prod` and `$staging` become the namespaces of a test's world."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
_ELSEWHERE = ("prod", "staging")


def connection(name: str, **spec: Any) -> Object:
    """A Connection of the workspace; Postgres at `db` unless `spec` says otherwise."""
    return {"kind": "Connection", "metadata": {"name": name}, "spec": {"type": "postgres", "host": "db", **spec}}


def sourced(name: str, **spec: Any) -> Object:
    """The same, with fields from the source Secret of its name."""
    return connection(name, secretRef={"name": name}, **spec)


def link(connection: str, deployment: str, /, *, name: str | None = None, **overrides: Any) -> Object:
    """A link of the workspace, with overrides."""
    target = {"name": deployment}
    if deployment in _ELSEWHERE:
        target["namespace"] = f"${deployment}"
    spec: Object = {"mode": "Share", "connectionRef": {"name": connection}, "deploymentRef": target}
    if overrides:
        spec["overrides"] = overrides
    return {"kind": "ConnectionLink", "metadata": {"name": name or f"{connection}-{deployment}"}, "spec": spec}


def deployment(name: str, *workspaces: str, **env: Any) -> Object:
    """A deployment: `local` in the workspace, or `prod` or `staging` in namespaces of their own, which use the workspace."""
    spec: Object = {}
    if name in _ELSEWHERE:
        spec["workspaces"] = [{"namespace": f"${w}"} for w in workspaces or ("team",)]
    if env:
        spec["deliver"] = {"env": env}
    return {"kind": "AirflowDeployment", "metadata": {"name": name}, "spec": spec}


def workspace(**labels: str) -> Object:
    """The consent of the workspace: to the namespaces with these labels, or to all when none are given."""
    namespaces: Object = {"from": "Selector", "selector": {"matchLabels": labels}} if labels else {"from": "All"}
    return {
        "kind": "Workspace",
        "metadata": {"name": "default"},
        "spec": {"deployments": {"namespaces": namespaces}},
    }
