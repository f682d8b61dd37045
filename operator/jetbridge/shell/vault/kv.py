"""The store contract over Vault's KV v2 (https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2)."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import hvac
from hvac import exceptions

from jetbridge.core.ingest import EntryState
from jetbridge.core.jsonvalue import JsonValue
from jetbridge.shell.vault.contract import CasMismatch, SecretStore, VaultRefused
from jetbridge.shell.vault.session import VaultSession

T = TypeVar("T")


class KvStore(SecretStore):
    """Entries of a KV v2 engine."""

    def __init__(self, session: VaultSession, mount: str) -> None:
        self._session = session
        self._mount = mount

    async def read_state(self, path: str, *, content: bool) -> EntryState | None:
        def read(client: hvac.Client) -> EntryState | None:
            try:
                meta = self._kv(client).read_secret_metadata(path=path, mount_point=self._mount)["data"]
            except exceptions.InvalidPath:
                return None
            return _state(meta)

        state = await self._call("read_metadata", read)
        if state is None or not content or not state.live:
            return state
        found = await self.read_version(path, state.version)
        if found is None:
            raise CasMismatch(f"{path} changed while it was read")
        return EntryState(state.version, state.live, state.custom_metadata, state.live_versions, found)

    async def read_version(self, path: str, version: int) -> Mapping[str, JsonValue] | None:
        def read(client: hvac.Client) -> Mapping[str, JsonValue] | None:
            try:
                answer = self._kv(client).read_secret_version(
                    path=path, version=version, mount_point=self._mount, raise_on_deleted_version=False
                )
            except exceptions.InvalidPath:
                return None
            data: Mapping[str, JsonValue] | None = answer["data"]["data"]
            return data

        return await self._call("read", read)

    async def write_metadata(self, path: str, custom_metadata: Mapping[str, str]) -> None:
        await self._call(
            "write_metadata",
            lambda client: self._kv(client).update_metadata(
                path=path, custom_metadata=dict(custom_metadata), mount_point=self._mount
            ),
        )

    async def put(self, path: str, content: Mapping[str, JsonValue], cas: int) -> int:
        def write(client: hvac.Client) -> int:
            try:
                answer = self._kv(client).create_or_update_secret(
                    path=path, secret=dict(content), cas=cas, mount_point=self._mount
                )
            except exceptions.InvalidRequest as error:
                # KV answers 400 to a wrong cas, and to a body that it can't take; its words are looked at, not kept.
                if "check-and-set" in str(error):
                    raise CasMismatch(f"{path} is no longer at version {cas}") from None
                raise VaultRefused("Vault does not take this content") from None
            if not isinstance(answer, dict):
                raise exceptions.InvalidPath  # an answer without a body: no KV v2
            return int(answer["data"]["version"])

        return await self._call("write", write)

    async def soft_delete(self, path: str, versions: Sequence[int]) -> None:
        def delete(client: hvac.Client) -> None:
            try:
                self._kv(client).delete_secret_versions(path=path, versions=list(versions), mount_point=self._mount)
            except exceptions.InvalidPath:
                return

        if versions:
            await self._call("delete", delete)

    async def _call(self, operation: str, function: Callable[[hvac.Client], T]) -> T:
        try:
            return await self._session.call(operation, function)
        except (exceptions.InvalidRequest, exceptions.InvalidPath):
            # Not expected here; the answer's text stays out.
            raise VaultRefused(f"Vault did not understand {operation}; is {self._mount} a KV v2 engine?") from None

    @staticmethod
    def _kv(client: hvac.Client) -> Any:
        return client.secrets.kv.v2


def _state(meta: Mapping[str, Any]) -> EntryState:
    versions: Mapping[str, Any] = meta.get("versions") or {}
    live = tuple(sorted(int(n) for n, v in versions.items() if not _is_deleted(v)))
    current = int(meta.get("current_version") or 0)
    return EntryState(current, current in live, dict(meta.get("custom_metadata") or {}), live)


def _is_deleted(version: Mapping[str, Any]) -> bool:
    """Whether a version can't be read. With `delete_version_after` a live one has a deletion time that is still to come."""
    at = version.get("deletion_time")
    if version.get("destroyed") or not at:
        return bool(version.get("destroyed"))
    try:
        # Vault gives nanoseconds, and fromisoformat takes six digits of a second.
        moment = datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", at))
    except ValueError:
        return True
    return moment <= datetime.datetime.now(datetime.UTC)
