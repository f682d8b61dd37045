"""The operator as a process of its own, with its own ServiceAccount and nothing of the person who starts it."""

from __future__ import annotations

import os
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from dev.files import read_json, write_json
from dev.ports import LOOPBACK, free_ports, is_free
from dev.processes import ProcessTable
from dev.readiness import PortTakenError, wait_ready

NAME = "operator"
READY_LIMIT_SECONDS = 60.0
PORT_ATTEMPTS = 3
COMMAND = (sys.executable, "-m", "jetbridge", "operator", "run")


class OperatorProcess:
    """At most one operator in a state folder."""

    def __init__(self, folder: Path, table: ProcessTable) -> None:
        """Attach to what is in `folder`."""
        self._table = table
        self._file = folder / "operator.json"

    def listen(self) -> str:
        """Where its metrics and probes are; chosen once and kept, unless somebody else took it."""
        state = read_json(self._file)
        if state is None:
            return self._choose_port()
        return f"{LOOPBACK}:{state['port']}"

    def _choose_port(self) -> str:
        (port,) = free_ports(1)
        write_json(self._file, {"port": port})
        return f"{LOOPBACK}:{port}"

    def started_for(self, servers: list[str]) -> bool:
        """Whether it was started against these servers; it reads its settings only once."""
        state = read_json(self._file)
        return state is not None and state.get("servers") == servers

    def is_ready(self) -> bool:
        """Ask /readyz."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{self.listen()}/readyz", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def start(
        self,
        settings: Mapping[str, str],
        *,
        servers: list[str],
        command: Sequence[str] = COMMAND,
        extra_env: Mapping[str, str] | None = None,
        wait: bool = True,
        limit: float = READY_LIMIT_SECONDS,
    ) -> None:
        """Start it with these settings, and wait until it is ready."""
        for attempt in range(PORT_ATTEMPTS):
            listen = self.listen()
            if not is_free(int(listen.rpartition(":")[2])):
                listen = self._choose_port()
            env = process_env({**settings, "JETBRIDGE_LISTEN": listen, **(extra_env or {})})
            write_json(self._file, {"port": int(listen.rpartition(":")[2]), "servers": servers})
            self._table.start(NAME, command, env=env, address=f"http://{listen}")
            if not wait:
                return
            try:
                wait_ready(self._table, NAME, self.is_ready, limit)
                return
            except PortTakenError:
                if attempt == PORT_ATTEMPTS - 1:
                    raise
                self._choose_port()


def process_env(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of an operator: nothing of a person's Vault (a root token, above all) or cluster, no proxy."""
    dropped = ("VAULT_", "JETBRIDGE_", "KUBE")
    env = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    for name in ("NO_PROXY", "no_proxy"):
        env[name] = ",".join(filter(None, (env.get(name), LOOPBACK, "localhost")))
    return {**env, **settings}
