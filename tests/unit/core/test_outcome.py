"""What a deployment's reconcile tells the Connections and links behind it."""

from __future__ import annotations

from typing import Any

from jetbridge.core.material import Blocked
from jetbridge.core.outcome import Outcome, WriteFailure, outcome_of
from jetbridge.core.plan import Plan
from jetbridge.core.resolve import Resolution, Told
from tests.fakes.objects import a_connection, a_link
from tests.unit.core.test_plan import NOW, RING, Case, to_all

CONNECTION, LINK = "connection-team-a-warehouse", "connectionlink-team-a-to-prod"
GENERATIONS = {CONNECTION: 3, LINK: 5, "loser": 7}


def outcome(case: Case, *, failure: WriteFailure | None = None, told: Told | None = None, held: Any = None) -> Outcome:
    work = case.draft(held)
    result = case.run(held)
    resolution = work.resolution
    if told is not None:
        resolution = Resolution(resolution.entries, (told,), (), (), ())
    return outcome_of(resolution, result, failure, 1, GENERATIONS)


def test_a_delivered_entry_is_told_to_its_connection_and_its_link() -> None:
    words = outcome(Case([a_connection(), a_link()])).words
    assert {uid: (w.delivered, w.applies, w.reason, w.generation) for uid, w in words.items()} == {
        CONNECTION: (True, True, "Delivered", 3),
        LINK: (True, True, "Delivered", 5),
    }
    assert words[CONNECTION].since == NOW


def test_a_problem_says_whether_something_older_stays() -> None:
    blocked = Case([to_all()], {CONNECTION: Blocked("SourceInvalid", "why")})
    never = outcome(blocked)
    assert never.words[CONNECTION].message == "why"
    assert never.carried == frozenset()
    stays = outcome(blocked, held=Case([to_all()]).held())
    assert "keeps what it had" in stays.words[CONNECTION].message
    assert not stays.words[CONNECTION].delivered
    assert stays.carried == {CONNECTION}


def test_a_failed_write_delivers_nothing() -> None:
    word = outcome(Case([to_all()]), failure=WriteFailure("Forbidden", "m")).words[CONNECTION]
    assert (word.delivered, word.applies, word.reason) == (False, True, "Forbidden")


def test_a_failed_write_names_nothing_of_the_deployment() -> None:
    """Its workspace may be another tenant's: the name of a Secret there is none of its business."""
    failure = WriteFailure("SecretNameTaken", "a Secret airflow/private-name exists")
    assert "private-name" not in outcome(Case([to_all()]), failure=failure).words[CONNECTION].message


def test_who_does_not_apply_is_told_why_and_is_no_failure() -> None:
    word = outcome(Case([]), told=Told("loser", "NameTaken", "by another")).words["loser"]
    assert (word.delivered, word.applies, word.reason, word.message, word.generation) == (
        True,
        False,
        "NameTaken",
        "by another",
        7,
    )


def test_who_is_not_admitted_is_listed() -> None:
    result = outcome_of(Resolution((), (), (), ("team-b",), ()), Plan((), (), (), {}), None, 4, {})
    assert (result.not_admitted, result.generation) == (frozenset({"team-b"}), 4)


def test_the_same_world_gives_the_same_outcome() -> None:
    case = Case([a_connection(), a_link()])
    assert outcome(case) == outcome(case)
    assert case.keyring is RING
