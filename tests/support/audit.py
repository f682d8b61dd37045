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


class ApiCalls(_Log):
    """The operator's calls about some namespaces, from now on: writes, and reads of Secrets."""

    def __init__(self, path: Path, namespaces: frozenset[str]) -> None:
        super().__init__(path)
        self._namespaces = namespaces

    def writes(self) -> list[str]:
        """Each write as `verb resource/subresource name`."""
        return [_told(line) for line in self._of_operator() if line["verb"] in _WRITES]

    def secret_reads(self) -> list[str]:
        """Each read of a single Secret."""
        return [_told(line) for line in self._of_operator() if line["verb"] == "get"]

    def refusals(self) -> list[str]:
        """Each call that was forbidden."""
        return [_told(line) for line in self._of_operator() if line["responseStatus"]["code"] == 403]

    def _of_operator(self) -> Iterator[dict[str, Any]]:
        for line in self._lines():
            target = line.get("objectRef") or {}
            if line["user"]["username"] == OPERATOR and target.get("namespace") in self._namespaces:
                yield line


def _told(line: dict[str, Any]) -> str:
    target = line["objectRef"]
    resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
    return f"{line['verb']} {resource} {target.get('name', '')}".rstrip()


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
