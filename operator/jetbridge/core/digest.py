"""Keyed digests: whether content changed, without telling what it is (design, section 3).

A digest is `<key id>:<HMAC-SHA-256, 16 bytes in base64url>` over purpose, namespace UID, object UID and canonical
content. The key lives in Vault; so nobody who reads a status or an annotation can try passwords against it, and equal
content of two objects has unequal digests.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from jetbridge.core.jsonvalue import JsonValue
from jetbridge.core.secret_value import SecretValue

_DIGEST_BYTES = 16
Purpose = Literal["entry", "recipe", "value"]


def canonical(content: JsonValue) -> bytes:
    """One byte string for equal content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def fingerprint(*parts: str) -> str:
    """A short unkeyed hash of parts that are no secrets, such as UIDs and references."""
    joined = "\0".join(parts).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(joined).digest()[:12]).decode()


def _mac(key: bytes, purpose: Purpose, namespace_uid: str, object_uid: str, content: bytes) -> str:
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in (purpose.encode(), namespace_uid.encode(), object_uid.encode(), content):
        mac.update(len(part).to_bytes(8, "big"))
        mac.update(part)
    return base64.urlsafe_b64encode(mac.digest()[:_DIGEST_BYTES]).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose content is digested."""

    namespace_uid: str
    object_uid: str


@dataclass(frozen=True, slots=True)
class Keyring:
    """The current key and the older ones that digests may still refer to."""

    current: str
    keys: Mapping[str, SecretValue] = field(repr=False)

    def digest(self, purpose: Purpose, scope: Scope, content: bytes) -> str:
        """The digest of content under the current key."""
        return self._digest(self.current, purpose, scope, content)

    def matches(self, digest: str, purpose: Purpose, scope: Scope, content: bytes) -> bool:
        """Whether a digest, made under any key that is known, is that of the content. False when the key is unknown."""
        key_id, _, _ = digest.partition(":")
        if key_id not in self.keys:
            return False
        return hmac.compare_digest(digest, self._digest(key_id, purpose, scope, content))

    def knows(self, digest: str) -> bool:
        """Whether the digest was made under a key that is known."""
        return digest.partition(":")[0] in self.keys

    def _digest(self, key_id: str, purpose: Purpose, scope: Scope, content: bytes) -> str:
        key = self.keys[key_id].reveal()
        return f"{key_id}:{_mac(key, purpose, scope.namespace_uid, scope.object_uid, content)}"
