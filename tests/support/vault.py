"""Vault as an administrator sees it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from dev.stack import LocalStack
from dev.vaulthttp import VaultRefusedError
from dev.vaultserver import MOUNT, PREFIX


@dataclass(frozen=True)
class Entry:
    """An entry of KV v2. `content` is None when the current version is deleted, destroyed, or was never written."""

    version: int
    content: dict[str, Any] | None
    custom_metadata: dict[str, str]
    deleted: tuple[int, ...]
    destroyed: tuple[int, ...]


class VaultRoot:
    """Looks, and meddles, with the root token. Paths are `<namespace>/connections/<name>` or `…/links/<name>`."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request, at any path."""
        return await asyncio.to_thread(self._stack.vault.client().call, method, path, body)

    async def entry(self, path: str) -> Entry | None:
        """What stands at the path, or None."""
        try:
            meta = (await self.call("GET", f"{MOUNT}/metadata/{PREFIX}/{path}"))["data"]
        except VaultRefusedError as refused:
            if refused.status == 404:
                return None
            raise
        versions = {int(number): v for number, v in (meta["versions"] or {}).items()}
        current = int(meta["current_version"])
        content = None
        if current in versions and not versions[current]["deletion_time"] and not versions[current]["destroyed"]:
            try:
                content = (await self.call("GET", f"{MOUNT}/data/{PREFIX}/{path}"))["data"]["data"]
            except VaultRefusedError as refused:
                if refused.status != 404:  # 404: deleted between the two looks
                    raise
        return Entry(
            version=current,
            content=content,
            custom_metadata=dict(meta["custom_metadata"] or {}),
            deleted=tuple(sorted(n for n, v in versions.items() if v["deletion_time"])),
            destroyed=tuple(sorted(n for n, v in versions.items() if v["destroyed"])),
        )

    async def paths(self, namespace: str) -> list[str]:
        """All entries of a namespace."""
        found = []
        for collection in ("connections", "links"):
            try:
                listed = await self.call("LIST", f"{MOUNT}/metadata/{PREFIX}/{namespace}/{collection}")
            except VaultRefusedError as refused:
                if refused.status != 404:
                    raise
                continue
            found += [f"{namespace}/{collection}/{name}" for name in listed["data"]["keys"]]
        return found

    async def put(self, path: str, **content: Any) -> None:
        """Writes a version, as somebody with Vault's user interface would."""
        await self.call("POST", f"{MOUNT}/data/{PREFIX}/{path}", {"data": content})

    async def set_metadata(self, path: str, **custom_metadata: str) -> None:
        """Replaces the custom metadata."""
        await self.call("POST", f"{MOUNT}/metadata/{PREFIX}/{path}", {"custom_metadata": custom_metadata})

    async def soft_delete(self, path: str) -> None:
        """Deletes the current version so that it can be restored."""
        await self.call("DELETE", f"{MOUNT}/data/{PREFIX}/{path}")

    async def destroy(self, path: str, version: int) -> None:
        """Destroys a version for good."""
        await self.call("PUT", f"{MOUNT}/destroy/{PREFIX}/{path}", {"versions": [version]})

    async def forget(self, path: str) -> None:
        """Deletes metadata and all versions."""
        await self.call("DELETE", f"{MOUNT}/metadata/{PREFIX}/{path}")
