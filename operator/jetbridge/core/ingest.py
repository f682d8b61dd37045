"""What becomes of the entry in Vault: the table of the design, section 3, as pure functions.

source | entry                                   | decision
there  | matches                                 | nothing
there  | edited, soft-deleted, absent, destroyed | put again, cas = current version
gone   | matches                                 | kept
gone   | edited                                  | StoredValueChanged, last good stays
gone   | missing                                 | SourceLost, last good stays
any    | foreign                                 | refused
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from jetbridge.core.digest import Keyring, Scope, canonical
from jetbridge.core.fields import Fields, pack
from jetbridge.core.jsonvalue import JsonValue
from jetbridge.core.sources import Collected, SourceProblem
from jetbridge.core.views import Record

MANAGER = "jetbridge"


@dataclass(frozen=True, slots=True)
class Ownership:
    """Whose an entry is, as its `custom_metadata` says. The path names workspace and object, so the same cluster,
    namespace UID and path are the same object made again: it is adopted. Anything else is foreign."""

    cluster: str
    namespace_uid: str
    object_uid: str
    refs: str

    def metadata(self) -> dict[str, str]:
        """What is written into `custom_metadata`, before any data."""
        return {
            "manager": MANAGER,
            "cluster": self.cluster,
            "namespace_uid": self.namespace_uid,
            "object_uid": self.object_uid,
            "refs": self.refs,
        }


@dataclass(frozen=True, slots=True)
class EntryState:
    """The entry as Vault's metadata describes it. `version` 0: no version was ever written.

    `live` says whether the current version can be read (not deleted, not destroyed); `content` is there when it was read.
    """

    version: int
    live: bool
    custom_metadata: Mapping[str, str]
    live_versions: tuple[int, ...] = ()
    content: Mapping[str, JsonValue] | None = field(default=None, repr=False)


class Verdict(str, Enum):
    """What to do."""

    NOTHING = "Nothing"
    PUT = "Put"
    KEEP = "Keep"
    REFUSE = "Refuse"
    NEED_CONTENT = "NeedContent"


class StoreReason(str, Enum):
    """Why the entry is as it is, for the condition Stored."""

    STORED = "Stored"
    KEPT = "SourceGoneKept"
    PENDING = "Pending"
    CHANGED = "StoredValueChanged"
    LOST = "SourceLost"
    FOREIGN = "ForeignEntry"
    MISSING = "SourceMissing"
    REFUSED = "SourceRefused"
    INVALID = "SourceInvalid"
    UNAVAILABLE = "VaultUnavailable"
    DENIED = "VaultDenied"
    NOT_TAKEN = "VaultRefused"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with one entry, and why."""

    verdict: Verdict
    reason: StoreReason
    message: str
    cas: int = 0
    write_metadata: bool = False
    record: Record | None = None


def entry_digest(keyring: Keyring, scope: Scope, fields: Fields) -> str:
    """The keyed digest of an entry's content."""
    return keyring.digest("entry", scope, canonical(pack(fields)))


def entry_matches(keyring: Keyring, scope: Scope, digest: str, content: Mapping[str, JsonValue]) -> bool:
    """Whether an entry as read from Vault has the digest."""
    return keyring.matches(digest, "entry", scope, canonical(dict(content)))


def is_ours(entry: EntryState, owner: Ownership) -> bool:
    """Whether an entry may be touched: nobody's yet, or that of the same cluster and namespace."""
    meta = entry.custom_metadata
    if not meta and entry.version == 0:
        return True
    return (
        meta.get("manager") == MANAGER
        and meta.get("cluster") == owner.cluster
        # A namespace that was deleted and made again finds its former entries deleted: those hold up nobody.
        and (meta.get("namespace_uid") == owner.namespace_uid or not entry.live)
    )


def decide(
    source: Collected | SourceProblem,
    record: Record | None,
    entry: EntryState | None,
    *,
    owner: Ownership,
    keyring: Keyring,
    scope: Scope,
    path: str,
    refs: str,
) -> Decision:
    """The table. `entry` None: nothing stands at the path. NEED_CONTENT asks to be called again with the content read.

    The record counts only for the references that it was taken from.
    """
    if entry is not None and not is_ours(entry, owner):
        return Decision(
            Verdict.REFUSE,
            StoreReason.FOREIGN,
            f"the entry {path} in Vault is not this object's and is left alone; move it away, or rename this object",
        )
    known = record if record is not None and record.refs == refs and record.path == path else None
    if isinstance(source, SourceProblem):
        if record is not None and record.refs != refs:
            entry = None  # what it holds was taken from other references
        kept = _without_source(source, known, entry, keyring=keyring, scope=scope, path=path, refs=refs)
        adopts = kept.verdict is Verdict.KEEP and entry is not None and dict(entry.custom_metadata) != owner.metadata()
        return replace(kept, write_metadata=adopts)
    return _with_source(source, known, entry, owner=owner, keyring=keyring, scope=scope, path=path, refs=refs)


def _with_source(
    source: Collected,
    record: Record | None,
    entry: EntryState | None,
    *,
    owner: Ownership,
    keyring: Keyring,
    scope: Scope,
    path: str,
    refs: str,
) -> Decision:
    current = entry.version if entry is not None else 0
    metadata = entry is None or dict(entry.custom_metadata) != owner.metadata()
    wanted = canonical(pack(source.fields))
    digest = keyring.digest("entry", scope, wanted)
    good = Record(path, current, digest, refs)
    if entry is not None and entry.live:
        trusted = record is not None and record.version == entry.version
        if trusted and record is not None and keyring.matches(record.digest, "entry", scope, wanted):
            return Decision(Verdict.NOTHING, StoreReason.STORED, _stored(good), write_metadata=metadata, record=good)
        if entry.content is None and not (trusted and record is not None and keyring.knows(record.digest)):
            # Somebody wrote, or we did and died before the status said so: only the content tells.
            return Decision(Verdict.NEED_CONTENT, StoreReason.PENDING, "")
        if entry.content is not None and canonical(dict(entry.content)) == wanted:
            return Decision(Verdict.NOTHING, StoreReason.STORED, _stored(good), write_metadata=metadata, record=good)
    return Decision(
        Verdict.PUT,
        StoreReason.STORED,
        _stored(Record(path, current + 1, digest, refs)),
        cas=current,
        write_metadata=metadata,
        record=Record(path, current + 1, digest, refs),
    )


def _without_source(
    problem: SourceProblem,
    record: Record | None,
    entry: EntryState | None,
    *,
    keyring: Keyring,
    scope: Scope,
    path: str,
    refs: str,
) -> Decision:
    reason = StoreReason(problem.reason.value)
    if reason is not StoreReason.MISSING:
        # The source is there and wrong: nothing is taken, what was delivered stays.
        return Decision(Verdict.REFUSE, reason, problem.message)
    if entry is None or not entry.live:
        if record is None:
            return Decision(Verdict.REFUSE, reason, problem.message)
        return Decision(
            Verdict.REFUSE,
            StoreReason.LOST,
            f"the source is gone and so is the entry {path} in Vault; what was delivered stays. {problem.message}",
        )
    if record is not None and record.version == entry.version and keyring.knows(record.digest):
        return Decision(Verdict.KEEP, StoreReason.KEPT, _kept(record), record=record)
    if record is None and entry.custom_metadata.get("refs") != refs:
        # What it holds was taken from other references: a new host must not meet an old password.
        return Decision(Verdict.REFUSE, reason, problem.message)
    if entry.content is None:
        return Decision(Verdict.NEED_CONTENT, StoreReason.PENDING, "")
    content = canonical(dict(entry.content))
    fresh = Record(path, entry.version, keyring.digest("entry", scope, content), refs)
    if record is None:
        # Ours by its metadata, and nothing is remembered: this object was restored, or made again.
        return Decision(Verdict.KEEP, StoreReason.KEPT, _kept(fresh), record=fresh)
    if keyring.matches(record.digest, "entry", scope, content):
        return Decision(Verdict.KEEP, StoreReason.KEPT, _kept(fresh), record=fresh)
    if not keyring.knows(record.digest) and record.version == entry.version:
        return Decision(Verdict.KEEP, StoreReason.KEPT, _kept(fresh), record=fresh)
    return Decision(
        Verdict.REFUSE,
        StoreReason.CHANGED,
        f"the entry {path} in Vault was edited (version {entry.version}, ours is {record.version}) and the source is gone; "
        f"what was delivered stays. {problem.message}",
    )


def _stored(record: Record) -> str:
    return f"stored in Vault at {record.path}, version {record.version}"


def _kept(record: Record) -> str:
    return f"the source is gone; the value stays in Vault at {record.path}, version {record.version}"
