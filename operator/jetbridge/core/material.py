"""Whether an owner's sourced fields can be used now, told from the store alone (design, section 2, point 5).

An owner is a Connection or a link. Its stored material counts only when it belongs to the references as they stand, and
only when no newer source waits to be taken in: a new host is never put together with an old password.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jetbridge.core.conditions import find
from jetbridge.core.digest import Keyring, Scope, canonical
from jetbridge.core.fields import Fields, pack
from jetbridge.core.ingest import StoreReason
from jetbridge.core.sources import (
    Collected,
    Lookup,
    SourceProblem,
    SourceReason,
    collect,
    has_sources,
    refs_fingerprint,
)
from jetbridge.core.views import Owner, Record


@dataclass(frozen=True, slots=True)
class NoMaterial:
    """The owner has no sources: there is nothing to fetch."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The material is in Vault as the record says; `fields` is there when the source still is."""

    record: Record
    fields: Fields | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Blocked:
    """The material can't be used, and why."""

    reason: str
    message: str


Material = NoMaterial | Ready | Blocked


@dataclass(frozen=True, slots=True)
class LastIngest:
    """What the last attempt to take in an owner's sources ended with."""

    reason: StoreReason
    message: str
    generation: int


# What is true of an entry until somebody changes it; Vault being away is not.
_LASTING = (StoreReason.CHANGED, StoreReason.LOST, StoreReason.FOREIGN, StoreReason.MISSING)
# Why Vault did not take what a source gives.
_NOT_STORED = (StoreReason.UNAVAILABLE, StoreReason.DENIED, StoreReason.NOT_TAKEN, StoreReason.FOREIGN)


def told_before(owner: Owner) -> LastIngest | None:
    """What an owner's status says of its entry. It holds after a restart, until the entry is looked at again."""
    stored = find(owner.status, "Stored") or {}
    reason = stored.get("reason")
    if reason not in [r.value for r in _LASTING]:
        return None
    return LastIngest(StoreReason(reason), str(stored.get("message")), int(stored.get("observedGeneration", 0)))


def sources_of(owner: Owner, lookup: Lookup) -> Collected | SourceProblem | None:
    """What the owner's sources give; None when it names none."""
    spec = owner.fields
    if spec is None or not has_sources(spec):
        return None
    return collect(spec, owner.meta.namespace, lookup)


def material_of(
    owner: Owner,
    record: Record | None,
    source: Collected | SourceProblem | None,
    *,
    keyring: Keyring | None,
    scope: Scope,
    last: LastIngest | None,
) -> Material:
    """Whether the owner's material can be used. Without a keyring (Vault was never reached) a record is trusted as it is."""
    spec = owner.fields
    if spec is None or source is None:
        return NoMaterial()
    if record is not None and record.refs != refs_fingerprint(spec):
        record = None
    if isinstance(source, Collected):
        if record is not None and (
            keyring is None or keyring.matches(record.digest, "entry", scope, canonical(pack(source.fields)))
        ):
            if last is not None and last.reason is StoreReason.FOREIGN:
                return Blocked(last.reason.value, last.message)
            return Ready(record, source.fields)
        return _pending(owner, last)
    if source.reason is not SourceReason.MISSING:
        return Blocked(source.reason.value, source.message)
    if record is None:
        if last is not None and last.reason in _NOT_STORED:
            return Blocked(last.reason.value, last.message)
        return Blocked(source.reason.value, source.message)
    if last is not None and last.reason in (StoreReason.CHANGED, StoreReason.LOST, StoreReason.FOREIGN):
        return Blocked(last.reason.value, last.message)
    return Ready(record, None)


def _pending(owner: Owner, last: LastIngest | None) -> Blocked:
    if last is not None and last.reason in _NOT_STORED:
        return Blocked(last.reason.value, last.message)
    return Blocked(StoreReason.PENDING.value, f"the sources of {owner.meta} are being taken in")
