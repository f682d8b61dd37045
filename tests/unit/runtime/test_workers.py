"""Workers: what fails is tried again, later each time, and says nothing of what it held."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest

from jetbridge.runtime.queue import KeyedQueue
from jetbridge.runtime.workers import Backoff, Done, Result, Retry, Workers, describe_error
from tests.fakes.clock import run_virtually

PLANTED = "planted-value-9f31"


class Seen:
    """Remembers how reconciles ended."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[object, str]] = []

    def finished(self, key: object, seconds: float, outcome: str) -> None:
        assert seconds >= 0
        self.outcomes.append((key, outcome))


class Script:
    """Reconciles by a script of results; an exception is raised. When the script ends, everything is done."""

    def __init__(self, *results: Result | Exception) -> None:
        self.results = list(results)
        self.times: list[float] = []

    async def __call__(self, key: str) -> Result:
        self.times.append(asyncio.get_running_loop().time())
        if not self.results:
            return Done()
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def run(script: Script, seconds: float, backoff: Backoff = Backoff(first=1, most=8)) -> Seen:
    seen = Seen()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        queue: KeyedQueue[str] = KeyedQueue(loop.time)
        workers = Workers(queue, script, count=2, observer=seen, clock=loop.time, backoff=backoff, rng=random.Random(1))
        task = asyncio.create_task(workers.run())
        queue.add("a")
        await asyncio.sleep(seconds)
        assert not task.done(), "the workers live on"
        task.cancel()
        await asyncio.wait([task])

    run_virtually(main)
    return seen


def test_a_failed_key_is_tried_again_with_growing_pauses() -> None:
    script = Script(*[Retry("because")] * 5)
    run(script, 60)
    pauses = [b - a for a, b in zip(script.times, script.times[1:], strict=False)]
    assert len(pauses) == 5
    for pause, full in zip(pauses, (1, 2, 4, 8, 8), strict=True):
        assert full / 2 <= pause <= full, f"{pause} is outside the jittered {full}"


def test_success_forgets_the_failures() -> None:
    script = Script(Retry("x"), Retry("x"), Done(again_after=10), Retry("x"), Done())
    run(script, 60)
    assert script.times[4] - script.times[3] <= 1, "the pause begins small again"


def test_an_error_ends_no_worker() -> None:
    seen = run(Script(*[ValueError("x")] * 6), 120)
    assert [o for _, o in seen.outcomes] == ["error"] * 6 + ["done"]


def test_done_may_ask_for_another_look() -> None:
    script = Script(Done(again_after=5))
    run(script, 20)
    assert script.times[1] - script.times[0] == 5


def test_the_text_of_an_error_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    run(Script(ValueError(PLANTED), KeyError(PLANTED)), 30)
    assert "reconcile of a failed: ValueError at tests.unit.runtime.test_workers" in caplog.text or (
        "reconcile of a failed: ValueError" in caplog.text
    )
    assert PLANTED not in caplog.text
    assert all(r.exc_info is None for r in caplog.records), "a traceback may quote values"


def test_an_error_is_described_by_type_and_place() -> None:
    try:
        raise ValueError(PLANTED)
    except ValueError as error:
        text = describe_error(error)
    assert text.startswith("ValueError at ")
    assert PLANTED not in text


def test_jitter_spreads_the_pauses() -> None:
    rng = random.Random(7)
    pauses = {Backoff(first=1, most=60).delay(3, rng) for _ in range(100)}
    assert len(pauses) > 90
    assert min(pauses) >= 2
    assert max(pauses) <= 4


def test_the_pause_has_a_ceiling_however_often_it_failed() -> None:
    assert Backoff(first=1, most=60).delay(10_000, random.Random(1)) <= 60
