"""Talks to `oracle.py` in an Airflow environment."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

READY_SECONDS = 180
"""The first import of a new environment compiles all of Airflow."""
ANSWER_SECONDS = 60
END_SECONDS = 20

View = dict[str, Any]


class Oracle:
    """One process with Airflow loaded. A context manager; it is ended by its handle.

    `variables` are in its environment from the start, as they would be in a pod's.
    """

    def __init__(self, python: Path, variables: Mapping[str, str] | None = None) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "PYTHON", "VIRTUAL_ENV"))}
        self._process = subprocess.Popen(
            [str(python), "-I", str(Path(__file__).with_name("oracle.py"))],
            env={**environment, **(variables or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("ORACLE_VERBOSE") else subprocess.DEVNULL,
            text=True,
            encoding="ascii",
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self._last_id = 0
        try:
            self.version: str = self._answer(READY_SECONDS)["ready"]
        except BaseException:
            self.close()
            raise

    def resolve(self, conn_id: str, variables: Mapping[str, str]) -> dict[str, View]:
        """What Airflow finds for an id when these variables are set, on each of its paths (see `oracle.py`).

        Raises:
            RuntimeError: the process ended, or did not answer in time.
        """
        self._last_id += 1
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": self._last_id, "conn_id": conn_id, "env": dict(variables)}) + "\n")
        self._process.stdin.flush()
        answer = self._answer(ANSWER_SECONDS)
        assert answer["id"] == self._last_id
        views: dict[str, View] = answer["views"]
        return views

    def read(self, value: str) -> dict[str, View]:
        """What Airflow makes of one value."""
        return self.resolve("x", {"AIRFLOW_CONN_X": value})

    def close(self) -> None:
        """Ends the process: its input ends, and it is killed if that does not do."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _answer(self, limit: float) -> Any:
        try:
            line = self._lines.get(timeout=limit)
        except queue.Empty:
            raise RuntimeError(f"Airflow did not answer within {limit} s") from None
        if line is None:
            raise RuntimeError(f"Airflow's process ended with {self._process.wait(END_SECONDS)}; set ORACLE_VERBOSE=1")
        return json.loads(line)
