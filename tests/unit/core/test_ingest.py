"""The table of the design, section 3: what becomes of an entry in Vault.

Three axes are tried in full: the source (there, gone, refused), the entry (nothing, metadata only, as we wrote it, edited,
soft-deleted, destroyed, foreign) and what is remembered of it (nothing, right, of other references, under an unknown key, of
another version).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from jetbridge.core.digest import Keyring, Scope
from jetbridge.core.fields import Fields, pack
from jetbridge.core.ingest import (
    Decision,
    EntryState,
    Ownership,
    StoreReason,
    Verdict,
    decide,
    entry_digest,
    entry_matches,
    is_ours,
)
from jetbridge.core.secret_value import SecretValue
from jetbridge.core.sources import Collected, SourceProblem, SourceReason
from jetbridge.core.views import Record

PLANTED = "hunter2-planted"
RING = Keyring("k1", {"k1": SecretValue(b"1" * 32)})
LOST_KEY = Keyring("k0", {"k0": SecretValue(b"0" * 32)})
SCOPE = Scope("ns-uid", "uid")
OWNER = Ownership("cluster", "ns-uid", "uid", "refs")
PATH = "secret/jetbridge/team-a/connections/warehouse"
REFS = "refs"
WANTED: Fields = {"password": PLANTED, "extra.a": 1}
EDITED: Fields = {"password": "somebody else's"}

SOURCES: dict[str, Collected | SourceProblem] = {
    "there": Collected(WANTED, {}, {"creds": "7"}),
    "gone": SourceProblem(SourceReason.MISSING, "there is no Secret"),
    "refused": SourceProblem(SourceReason.REFUSED, "it is of a wrong type"),
    "invalid": SourceProblem(SourceReason.INVALID, "no JSON"),
}
ENTRIES: dict[str, tuple[EntryState | None, Fields | None]] = {
    "nothing": (None, None),
    "metadata only": (EntryState(0, False, OWNER.metadata()), None),
    "matching": (EntryState(2, True, OWNER.metadata(), (1, 2)), WANTED),
    "edited": (EntryState(3, True, OWNER.metadata(), (1, 2, 3)), EDITED),
    "soft-deleted": (EntryState(2, False, OWNER.metadata(), (1,)), None),
    "destroyed": (EntryState(2, False, OWNER.metadata(), ()), None),
    "foreign": (EntryState(2, True, {"manager": "jetbridge", "cluster": "other"}, (1, 2)), WANTED),
}
RECORDS: dict[str, Record | None] = {
    "none": None,
    "right": Record(PATH, 2, entry_digest(RING, SCOPE, WANTED), REFS),
    "other refs": Record(PATH, 2, entry_digest(RING, SCOPE, WANTED), "others"),
    "other path": Record("secret/elsewhere", 2, entry_digest(RING, SCOPE, WANTED), REFS),
    "unknown key": Record(PATH, 2, entry_digest(LOST_KEY, SCOPE, WANTED), REFS),
    "version moved": Record(PATH, 1, entry_digest(RING, SCOPE, WANTED), REFS),
    "older content": Record(PATH, 2, entry_digest(RING, SCOPE, {"password": "before"}), REFS),
}


def settled(source: str, entry: str, record: str, *, owner: Ownership = OWNER) -> tuple[Decision, bool]:
    """The final decision, and whether the content had to be read for it."""
    state, content = ENTRIES[entry]
    args: dict[str, Any] = {
        "owner": owner,
        "keyring": RING,
        "scope": SCOPE,
        "path": PATH,
        "refs": REFS,
    }
    first = decide(SOURCES[source], RECORDS[record], state, **args)
    if first.verdict is not Verdict.NEED_CONTENT:
        return first, False
    assert state is not None, "content is asked for where nothing stands"
    assert state.live, "content is asked for that can't be read"
    assert content is not None
    second = decide(SOURCES[source], RECORDS[record], replace(state, content=pack(content)), **args)
    assert second.verdict is not Verdict.NEED_CONTENT, "asks for the content that it was given"
    return second, True


def expected(source: str, entry: str, record: str) -> tuple[Verdict, StoreReason]:
    """The table, told once more in other words."""
    known = record in ("right", "unknown key", "version moved", "older content")
    if entry == "foreign":
        return Verdict.REFUSE, StoreReason.FOREIGN
    if source in ("refused", "invalid"):
        return Verdict.REFUSE, StoreReason.REFUSED if source == "refused" else StoreReason.INVALID
    if source == "there":
        put_again = entry != "matching" or record == "older content"
        return (Verdict.PUT if put_again else Verdict.NOTHING), StoreReason.STORED
    if entry in ("nothing", "metadata only", "soft-deleted", "destroyed"):
        return Verdict.REFUSE, StoreReason.LOST if known else StoreReason.MISSING
    if record == "other refs":
        return Verdict.REFUSE, StoreReason.MISSING
    if not known:
        return Verdict.KEEP, StoreReason.KEPT
    if entry == "matching":
        return Verdict.KEEP, StoreReason.KEPT
    return Verdict.REFUSE, StoreReason.CHANGED


TABLE = [
    case
    for case in itertools.product(SOURCES, ENTRIES, RECORDS)
    # Version 2 with other content than we remember of version 2 can't be: versions are written once.
    if not (case[1] == "matching" and case[2] == "older content")
]


@pytest.mark.parametrize(("source", "entry", "record"), TABLE, ids=str)
def test_the_table(source: str, entry: str, record: str) -> None:
    decision, _ = settled(source, entry, record)
    assert (decision.verdict, decision.reason) == expected(source, entry, record), decision.message


@pytest.mark.parametrize(("source", "entry", "record"), TABLE, ids=str)
def test_no_message_holds_a_value(source: str, entry: str, record: str) -> None:
    decision, _ = settled(source, entry, record)
    assert PLANTED not in decision.message
    assert PLANTED not in repr(decision)


@pytest.mark.parametrize(("source", "entry", "record"), TABLE, ids=str)
def test_a_put_uses_the_current_version(source: str, entry: str, record: str) -> None:
    decision, _ = settled(source, entry, record)
    state, _ = ENTRIES[entry]
    if decision.verdict is Verdict.PUT:
        current = state.version if state is not None else 0
        assert decision.cas == current
        assert decision.record == Record(PATH, current + 1, entry_digest(RING, SCOPE, WANTED), REFS)


@pytest.mark.parametrize(("entry", "record"), [("matching", "right")])
@pytest.mark.parametrize("source", ["there", "gone"])
def test_an_unchanged_entry_is_not_read(source: str, entry: str, record: str) -> None:
    decision, read = settled(source, entry, record)
    assert not read
    assert not decision.write_metadata


def test_a_rotated_source_is_put_without_reading_the_old_value() -> None:
    state, _ = ENTRIES["matching"]
    decision = decide(
        SOURCES["there"], RECORDS["older content"], state, owner=OWNER, keyring=RING, scope=SCOPE, path=PATH, refs=REFS
    )
    assert (decision.verdict, decision.cas) == (Verdict.PUT, 2)


def test_what_was_put_before_a_crash_is_recognised() -> None:
    """The data was written, the status was not: nothing is written again."""
    decision, read = settled("there", "matching", "none")
    assert read
    assert (decision.verdict, decision.write_metadata) == (Verdict.NOTHING, False)
    assert decision.record == RECORDS["right"]


@pytest.mark.parametrize("source", ["there", "gone"])
def test_an_unknown_key_is_replaced_by_the_current_one(source: str) -> None:
    decision, read = settled(source, "matching", "unknown key")
    assert read
    assert decision.record == RECORDS["right"]


def test_an_edit_that_comes_back_to_our_content_is_ours_again() -> None:
    """Version 3 holds what version 2 held: nothing was lost."""
    state = EntryState(3, True, OWNER.metadata(), (1, 2, 3), pack(WANTED))
    decision = decide(
        SOURCES["gone"], RECORDS["right"], state, owner=OWNER, keyring=RING, scope=SCOPE, path=PATH, refs=REFS
    )
    assert decision.verdict is Verdict.KEEP
    assert decision.record == replace(RECORDS["right"] or Record("", 0, "", ""), version=3)


def test_an_edit_under_a_lost_key_is_not_trusted() -> None:
    decision, _ = settled("gone", "edited", "unknown key")
    assert decision.reason is StoreReason.CHANGED


# Ownership


@pytest.mark.parametrize(
    ("metadata", "version", "ours"),
    [
        ({}, 0, True),
        ({}, 1, False),
        (OWNER.metadata(), 1, True),
        (OWNER.metadata() | {"object_uid": "made anew"}, 1, True),
        (OWNER.metadata() | {"note": "of an administrator"}, 1, True),
        (OWNER.metadata() | {"namespace_uid": "other"}, 1, False),
        (OWNER.metadata() | {"refs": "others"}, 1, True),
        (OWNER.metadata() | {"cluster": "other"}, 1, False),
        (OWNER.metadata() | {"manager": "other"}, 1, False),
        ({"owner": "somebody"}, 0, False),
    ],
)
def test_whose_an_entry_is(metadata: Mapping[str, str], version: int, ours: bool) -> None:
    assert is_ours(EntryState(version, version > 0, metadata), OWNER) is ours


@pytest.mark.parametrize("source", ["there", "gone"])
def test_the_same_object_made_again_adopts_its_entry(source: str) -> None:
    """And says so in the metadata: a sweep looks for orphans by the object's UID."""
    anew = replace(OWNER, object_uid="made anew")
    decision, _ = settled(source, "matching", "none", owner=anew)
    assert decision.verdict in (Verdict.NOTHING, Verdict.KEEP)
    assert decision.write_metadata


def test_an_entry_of_other_references_is_not_taken_up() -> None:
    """The object was made again with another source, which is not there: a new host must not meet an old password."""
    taken = replace(OWNER, refs="others").metadata()
    state = EntryState(2, True, taken, (1, 2), pack(WANTED))
    decision = decide(SOURCES["gone"], None, state, owner=OWNER, keyring=RING, scope=SCOPE, path=PATH, refs=REFS)
    assert (decision.verdict, decision.reason) == (Verdict.REFUSE, StoreReason.MISSING)


@pytest.mark.parametrize(("live", "ours"), [(False, True), (True, False)])
def test_an_entry_of_a_namespace_made_again_is_ours_once_it_is_deleted(live: bool, ours: bool) -> None:
    former = replace(OWNER, namespace_uid="former").metadata()
    assert is_ours(EntryState(2, live, former, (2,) if live else ()), OWNER) is ours


def test_a_new_entry_gets_its_metadata_first() -> None:
    decision, _ = settled("there", "nothing", "none")
    assert decision.write_metadata
    assert OWNER.metadata() == {
        "manager": "jetbridge",
        "cluster": "cluster",
        "namespace_uid": "ns-uid",
        "object_uid": "uid",
        "refs": REFS,
    }


def test_metadata_that_stands_is_not_written_again() -> None:
    """We died between metadata and data."""
    decision, _ = settled("there", "metadata only", "none")
    assert (decision.verdict, decision.cas, decision.write_metadata) == (Verdict.PUT, 0, False)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("record", RECORDS)
def test_nothing_is_written_to_a_foreign_entry(source: str, record: str) -> None:
    decision, read = settled(source, "foreign", record)
    assert not read
    assert not decision.write_metadata
    assert decision.record is None
    assert PATH in decision.message


def test_an_entry_matches_its_digest_alone() -> None:
    digest = entry_digest(RING, SCOPE, WANTED)
    assert entry_matches(RING, SCOPE, digest, pack(WANTED))
    assert not entry_matches(RING, SCOPE, digest, pack(EDITED))
    assert not entry_matches(RING, Scope("ns-uid", "another"), digest, pack(WANTED))


def test_an_entry_does_not_show_its_content() -> None:
    assert PLANTED not in repr(EntryState(1, True, {}, (1,), pack(WANTED)))
