"""Conditions: when their time changes, and that they are bounded."""

from __future__ import annotations

from typing import Any

import pytest

from jetbridge.api.common import Condition
from jetbridge.core.conditions import MAX_MESSAGE, Status, condition, find


def ready(previous: Any, status: Status = "True", message: str = "m", now: str = "now") -> dict[str, Any]:
    return condition(previous, "Ready", status, "Reason", message, generation=3, now=now)


def test_a_first_condition_turned_now() -> None:
    assert ready({})["lastTransitionTime"] == "now"


def test_the_time_stays_while_the_status_does() -> None:
    before = {"conditions": [ready({}, now="then")]}
    assert ready(before, message="another")["lastTransitionTime"] == "then"


def test_the_time_is_new_when_the_status_turns() -> None:
    before = {"conditions": [ready({}, now="then")]}
    assert ready(before, "False")["lastTransitionTime"] == "now"


def test_another_condition_does_not_matter() -> None:
    before = {"conditions": [{**ready({}, now="then"), "type": "Stored"}]}
    assert ready(before)["lastTransitionTime"] == "now"


def test_a_condition_without_a_time_turned_now() -> None:
    before = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert ready(before)["lastTransitionTime"] == "now"


def test_a_long_message_is_cut() -> None:
    message = ready({}, message="x" * 10_000)["message"]
    assert len(message) == MAX_MESSAGE
    assert message.endswith("…")


def test_it_is_what_the_schema_asks_for() -> None:
    Condition.model_validate(ready({}, message="x" * 10_000), extra="forbid")


@pytest.mark.parametrize("status", [{}, {"conditions": None}, {"conditions": ["text"]}, {"conditions": "text"}])
def test_find_survives_what_is_no_condition(status: Any) -> None:
    assert find(status, "Ready") is None
