"""The keyed queue: coalescing, one worker at a time, and delays, in virtual time."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from jetbridge.runtime.queue import KeyedQueue
from tests.fakes.clock import run_virtually


def queue() -> KeyedQueue[str]:
    return KeyedQueue(asyncio.get_running_loop().time)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_key_that_was_asked_for_often_is_handed_out_once() -> None:
    async def main() -> None:
        q = queue()
        for _ in range(5):
            q.add("a")
        assert await q.get() == "a"
        q.done("a")
        assert q.idle()

    run_virtually(main)


def test_a_key_asked_for_while_worked_on_is_handed_out_once_more_and_only_afterwards() -> None:
    async def main() -> None:
        q = queue()
        q.add("a")
        await q.get()
        q.add("a")
        q.add("a")
        q.add("b")
        assert await q.get() == "b", "a is still worked on"
        q.done("a")
        assert await q.get() == "a"
        q.done("a")
        q.done("b")
        assert q.idle()

    run_virtually(main)


def test_keys_come_in_the_order_in_which_they_are_due() -> None:
    async def main() -> None:
        q = queue()
        q.add("late", after=3)
        q.add("soon", after=1)
        q.add("now")
        assert [await q.get() for _ in range(3)] == ["now", "soon", "late"]

    run_virtually(main)


def test_of_several_times_the_earliest_counts() -> None:
    async def main() -> None:
        q = queue()
        began = now()
        q.add("a", after=5)
        q.add("a", after=2)
        q.add("a", after=9)
        await q.get()
        assert now() - began == 2
        q.done("a")
        assert q.idle()
        assert q.oldest_overdue() == 0

    run_virtually(main)


def test_a_delay_asked_for_while_worked_on_counts_from_when_it_was_asked() -> None:
    async def main() -> None:
        q = queue()
        q.add("a")
        await q.get()
        began = now()
        q.add("a", after=4)
        await asyncio.sleep(3)
        q.done("a")
        await q.get()
        assert now() - began == 4

    run_virtually(main)


def test_a_waiting_worker_is_woken_by_an_earlier_key() -> None:
    async def main() -> None:
        q = queue()
        q.add("late", after=60)
        waiting = asyncio.create_task(q.get())
        await asyncio.sleep(1)
        q.add("now")
        assert await waiting == "now"
        assert not q.pending("late")

    run_virtually(main)


def test_every_waiting_worker_gets_a_key() -> None:
    async def main() -> None:
        q = queue()
        workers = [asyncio.create_task(q.get()) for _ in range(4)]
        await asyncio.sleep(0)
        for key in "abcd":
            q.add(key)
        assert sorted(await asyncio.gather(*workers)) == ["a", "b", "c", "d"]

    run_virtually(main)


def test_the_age_of_the_oldest_key_counts_only_what_is_due() -> None:
    async def main() -> None:
        q = queue()
        q.add("later", after=100)
        q.add("due")
        await asyncio.sleep(7)
        assert q.oldest_overdue() == 7
        assert (q.depth(), q.pending("due"), q.pending("later")) == (1, True, False)

    run_virtually(main)


def test_nothing_due_has_no_age() -> None:
    async def main() -> None:
        q = queue()
        q.add("later", after=100)
        assert q.oldest_overdue() == 0

    run_virtually(main)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=30), st.integers(1, 3))
def test_no_key_is_lost_and_none_is_in_two_hands(asked: list[tuple[str, int]], hands: int) -> None:
    """Whatever is asked for and when: each key is worked on after it was last asked for, by one worker at a time."""

    async def main() -> None:
        q = queue()
        held: set[str] = set()
        worked_at: dict[str, float] = {}

        async def work() -> None:
            while True:
                key = await q.get()
                assert key not in held, f"{key} is in two hands"
                held.add(key)
                worked_at[key] = now()
                await asyncio.sleep(0.5)
                held.discard(key)
                q.done(key)

        workers = [asyncio.create_task(work()) for _ in range(hands)]
        asked_at: dict[str, float] = {}
        for key, after in asked:
            q.add(key, after)
            asked_at[key] = now()
            await asyncio.sleep(0.25)
        await asyncio.sleep(60)
        for worker in workers:
            worker.cancel()
        assert q.idle()
        assert set(worked_at) == set(asked_at)
        for key, at in asked_at.items():
            assert worked_at[key] >= at, f"{key} was not worked on after it was last asked for"

    run_virtually(main)
