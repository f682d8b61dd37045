"""Workers that take keys from a queue and reconcile them, with jittered exponential backoff for those that fail."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from jetbridge.runtime.queue import KeyedQueue

K = TypeVar("K", bound=Hashable)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """The key is settled. `again_after` asks for another look in so many seconds."""

    again_after: float | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The key is to be tried again, later each time; `reason` is for logs and metrics and holds no value."""

    reason: str


Result = Done | Retry


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between tries, in seconds: `first` doubled each time up to `most`, each shortened by up to a half at random."""

    first: float = 0.5
    most: float = 60.0

    def delay(self, failures: int, rng: random.Random) -> float:
        """The delay after so many failures in a row."""
        full = min(self.most, self.first * 2.0 ** min(failures - 1, 32))
        return full * (0.5 + rng.random() / 2)


class Observer(Protocol):
    """Told of every reconcile, for metrics."""

    def finished(self, key: object, seconds: float, outcome: str) -> None: ...


class Workers(Generic[K]):
    """Runs `reconcile` for keys of the queue, at most `count` at once."""

    def __init__(
        self,
        queue: KeyedQueue[K],
        reconcile: Callable[[K], Awaitable[Result]],
        *,
        count: int,
        observer: Observer,
        clock: Callable[[], float],
        backoff: Backoff = Backoff(),
        rng: random.Random | None = None,
    ) -> None:
        self._queue = queue
        self._reconcile = reconcile
        self._count = count
        self._observer = observer
        self._clock = clock
        self._backoff = backoff
        self._rng = rng or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._failures: dict[K, int] = {}

    async def run(self) -> None:
        """Works until cancelled. An error of `reconcile` is logged by its type and retried; it never ends a worker."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._count):
                group.create_task(self._work(), name=f"worker-{number}")

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            began = self._clock()
            outcome = "error"
            try:
                result = await self._reconcile(key)
                outcome = self._settle(key, result)
            except Exception as error:
                # The text or a chained cause may quote what a server answered: only types and places are logged.
                log.error("reconcile of %s failed: %s", key, describe_error(error))
                self._fail(key)
            finally:
                self._queue.done(key)
                self._observer.finished(key, self._clock() - began, outcome)

    def _settle(self, key: K, result: Result) -> str:
        if isinstance(result, Retry):
            self._fail(key)
            return "retry"
        self._failures.pop(key, None)
        if result.again_after is not None:
            self._queue.add(key, result.again_after)
        return "done"

    def _fail(self, key: K) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self._queue.add(key, self._backoff.delay(failures, self._rng))


def describe_error(error: BaseException) -> str:
    """An error by type and place, without its text, which may hold what must not be logged."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    return f"{type(error).__name__} at {trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
