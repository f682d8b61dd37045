"""The keyed queue, in virtual time: nothing here waits."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from jetbridge.runtime.queue import KeyedQueue
from tests.fakes.clock import run_virtually

Test = Callable[[KeyedQueue[str]], Coroutine[Any, Any, None]]


def virtually(test: Test) -> None:
    """Runs a test with a queue on the loop's virtual clock."""

    async def main() -> None:
        await test(KeyedQueue(asyncio.get_running_loop().time))

    run_virtually(main)


def now() -> float:
    return asyncio.get_running_loop().time()


async def nothing_comes(queue: KeyedQueue[str], seconds: float = 1000.0) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), seconds)


def test_keys_come_in_the_order_of_their_time() -> None:
    async def test(queue: KeyedQueue[str]) -> None:
        queue.add("late", 2.0)
        queue.add("first")
        queue.add("second")
        assert [await queue.get() for _ in range(3)] == ["first", "second", "late"]

    virtually(test)


def test_a_key_that_is_added_often_comes_once() -> None:
    async def test(queue: KeyedQueue[str]) -> None:
        for _ in range(5):
            queue.add("a")
        assert await queue.get() == "a"
        queue.done("a")
        await nothing_comes(queue)

    virtually(test)


def test_a_key_is_with_one_worker_at_a_time_and_comes_once_more_afterwards() -> None:
    async def test(queue: KeyedQueue[str]) -> None:
        queue.add("a")
        await queue.get()
        for _ in range(3):
            queue.add("a")
        await nothing_comes(queue)
        queue.done("a")
        assert await queue.get() == "a"
        queue.done("a")
        await nothing_comes(queue)

    virtually(test)


@pytest.mark.parametrize("delays", [(5.0, 1.0), (1.0, 5.0), (5.0, 3.0, 1.0, 9.0)])
def test_the_earliest_time_counts(delays: tuple[float, ...]) -> None:
    async def test(queue: KeyedQueue[str]) -> None:
        began = now()
        for delay in delays:
            queue.add("a", delay)
        await queue.get()
        assert now() - began == pytest.approx(1.0)
        queue.done("a")
        await nothing_comes(queue)

    virtually(test)


def test_the_earliest_time_counts_also_for_a_key_that_is_worked_on() -> None:
    async def test(queue: KeyedQueue[str]) -> None:
        queue.add("a")
        await queue.get()
        began = now()
        queue.add("a", 60.0)
        queue.add("a", 5.0)
        queue.done("a")
        await queue.get()
        assert now() - began == pytest.approx(5.0)

    virtually(test)


def test_the_time_of_a_key_that_is_worked_on_runs_meanwhile() -> None:
    async def test(queue: KeyedQueue[str]) -> None:
        queue.add("a")
        await queue.get()
        queue.add("a", 5.0)
        await asyncio.sleep(7.0)
        queue.done("a")
        began = now()
        await queue.get()
        assert now() == pytest.approx(began), "it was overdue"

    virtually(test)


def test_a_delayed_key_that_is_needed_now_comes_now() -> None:
    async def test(queue: KeyedQueue[str]) -> None:
        began = now()
        queue.add("a", 60.0)
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(1.0)
        queue.add("a")
        await waiting
        assert now() - began == pytest.approx(1.0)

    virtually(test)


def test_several_workers_share_the_keys() -> None:
    async def test(queue: KeyedQueue[str]) -> None:
        got = [asyncio.create_task(queue.get()) for _ in range(3)]
        await asyncio.sleep(0)
        for key in "abc":
            queue.add(key)
        assert sorted([await task for task in got]) == ["a", "b", "c"]

    virtually(test)


def test_a_worker_that_is_cancelled_loses_no_key() -> None:
    async def test(queue: KeyedQueue[str]) -> None:
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        queue.add("a")
        assert await queue.get() == "a"

    virtually(test)


def test_depth_and_age_count_what_is_due() -> None:
    async def test(queue: KeyedQueue[str]) -> None:
        assert (queue.depth(), queue.oldest_overdue(), queue.idle()) == (0, 0.0, True)
        queue.add("due")
        queue.add("later", 60.0)
        await asyncio.sleep(7.0)
        assert (queue.depth(), queue.idle()) == (1, False)
        assert queue.oldest_overdue() == pytest.approx(7.0)
        await queue.get()
        assert (queue.depth(), queue.idle()) == (0, False), "it is worked on"
        queue.done("due")
        assert queue.idle(), "what is due later does not count"

    virtually(test)


def test_the_age_of_what_is_not_due_is_none() -> None:
    async def test(queue: KeyedQueue[str]) -> None:
        queue.add("later", 60.0)
        assert queue.oldest_overdue() == 0.0

    virtually(test)


def test_pending_tells_of_due_and_worked_on() -> None:
    async def test(queue: KeyedQueue[str]) -> None:
        assert not queue.pending("a")
        queue.add("a", 1.0)
        assert not queue.pending("a")
        await queue.get()
        assert queue.pending("a")
        queue.done("a")
        assert not queue.pending("a")

    virtually(test)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_asked_for_is_forgotten(seed: int) -> None:
    """Workers and askers at random: each key is looked at after it was last asked for, and by one worker at a time."""

    async def test(queue: KeyedQueue[str]) -> None:
        rng = random.Random(seed)
        asked: dict[str, float] = {}
        looked: dict[str, float] = {}
        busy: set[str] = set()

        async def worker() -> None:
            while True:
                key = await queue.get()
                assert key not in busy, "two workers have one key"
                busy.add(key)
                looked[key] = now()
                await asyncio.sleep(rng.random())
                busy.discard(key)
                queue.done(key)

        workers = [asyncio.create_task(worker()) for _ in range(3)]
        for _ in range(200):
            key = rng.choice("abcdef")
            delay = rng.choice([0.0, 0.0, rng.random() * 3])
            asked[key] = now()
            queue.add(key, delay)
            await asyncio.sleep(rng.random() / 4)
        await asyncio.sleep(60.0)
        for key, when in asked.items():
            assert looked[key] >= when, f"{key} was asked for and not looked at"
        for task in workers:
            task.cancel()
        results: list[Awaitable[object] | object] = await asyncio.gather(*workers, return_exceptions=True)
        assert all(isinstance(r, asyncio.CancelledError) for r in results), results

    virtually(test)
