"""Runs inside an Airflow environment and says what Airflow makes of an environment variable. Imports nothing of ours.

One JSON object a line: `{"id": 1, "conn_id": "x", "env": {"AIRFLOW_CONN_X": "…"}}` is answered with
`{"id": 1, "views": {"server": {…}, "task": {…}}}`. The views are the paths on which Airflow resolves a connection:
`server` is `airflow.models.Connection`, as scheduler and api-server (and, in 2.x, tasks) use it; `task` is
`airflow.sdk.Connection`, as tasks of 3.x use it. A view holds the fields, or `error` with the kind of the exception;
`NotFound` means that there is no such connection. The first line, `{"ready": "3.3.2"}`, comes when Airflow is loaded.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

FIELDS = ("conn_type", "description", "host", "login", "password", "schema", "port")


def main() -> None:
    """Answers until standard input ends. Whatever Airflow prints goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    if not os.environ.get("ORACLE_VERBOSE"):
        os.dup2(silent, 2)
    warnings.simplefilter("ignore")
    home = tempfile.mkdtemp(prefix="jetbridge-airflow-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ["AIRFLOW_HOME"] = home
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{home}/none.db"

    version = import_module("airflow").__version__
    views = _views(version)
    _say(answers, {"ready": version})
    for line in sys.stdin:
        request = json.loads(line)
        os.environ.update(request["env"])
        try:
            found = {name: _look(resolve, request["conn_id"]) for name, resolve in views.items()}
        finally:
            for name in request["env"]:
                del os.environ[name]
        _forget_masks()
        _say(answers, {"id": request["id"], "views": found})


def _say(out: Any, answer: dict[str, Any]) -> None:
    out.write(json.dumps(answer) + "\n")
    out.flush()


def _views(version: str) -> dict[str, Callable[[str], Any]]:
    connection = import_module("airflow.models").Connection
    backend = import_module("airflow.secrets.environment_variables").EnvironmentVariablesBackend()

    def server(conn_id: str) -> Any:
        # Asked alone first: the whole lookup hides the backend's error and goes on to the database.
        if backend.get_connection(conn_id) is None:
            return None
        return connection.get_connection_from_secrets(conn_id)

    if version.startswith("2."):
        return {"server": server}

    task_connection = import_module("airflow.sdk").Connection
    supervisor = import_module("airflow.sdk.execution_time.supervisor")

    def task(conn_id: str) -> Any:
        (task_backend,) = supervisor.ensure_secrets_backend_loaded()
        if task_backend.get_connection(conn_id) is None:
            return None
        return task_connection.get(conn_id)

    return {"server": server, "task": task}


def _look(resolve: Callable[[str], Any], conn_id: str) -> dict[str, Any]:
    try:
        conn = resolve(conn_id)
        if conn is None:
            return {"error": "NotFound"}
        found = {name: getattr(conn, name) for name in FIELDS}
        found["extra"] = conn.extra_dejson
        json.dumps(found)
    except Exception as error:
        return {"error": type(error).__name__}
    return found


def _forget_masks() -> None:
    """Airflow remembers every secret to mask it in logs, and gets slower with each."""
    for package in ("airflow.utils.log", "airflow._shared", "airflow.sdk._shared"):
        masker = getattr(sys.modules.get(f"{package}.secrets_masker"), "_secrets_masker", None)
        if masker is not None:
            masker().patterns.clear()


if __name__ == "__main__":
    main()
