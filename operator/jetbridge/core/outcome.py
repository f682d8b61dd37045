"""What came of one deployment's reconcile, for the statuses of the Connections and links behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jetbridge.core.plan import Entry, Plan
from jetbridge.core.resolve import Resolution


@dataclass(frozen=True, slots=True)
class Word:
    """What a Connection or link is told about one deployment. `generation` is the one that the deployment saw."""

    delivered: bool
    applies: bool
    reason: str
    message: str
    generation: int
    since: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One deployment's outcome: a word for each UID that it considered, and which Connections its Secret holds.

    `seen` holds the generation of every UID that it looked at, also of those that it may not say a word of. With `written`
    False the Secret could not be written, and may hold more than `carried` says.
    """

    words: Mapping[str, Word]
    carried: frozenset[str]
    not_admitted: frozenset[str]
    generation: int
    seen: Mapping[str, int]
    written: bool


@dataclass(frozen=True, slots=True)
class WriteFailure:
    """Why the rendered Secret could not be written."""

    reason: str
    message: str


def outcome_of(
    resolution: Resolution,
    plan: Plan,
    failure: WriteFailure | None,
    generation: int,
    generations: Mapping[str, int],
    *,
    written: bool = True,
) -> Outcome:
    """Sums up a reconcile. With a failed write, what the plan would have delivered is not delivered."""
    words: dict[str, Word] = {}
    carried = set()
    for entry in plan.entries:
        word = _word(entry, failure, generations)
        words[entry.desired.connection.meta.uid] = word
        if entry.desired.link is not None:
            link = entry.desired.link.meta.uid
            words[link] = Word(
                word.delivered, word.applies, word.reason, word.message, generations.get(link, 0), word.since
            )
        if entry.record is not None:
            carried.add(entry.desired.connection.meta.uid)
    for told in resolution.told:
        words[told.uid] = Word(True, False, told.reason, told.message, generations.get(told.uid, 0))
    return Outcome(words, frozenset(carried), frozenset(resolution.not_admitted), generation, generations, written)


def _word(entry: Entry, failure: WriteFailure | None, generations: Mapping[str, int]) -> Word:
    generation = generations.get(entry.desired.connection.meta.uid, 0)
    if failure is not None:
        # Not the message: it names the deployment's Secret, and the workspace may be another tenant's.
        return Word(
            False, True, failure.reason, "the deployment's Secret can't be written; its status says why", generation
        )
    if entry.problem is not None:
        stays = " (the deployment keeps what it had)" if entry.record is not None else ""
        return Word(False, True, entry.problem.reason, entry.problem.message + stays, generation)
    since = entry.record.since if entry.record is not None else ""
    return Word(True, True, "Delivered", f"delivered as {entry.desired.env_name}", generation, since)
