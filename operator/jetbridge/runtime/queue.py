"""A keyed, coalescing queue with delays.

Invariants: a key is handed to one worker at a time; a key added while it is worked on is handed out once more afterwards,
however often it was added; of several times asked for, the earliest counts.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class KeyedQueue(Generic[K]):
    """The queue. All methods but `get` return at once and are called from the event loop's thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0
        self._working: set[K] = set()
        self._again: dict[K, float] = {}
        self._wake = asyncio.Event()

    def add(self, key: K, after: float = 0.0) -> None:
        """Asks that the key be worked on, in `after` seconds at the latest."""
        at = self._clock() + after
        if key in self._working:
            self._again[key] = min(at, self._again.get(key, at))
            return
        if key in self._due and self._due[key] <= at:
            return
        self._due[key] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, key))
        self._wake.set()

    async def get(self) -> K:
        """Waits for the next key that is due and hands it out."""
        while True:
            self._wake.clear()
            now = self._clock()
            while self._heap:
                at, _, key = self._heap[0]
                if self._due.get(key) != at:
                    heapq.heappop(self._heap)
                    continue
                if at > now:
                    break
                heapq.heappop(self._heap)
                del self._due[key]
                self._working.add(key)
                if self._heap:
                    self._wake.set()
                return key
            delay = self._heap[0][0] - now if self._heap else None
            try:
                # Not wait_for: before Python 3.12 it loses a cancellation that meets a wake-up, and the worker would not end.
                async with asyncio.timeout(delay):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def done(self, key: K) -> None:
        """Gives the key back; if it was asked for meanwhile, it is due again."""
        self._working.discard(key)
        again = self._again.pop(key, None)
        if again is not None:
            self.add(key, max(0.0, again - self._clock()))

    def pending(self, key: K) -> bool:
        """Whether the key is due now, or worked on."""
        return key in self._working or self._due.get(key, float("inf")) <= self._clock()

    def idle(self) -> bool:
        """Whether nothing is due now and nothing is worked on."""
        return not self._working and self.depth() == 0

    def depth(self) -> int:
        """How many keys are due now."""
        now = self._clock()
        return sum(at <= now for at in self._due.values())

    def oldest_overdue(self) -> float:
        """For how many seconds the oldest key has been due without being handed out."""
        now = self._clock()
        return max((now - at for at in self._due.values() if at <= now), default=0.0)
