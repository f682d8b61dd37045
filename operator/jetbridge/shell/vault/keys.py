"""The digest keys, kept in Vault under `<prefix>/_operator/` (no namespace can have that name)."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping

from jetbridge.core.digest import Keyring
from jetbridge.core.jsonvalue import JsonValue
from jetbridge.core.secret_value import SecretValue
from jetbridge.shell.vault.contract import CasMismatch, SecretStore, VaultUnavailable, entry_path

_KEY_BYTES = 32


def keys_path(prefix: str) -> str:
    """Where the keys are, below the mount."""
    return entry_path(prefix, "_operator", "digest", "keys")


async def load_keyring(store: SecretStore, prefix: str) -> Keyring:
    """Reads the keys, or makes the first one.

    Raises:
        VaultError: they can't be read, or can't be understood: then no digest can be trusted and nothing is done.
    """
    path = keys_path(prefix)
    for _ in range(3):
        state = await store.read_state(path, content=True)
        if state is not None and state.content is not None:
            return _parse(state.content)
        key_id = f"k{secrets.token_hex(3)}"
        key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
        content: Mapping[str, JsonValue] = {"current": key_id, "keys": {key_id: key}}
        try:
            await store.put(path, content, cas=state.version if state is not None else 0)
        except CasMismatch:
            continue
        return _parse(content)
    raise VaultUnavailable("the digest keys are being written by somebody else")


def _parse(content: Mapping[str, JsonValue]) -> Keyring:
    current, keys = content.get("current"), content.get("keys")
    try:
        if not isinstance(current, str) or not isinstance(keys, dict) or current not in keys:
            raise ValueError
        parsed = {str(k): SecretValue(base64.b64decode(str(v), validate=True)) for k, v in keys.items()}
    except (ValueError, binascii.Error):
        raise VaultUnavailable("the digest keys in Vault can't be understood; restore an older version") from None
    return Keyring(current, parsed)
