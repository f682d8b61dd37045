"""Faults that tests inject into the fakes, counted over all of them together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal


class Crash(BaseException):
    """The process ends here. Not an `Exception`: nothing in the operator may catch it and go on."""


@dataclass
class Faults:
    """Counts calls and breaks them as told. Numbers count from 1."""

    pause: Callable[[], Awaitable[None]] | None = None
    reads: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    _crash_at: int = 0
    _crash_when: Literal["before", "after"] = "before"
    _fail_reads: dict[int, Exception] = field(default_factory=dict)
    _fail_writes: dict[int, Exception] = field(default_factory=dict)

    def reset(self) -> None:
        """Forgets counts and plans."""
        self.reads.clear()
        self.writes.clear()
        self._crash_at = 0
        self._fail_reads.clear()
        self._fail_writes.clear()

    def crash(self, number: int, when: Literal["before", "after"]) -> None:
        """Crashes before or after the n-th write from now on."""
        self._crash_at, self._crash_when = len(self.writes) + number, when

    def fail_read(self, number: int, error: Exception) -> None:
        """Fails the n-th read from now on."""
        self._fail_reads[len(self.reads) + number] = error

    def fail_write(self, number: int, error: Exception) -> None:
        """Fails the n-th write from now on; it is not done."""
        self._fail_writes[len(self.writes) + number] = error

    async def wait(self) -> None:
        """Called by a fake at the beginning and the end of every call: others may run meanwhile."""
        if self.pause is not None:
            await self.pause()

    def read(self, what: str) -> None:
        """Called by a fake before it reads."""
        self.reads.append(what)
        error = self._fail_reads.pop(len(self.reads), None)
        if error is not None:
            raise error

    @contextmanager
    def write(self, what: str) -> Iterator[None]:
        """Called by a fake around a write."""
        self.writes.append(what)
        number = len(self.writes)
        error = self._fail_writes.pop(number, None)
        if error is not None:
            raise error
        if number == self._crash_at and self._crash_when == "before":
            raise Crash(what)
        yield
        if number == self._crash_at and self._crash_when == "after":
            raise Crash(what)
