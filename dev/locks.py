"""Exclusive locks between processes, which the kernel releases whatever becomes of the holder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.errors import StackError

POLL_SECONDS = 0.2


def _open_locked(path: Path) -> int | None:
    """Try once; None when somebody else holds it, or the file was removed between opening and locking."""
    path.parent.mkdir(parents=True, exist_ok=True)  # `down` may have taken the folder away meanwhile
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


@contextmanager
def exclusive(path: Path, *, waiting: Callable[[], None] | None = None, limit: float = 3600.0) -> Iterator[int]:
    """Hold `path` as a lock; `waiting` is called once if it is taken, so that nobody wonders why nothing happens.

    Yields the descriptor: a child that inherits it holds the lock for as long as it lives, whatever becomes of us.
    """
    deadline = time.monotonic() + limit
    told = False
    while (descriptor := _open_locked(path)) is None:
        if not told and waiting is not None:
            waiting()
        told = True
        if time.monotonic() >= deadline:
            raise StackError(f"another process has held {path} for {limit:.0f} s; see what it does, then try again")
        time.sleep(POLL_SECONDS)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
