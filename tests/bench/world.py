"""The stack of a scenario, and the smallest world that gives one rendered Secret."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.apiclient import Raw, Server
from dev.progress import Progress
from dev.stack import LocalStack
from dev.vaultserver import Storage
from jetbridge.api.common import API_VERSION, GROUP, VERSION
from jetbridge.core.views import SOURCE_LABEL

NAMESPACE = "bench"
SOURCE = "warehouse"
RENDERED = "prod-connections"
KEY = "AIRFLOW_CONN_WAREHOUSE"
FIRST = "0" * 32


@contextmanager
def fresh_stack(storage: Storage, progress: Progress) -> Iterator[LocalStack]:
    """A stack with a running operator in a temporary folder; nothing of it stays."""
    folder = Path(tempfile.mkdtemp(prefix="jetbridge-bench-"))
    stack = LocalStack(folder, vault_storage=storage)
    try:
        stack.start(progress)
        with progress.step("operator"):
            stack.start_operator()
        yield stack
    finally:
        stack.remove()
        shutil.rmtree(folder, ignore_errors=True)


async def install(kubernetes: Server) -> str:
    """A Connection with a sourced password, a link and a deployment; gives the first password."""
    await kubernetes.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    source: Raw = {
        "metadata": {"name": SOURCE, "labels": {SOURCE_LABEL: "true"}},
        "stringData": {"password": FIRST},
    }
    await kubernetes.call("POST", f"/api/v1/namespaces/{NAMESPACE}/secrets", source)
    spec: Raw = {"type": "postgres", "host": "db.internal", "port": 5432, "login": "etl", "secretRef": {"name": SOURCE}}
    await _create(kubernetes, "Connection", "connections", "warehouse", spec)
    await _create(kubernetes, "AirflowDeployment", "airflowdeployments", "prod", {})
    link: Raw = {
        "mode": "Share",
        "connectionRef": {"name": "warehouse"},
        "deploymentRef": {"name": "prod"},
        "overrides": {"host": "prod.db.internal"},
    }
    await _create(kubernetes, "ConnectionLink", "connectionlinks", "warehouse-prod", link)
    return FIRST


async def _create(kubernetes: Server, kind: str, plural: str, name: str, spec: Raw) -> None:
    body: Raw = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
    await kubernetes.call("POST", f"/apis/{GROUP}/{VERSION}/namespaces/{NAMESPACE}/{plural}", body)
