"""The operator's entries in Vault, as they stand there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dev.apiclient import Server
from dev.demo_world import World


@dataclass(frozen=True, slots=True)
class VaultEntry:
    """One entry: where, in which version, whose, and what is in it."""

    kind: str
    namespace: str
    name: str
    path: str
    version: int
    custom_metadata: Mapping[str, str]
    content: Mapping[str, Any] = field(repr=False)

    @property
    def owner(self) -> str:
        """The object it belongs to, as one would write it."""
        return f"{self.kind} {self.namespace}/{self.name}"


async def read_entries(vault: Server, world: World) -> list[VaultEntry]:
    """The entry of each Connection and link that has one by its status."""
    found = []
    for (kind, namespace, name), raw in sorted(world.objects.items()):
        if kind not in ("Connection", "ConnectionLink"):
            continue
        recorded = (raw.get("status") or {}).get("vault")
        if recorded is None:
            continue
        mount, _, below = str(recorded["path"]).partition("/")
        meta = (await vault.call("GET", f"/v1/{mount}/metadata/{below}"))["data"]
        content = (await vault.call("GET", f"/v1/{mount}/data/{below}"))["data"]["data"] or {}
        custom = meta.get("custom_metadata") or {}
        found.append(
            VaultEntry(kind, namespace, name, str(recorded["path"]), int(meta["current_version"]), custom, content)
        )
    return found
