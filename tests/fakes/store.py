"""`FakeStore`: the secret store with the semantics of Vault's KV v2, in memory. `tests/contract` holds it against Vault."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jetbridge.core.ingest import EntryState
from jetbridge.core.jsonvalue import JsonValue
from jetbridge.shell.vault.contract import CasMismatch, SecretStore, VaultDenied, VaultUnavailable
from tests.fakes.faults import Faults

MAX_VERSIONS = 10


def _as_vault_reads(value: JsonValue) -> JsonValue:
    """Vault takes every number as a 64-bit float and writes whole ones below 1e21 without a point."""
    if isinstance(value, dict):
        return {key: _as_vault_reads(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_vault_reads(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        return int(number) if number.is_integer() and abs(number) < 1e21 else number
    return value


@dataclass
class _Version:
    content: dict[str, JsonValue] | None
    deleted: bool = False
    destroyed: bool = False

    @property
    def live(self) -> bool:
        return not self.deleted and not self.destroyed


@dataclass
class _Entry:
    current: int = 0
    versions: dict[int, _Version] = field(default_factory=dict)
    custom_metadata: dict[str, str] = field(default_factory=dict)
    max_versions: int = MAX_VERSIONS


class FakeStore(SecretStore):
    """Entries by path. `sealed` and `denied` break every call; `faults` breaks single ones."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.sealed = False
        self.denied = False
        self.calls: list[str] = []
        self._entries: dict[str, _Entry] = {}

    # -- the contract

    async def read_state(self, path: str, *, content: bool) -> EntryState | None:
        await self._read(f"read_state {path}" + (" with content" if content else ""))
        entry = self._entries.get(path)
        if entry is None:
            return None
        current = entry.versions.get(entry.current)
        live = current is not None and current.live
        found = copy.deepcopy(current.content) if current is not None and live and content else None
        versions = tuple(sorted(number for number, version in entry.versions.items() if version.live))
        return EntryState(entry.current, live, dict(entry.custom_metadata), versions, found)

    async def read_version(self, path: str, version: int) -> Mapping[str, JsonValue] | None:
        await self._read(f"read_version {path}@{version}")
        entry = self._entries.get(path)
        found = entry.versions.get(version) if entry is not None else None
        return copy.deepcopy(found.content) if found is not None and found.live else None

    async def write_metadata(self, path: str, custom_metadata: Mapping[str, str]) -> None:
        await self._begin(f"write_metadata {path}")
        with self.faults.write(f"vault metadata {path}"):
            self._entries.setdefault(path, _Entry()).custom_metadata = dict(custom_metadata)

    async def put(self, path: str, content: Mapping[str, JsonValue], cas: int) -> int:
        await self._begin(f"put {path}")
        with self.faults.write(f"vault put {path}"):
            entry = self._entries.get(path)
            if cas != (entry.current if entry is not None else 0):
                raise CasMismatch(f"{path} is no longer at version {cas}")
            return self._add(path, content)

    async def soft_delete(self, path: str, versions: Sequence[int]) -> None:
        if not versions:
            return
        await self._begin(f"soft_delete {path}")
        with self.faults.write(f"vault delete {path}"):
            self.delete(path, *versions)

    # -- what an administrator does

    def edit(self, path: str, content: Mapping[str, JsonValue]) -> int:
        """Writes a version past the operator."""
        return self._add(path, content)

    def delete(self, path: str, *versions: int) -> None:
        """Soft-deletes versions past the operator."""
        entry = self._entries.get(path)
        for number in versions:
            if entry is not None and number in entry.versions:
                entry.versions[number].deleted = True

    def undelete(self, path: str, version: int) -> None:
        """Brings a version back."""
        self._entries[path].versions[version].deleted = False

    def destroy(self, path: str, version: int) -> None:
        """Destroys a version's content for ever."""
        found = self._entries[path].versions[version]
        found.destroyed, found.content = True, None

    def remove(self, path: str) -> None:
        """Removes an entry with its metadata and all versions."""
        self._entries.pop(path, None)

    def own(self, path: str, custom_metadata: Mapping[str, str]) -> None:
        """Writes custom metadata past the operator."""
        self._entries.setdefault(path, _Entry()).custom_metadata = dict(custom_metadata)

    # -- what tests look at

    def paths(self) -> list[str]:
        """All paths."""
        return sorted(self._entries)

    def content(self, path: str) -> Mapping[str, JsonValue] | None:
        """The current content; None when there is none that can be read."""
        entry = self._entries.get(path)
        current = entry.versions.get(entry.current) if entry is not None else None
        return current.content if current is not None and current.live else None

    def version(self, path: str) -> int:
        """The current version; 0 when there is no entry."""
        entry = self._entries.get(path)
        return entry.current if entry is not None else 0

    def metadata(self, path: str) -> Mapping[str, str]:
        """The custom metadata."""
        return self._entries[path].custom_metadata

    def _add(self, path: str, content: Mapping[str, JsonValue]) -> int:
        entry = self._entries.setdefault(path, _Entry())
        entry.current += 1
        entry.versions[entry.current] = _Version({name: _as_vault_reads(value) for name, value in content.items()})
        for number in sorted(entry.versions)[: -entry.max_versions]:
            del entry.versions[number]
        return entry.current

    async def _read(self, what: str) -> None:
        await self._begin(what)
        self.faults.read(f"vault {what}")

    async def _begin(self, what: str) -> None:
        await self.faults.wait()
        self.calls.append(what)
        if self.sealed:
            raise VaultUnavailable("Vault is sealed or not ready")
        if self.denied:
            raise VaultDenied(f"Vault refuses {what.partition(' ')[0]}")
