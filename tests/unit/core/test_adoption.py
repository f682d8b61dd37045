"""Which entries in Vault are taken up when nothing is remembered of them: a restore, a crash, an object made again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jetbridge.core.fields import Fields, pack
from jetbridge.core.ingest import Decision, EntryState, Ownership, StoreReason, Verdict, decide, entry_digest, is_ours
from jetbridge.core.sources import Collected, SourceProblem
from jetbridge.core.views import Record
from tests.unit.core.test_ingest import EDITED, OWNER, PATH, PLANTED, REFS, RING, SCOPE, SOURCES, WANTED

GONE, THERE = SOURCES["gone"], SOURCES["there"]
FORMER = replace(OWNER, namespace_uid="former", object_uid="former")


def entry(of: Ownership = OWNER, *, live: bool = True, content: Fields | None = WANTED, **metadata: str) -> EntryState:
    """What stands in Vault, of this owner unless `metadata` says otherwise."""
    held = pack(content) if live and content is not None else None
    return EntryState(2, live, of.metadata() | metadata, (1, 2) if live else (), held)


def without_refs(state: EntryState) -> EntryState:
    """As a version of the operator wrote it that did not note them, or as somebody edited it."""
    return replace(state, custom_metadata={k: v for k, v in state.custom_metadata.items() if k != "refs"})


def decided(
    state: EntryState | None,
    source: Collected | SourceProblem = GONE,
    record: Record | None = None,
    owner: Ownership = OWNER,
    **more: Any,
) -> Decision:
    args: dict[str, Any] = {"keyring": RING, "scope": SCOPE, "path": PATH, "refs": REFS} | more
    return decide(source, record, state, owner=owner, **args)


# Nothing is remembered, and the source is gone


def test_an_entry_of_equal_references_is_taken_up() -> None:
    decision = decided(entry())
    assert (decision.verdict, decision.reason) == (Verdict.KEEP, StoreReason.KEPT)
    assert decision.record == Record(PATH, 2, entry_digest(RING, SCOPE, WANTED), REFS)


@pytest.mark.parametrize(
    "state", [entry(refs="others"), entry(refs=""), without_refs(entry())], ids=["others", "empty", "not noted"]
)
def test_an_entry_of_other_references_is_never_taken_up(state: EntryState) -> None:
    """A new host must not meet an old password."""
    decision = decided(state)
    assert (decision.verdict, decision.reason) == (Verdict.REFUSE, StoreReason.MISSING)
    assert decision.record is None
    assert not decision.write_metadata, "the next look would take it for an entry of these references"


def test_an_entry_of_other_references_is_not_even_read() -> None:
    assert decided(entry(refs="others", content=None)).verdict is Verdict.REFUSE


def test_the_references_that_count_are_those_of_now() -> None:
    """The object was changed back: what it holds is of these references again."""
    assert decided(entry(refs="others"), owner=replace(OWNER, refs="others"), refs="others").verdict is Verdict.KEEP


@pytest.mark.parametrize("uid", ["uid", "made anew"])
def test_the_same_object_made_again_takes_up_what_is_of_equal_references(uid: str) -> None:
    decision = decided(entry(), owner=replace(OWNER, object_uid=uid))
    assert decision.verdict is Verdict.KEEP
    assert decision.write_metadata == (uid != OWNER.object_uid)


@pytest.mark.parametrize("state", [None, entry(live=False), entry(live=False, refs="others")])
def test_what_is_not_there_is_not_taken_up(state: EntryState | None) -> None:
    assert (decided(state).verdict, decided(state).reason) == (Verdict.REFUSE, StoreReason.MISSING)


def test_a_record_of_another_path_is_none() -> None:
    """And so the references in the metadata decide."""
    elsewhere = Record("secret/jetbridge/team-b/connections/other", 2, entry_digest(RING, SCOPE, WANTED), REFS)
    assert decided(entry(), record=elsewhere).verdict is Verdict.KEEP
    assert decided(entry(refs="others"), record=elsewhere).verdict is Verdict.REFUSE


def test_a_record_of_other_references_takes_nothing_up_whatever_the_entry_says() -> None:
    old = Record(PATH, 2, entry_digest(RING, SCOPE, WANTED), "others")
    assert decided(entry(), record=old).verdict is Verdict.REFUSE


# The source is there


@pytest.mark.parametrize("state", [entry(refs="others"), without_refs(entry())], ids=["others", "not noted"])
def test_with_its_source_an_entry_is_made_that_of_these_references(state: EntryState) -> None:
    decision = decided(state, THERE)
    assert (decision.verdict, decision.write_metadata) == (Verdict.NOTHING, True)
    assert OWNER.metadata()["refs"] == REFS


def test_with_its_source_an_entry_of_other_content_is_put_again_over_the_current_version() -> None:
    decision = decided(entry(refs="others", content=EDITED), THERE)
    assert (decision.verdict, decision.cas, decision.write_metadata) == (Verdict.PUT, 2, True)


# Another namespace of that name


@pytest.mark.parametrize(
    ("state", "ours"),
    [
        (entry(FORMER), False),
        (entry(FORMER, live=False), True),
        (replace(entry(FORMER, live=False), live_versions=(1,)), True),
        (EntryState(0, False, FORMER.metadata()), True),
        (entry(FORMER, live=False, cluster="other"), False),
        (entry(FORMER, live=False, manager="somebody"), False),
        (replace(entry(FORMER, live=False), custom_metadata={}), False),
    ],
    ids=[
        "live",
        "deleted",
        "an older version lives",
        "metadata only",
        "another cluster",
        "another manager",
        "nobody's",
    ],
)
def test_an_entry_of_a_former_namespace_is_ours_only_when_nothing_is_live(state: EntryState, ours: bool) -> None:
    assert is_ours(state, OWNER) is ours


@pytest.mark.parametrize("source", SOURCES)
def test_a_live_entry_of_a_former_namespace_is_left_alone(source: str) -> None:
    decision = decided(entry(FORMER), SOURCES[source])
    assert (decision.verdict, decision.reason) == (Verdict.REFUSE, StoreReason.FOREIGN)
    assert (decision.record, decision.write_metadata) == (None, False)
    assert PLANTED not in decision.message


def test_a_deleted_entry_of_a_former_namespace_is_written_anew_over_its_version() -> None:
    decision = decided(entry(FORMER, live=False), THERE)
    assert (decision.verdict, decision.cas, decision.write_metadata) == (Verdict.PUT, 2, True)
    assert decision.record is not None
    assert decision.record.version == 3


def test_a_deleted_entry_of_a_former_namespace_gives_nothing_back() -> None:
    decision = decided(entry(FORMER, live=False))
    assert (decision.verdict, decision.reason) == (Verdict.REFUSE, StoreReason.MISSING)
    assert not decision.write_metadata
