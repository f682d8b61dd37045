"""The contract of the secret store: what the reconcilers need of Vault, and no more.

Every error is free of content: neither a value nor what the server answered is in its text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from jetbridge.core.ingest import EntryState
from jetbridge.core.jsonvalue import JsonValue


class VaultError(Exception):
    """Vault did not do what was asked. `reason` is the condition's reason."""

    reason = "VaultError"


class VaultUnavailable(VaultError):
    """It can't be reached, is sealed, or fails: worth trying again."""

    reason = "VaultUnavailable"


class VaultRefused(VaultError):
    """It answers, and does not take this one request. Nobody else is concerned."""

    reason = "VaultRefused"


class VaultDenied(VaultError):
    """It refuses: the role's policy does not allow this."""

    reason = "VaultDenied"


class CasMismatch(VaultError):
    """Somebody else wrote first: look again."""

    reason = "VaultConflict"


class SecretStore(Protocol):
    """Entries of KV v2 below one mount. Paths are relative to the mount, made by `entry_path`."""

    async def read_state(self, path: str, *, content: bool) -> EntryState | None:
        """What stands at the path: its metadata and, if asked for, the content of a live current version.

        Raises:
            CasMismatch: it changed while it was read.
        """

    async def read_version(self, path: str, version: int) -> Mapping[str, JsonValue] | None:
        """The content of one version; None when it is not there, or deleted."""

    async def write_metadata(self, path: str, custom_metadata: Mapping[str, str]) -> None:
        """Replaces the custom metadata; also before any version exists."""

    async def put(self, path: str, content: Mapping[str, JsonValue], cas: int) -> int:
        """Writes a version if the current one is `cas` (0: none was ever written); gives its number.

        Raises:
            CasMismatch: the current version is another.
        """

    async def soft_delete(self, path: str, versions: Sequence[int]) -> None:
        """Deletes versions in such a way that they can be restored."""


def entry_path(prefix: str, namespace: str, collection: str, name: str) -> str:
    """The path of an object's entry below the mount.

    Raises:
        ValueError: a segment could lead elsewhere. Kubernetes names never do; the check is for what bypassed it.
    """
    segments = [*prefix.split("/"), namespace, collection, name]
    for segment in segments:
        if not _is_segment(segment):
            raise ValueError(f"{segment!r} can't be a segment of a path in Vault")
    return "/".join(segments)


_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_REST = _FIRST | {"."}


def _is_segment(text: str) -> bool:
    return bool(text) and text[0] in _FIRST and all(c in _REST for c in text)
