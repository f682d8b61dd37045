"""One place that knows whether Vault is up.

While it is away, nobody but the gate asks for it: calls fail at once, and keys that met it are remembered. The gate probes
with a growing pause; when Vault is back, every remembered key is looked at again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from jetbridge.core.graph import Key
from jetbridge.core.ingest import EntryState
from jetbridge.core.jsonvalue import JsonValue
from jetbridge.shell.vault.contract import SecretStore, VaultError, VaultUnavailable

T = TypeVar("T")
log = logging.getLogger(__name__)
_FIRST_PAUSE, _MOST_PAUSE = 0.5, 5.0


class VaultGate(SecretStore):
    """The store behind a breaker."""

    def __init__(
        self,
        store: SecretStore,
        probe: Callable[[], Awaitable[object]],
        wake: Callable[[Key], None],
        told: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._probe = probe
        self._wake = wake
        self._told = told
        self._waiting: set[Key] = set()
        self._down = asyncio.Event()

    @property
    def up(self) -> bool:
        """Whether the last call reached Vault."""
        return not self._down.is_set()

    def wait_for_vault(self, key: Key) -> None:
        """Remembers a key that needs Vault, to be looked at when it is back."""
        self._waiting.add(key)

    def fail(self) -> None:
        """Notes that Vault is away."""
        if not self._down.is_set():
            log.warning("Vault is away; what is delivered stays, and work resumes when it is back")
            self._down.set()
            self._told(False)

    async def watch(self) -> None:
        """Probes while Vault is away; runs until cancelled."""
        while True:
            await self._down.wait()
            pause = _FIRST_PAUSE
            while self._down.is_set():
                await asyncio.sleep(pause)
                pause = min(_MOST_PAUSE, pause * 1.5)
                try:
                    await self._probe()
                except VaultUnavailable:
                    continue
                except VaultError:
                    pass  # it refuses, so it is there; who is refused says so
                self._down.clear()
                self._told(True)
                waiting, self._waiting = self._waiting, set()
                log.info("Vault is back; %d keys are looked at again", len(waiting))
                for key in waiting:
                    self._wake(key)

    async def read_state(self, path: str, *, content: bool) -> EntryState | None:
        return await self._through(lambda: self._store.read_state(path, content=content))

    async def read_version(self, path: str, version: int) -> Mapping[str, JsonValue] | None:
        return await self._through(lambda: self._store.read_version(path, version))

    async def write_metadata(self, path: str, custom_metadata: Mapping[str, str]) -> None:
        await self._through(lambda: self._store.write_metadata(path, custom_metadata))

    async def put(self, path: str, content: Mapping[str, JsonValue], cas: int) -> int:
        return await self._through(lambda: self._store.put(path, content, cas))

    async def soft_delete(self, path: str, versions: Sequence[int]) -> None:
        await self._through(lambda: self._store.soft_delete(path, versions))

    async def _through(self, call: Callable[[], Awaitable[T]]) -> T:
        if self._down.is_set():
            raise VaultUnavailable("Vault is away")
        try:
            return await call()
        except VaultUnavailable:
            self.fail()
            raise
