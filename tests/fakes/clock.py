"""Time that tests move: a clock for what takes one, and an event loop whose sleeps take no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class FakeClock:
    """Seconds, as many as the test says. 2026-01-01T00:00:00Z is `EPOCH`."""

    EPOCH = 1767225600.0

    def __init__(self, seconds: float = 1000.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        """Monotonic seconds."""
        return self.seconds

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.EPOCH + self.seconds

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self.seconds += seconds


class _JumpingSelector(selectors.DefaultSelector):
    """Where the loop would wait for its next timer, time jumps there instead."""

    jump: Callable[[float], None]

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0 if timeout is None or timeout > 0 else timeout)
        if not ready:
            if timeout is None:
                raise AssertionError("the test waits for something that never comes")
            self.jump(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits. Threads and sockets that answer later don't fit into it."""

    def __init__(self) -> None:
        self._virtual = 1000.0
        selector = _JumpingSelector()
        selector.jump = self._jump
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual

    def _jump(self, seconds: float) -> None:
        self._virtual += seconds


def run_virtually(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs `main` in a loop of virtual time; `asyncio.get_running_loop().time()` is the clock."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main())
