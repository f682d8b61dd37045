"""What the operator did, as the servers' own audit logs tell it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dev.stack import LocalStack

OPERATOR = "system:serviceaccount:jetbridge-system:jetbridge"
_WRITES = ("create", "update", "patch", "delete", "deletecollection")


def vault_audit_log(stack: LocalStack) -> Path:
    """Where Vault writes a line for each request and answer."""
    return stack.state_dir / "vault" / "audit.log"


class _Log:
    """The lines of a log of JSON from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.exists() else 0

    def _lines(self) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                yield json.loads(line)


class ApiWrites(_Log):
    """The operator's writes to some namespaces, from now on."""

    def __init__(self, path: Path, namespaces: frozenset[str]) -> None:
        super().__init__(path)
        self._namespaces = namespaces

    def since(self) -> list[str]:
        """Each write as `verb resource/subresource name`."""
        found = []
        for line in self._lines():
            target = line.get("objectRef") or {}
            if (
                line["user"]["username"] == OPERATOR
                and line["verb"] in _WRITES
                and target.get("namespace") in self._namespaces
            ):
                parts = filter(None, (target["resource"], target.get("subresource")))
                found.append(f"{line['verb']} {'/'.join(parts)} {target.get('name', '')}".rstrip())
        return found

    def secret_reads(self) -> list[str]:
        """Each read of a single Secret."""
        return [
            line["objectRef"]["name"]
            for line in self._lines()
            if line["user"]["username"] == OPERATOR and line["verb"] == "get"
        ]


class VaultCalls(_Log):
    """Calls to Vault with the operator's role, from now on."""

    def since(self) -> list[str]:
        """Each call as `operation path`."""
        found = []
        for line in self._lines():
            caller = line.get("auth", {}).get("display_name")  # a login, and a token that is revoked, have none
            if line["type"] == "request" and caller != "root":
                found.append(f"{line['request']['operation']} {line['request']['path']}")
        return found
