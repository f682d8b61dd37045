"""What proves an entry of a rendered Secret to be as we wrote it: a keyed digest over the value and its whole record.

Labels, annotations and owner references can be forged by anybody who may write Secrets; this can't.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from jetbridge.core import manifest as manifests
from jetbridge.core.digest import Keyring, Scope
from jetbridge.core.manifest import EntryRecord, Manifest
from jetbridge.core.secret_value import SecretValue
from jetbridge.core.views import RenderedView


@dataclass(frozen=True, slots=True)
class Carried:
    """An entry that stays as it stands in the Secret, byte for byte."""

    record: EntryRecord
    value: SecretValue = field(repr=False)


def intact(
    secret: RenderedView | None, records: Manifest, keyring: Keyring | None, scope: Scope
) -> Iterator[tuple[str, Carried]]:
    """The entries of a rendered Secret that are as they were written."""
    for name, record in records.items() if secret is not None else ():
        value = secret.data.get(name) if secret is not None else None
        if value is None:
            continue
        if is_broken(name, record, value, keyring, scope):
            continue
        yield name, Carried(record, value)


def genuine(name: str, record: EntryRecord, value: SecretValue, keyring: Keyring, scope: Scope) -> bool:
    """Whether record and value are as we wrote them, for the deployment of the scope."""
    return keyring.matches(record.value, "value", scope, sealed(name, record, value))


def is_broken(name: str, record: EntryRecord, value: SecretValue, keyring: Keyring | None, scope: Scope) -> bool:
    """Whether somebody changed record or value. Under a key that was lost nothing can be checked: then it counts as intact,
    and is rendered anew if it can be."""
    known = keyring is not None and keyring.knows(record.value)
    return known and keyring is not None and not genuine(name, record, value, keyring, scope)


def is_proven(secret: RenderedView, keyring: Keyring, namespace_uid: str) -> bool:
    """Whether a Secret that carries our label was written by us: one genuine entry tells. Labels and owners can be forged."""
    scope = Scope(namespace_uid, secret.owner_uid)
    return any(
        name in secret.data and genuine(name, record, secret.data[name], keyring, scope)
        for name, record in manifests.load(secret.manifest).items()
    )


def sealed(name: str, record: EntryRecord, value: SecretValue) -> bytes:
    """What the digest of an entry covers."""
    parts = (name, record.workspace, record.identity, record.recipe, record.since)
    return "\0".join(parts).encode() + b"\0" + value.reveal()
