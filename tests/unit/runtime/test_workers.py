"""Workers and their backoff, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetbridge.runtime.queue import KeyedQueue
from jetbridge.runtime.workers import Backoff, Done, Result, Retry, Workers, describe_error
from tests.fakes.clock import run_virtually

PLANTED = "hunter2-planted"


class Observer:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[object, str]] = []

    def finished(self, key: object, seconds: float, outcome: str) -> None:
        assert seconds >= 0
        self.outcomes.append((key, outcome))


def work(
    reconcile: Callable[[str], Awaitable[Result]],
    *,
    keys: str = "a",
    seconds: float = 1000.0,
    count: int = 2,
    backoff: Backoff = Backoff(),
) -> Observer:
    """Lets workers reconcile keys for some virtual seconds."""
    observer = Observer()

    async def main() -> None:
        clock = asyncio.get_running_loop().time
        queue: KeyedQueue[str] = KeyedQueue(clock)
        for key in keys:
            queue.add(key)
        workers = Workers(
            queue, reconcile, count=count, observer=observer, clock=clock, backoff=backoff, rng=random.Random(1)
        )
        task = asyncio.create_task(workers.run())
        await asyncio.sleep(seconds)
        assert not task.done(), "the workers ended"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtually(main)
    return observer


# Backoff


@given(st.integers(1, 10_000), st.randoms(use_true_random=False))
def test_a_delay_is_within_its_bounds(failures: int, rng: random.Random) -> None:
    backoff = Backoff(0.5, 60.0)
    delay = backoff.delay(failures, rng)
    full = min(60.0, 0.5 * 2.0 ** min(failures - 1, 40))
    assert full / 2 <= delay <= full


def test_delays_grow_and_differ() -> None:
    backoff, rng = Backoff(), random.Random(1)
    delays = [backoff.delay(n, rng) for n in range(1, 6)]
    assert delays[0] < delays[2] < delays[4]
    assert len({backoff.delay(20, rng) for _ in range(20)}) > 10, "no jitter"


# Workers


def test_what_is_done_is_not_tried_again() -> None:
    async def reconcile(_: str) -> Result:
        return Done()

    assert work(reconcile, keys="ab").outcomes == [("a", "done"), ("b", "done")]


def test_what_asks_for_another_look_gets_it_then() -> None:
    times: list[float] = []

    async def reconcile(_: str) -> Result:
        times.append(asyncio.get_running_loop().time())
        return Done(again_after=30.0) if len(times) == 1 else Done()

    work(reconcile)
    assert times[1] - times[0] == pytest.approx(30.0)


def test_a_retry_comes_later_each_time() -> None:
    times: list[float] = []

    async def reconcile(_: str) -> Result:
        times.append(asyncio.get_running_loop().time())
        return Retry("why")

    assert {outcome for _, outcome in work(reconcile, seconds=200.0).outcomes} == {"retry"}
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert 0.25 <= pauses[0] <= 0.5
    assert 30.0 <= max(pauses) <= 60.0
    assert pauses[:6] == sorted(pauses[:6])


def test_success_forgets_failures() -> None:
    times: list[float] = []

    async def reconcile(_: str) -> Result:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 5:
            return Done(again_after=0.0)
        return Retry("why") if len(times) <= 6 else Done()

    work(reconcile)
    assert 0.25 <= times[6] - times[5] <= 0.5, "it still counts the failures from before"


def test_failures_of_one_key_do_not_slow_another() -> None:
    seen: list[str] = []

    async def reconcile(key: str) -> Result:
        seen.append(key)
        return Retry("why") if key == "a" else Done(again_after=1.0)

    work(reconcile, keys="ab", seconds=50.0)
    assert seen.count("b") >= 49


def test_an_error_is_retried_and_never_ends_a_worker() -> None:
    calls: list[str] = []

    async def reconcile(key: str) -> Result:
        calls.append(key)
        if len(calls) < 4:
            raise RuntimeError(PLANTED)
        return Done()

    observer = work(reconcile, count=1)
    assert [outcome for _, outcome in observer.outcomes] == ["error", "error", "error", "done"]


def test_an_errors_text_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def reconcile(_: str) -> Result:
        try:
            raise KeyError(PLANTED)
        except KeyError as error:
            raise ValueError(f"bad {PLANTED}") from error

    with caplog.at_level(logging.DEBUG):
        work(reconcile, seconds=0.1)
    assert PLANTED not in caplog.text
    assert all(record.exc_info is None for record in caplog.records)
    assert "reconcile of a failed: ValueError at " in caplog.text, "nobody can find the place"


def test_describe_error_names_the_innermost_place() -> None:
    def inner() -> None:
        raise ValueError(PLANTED)

    with pytest.raises(ValueError, match=PLANTED) as caught:
        inner()
    told = describe_error(caught.value)
    assert told.startswith("ValueError at ")
    assert PLANTED not in told
    assert describe_error(ValueError(PLANTED)) == "ValueError"


def test_as_many_at_once_as_there_are_workers() -> None:
    most, busy = 0, 0

    async def reconcile(_: str) -> Result:
        nonlocal most, busy
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(1.0)
        busy -= 1
        return Done()

    work(reconcile, keys="abcdefgh", count=3)
    assert most == 3


def test_cancelling_ends_the_workers() -> None:
    async def reconcile(_: str) -> Result:
        await asyncio.sleep(10_000)
        return Done()

    assert work(reconcile, seconds=1.0).outcomes == [("a", "error")]
