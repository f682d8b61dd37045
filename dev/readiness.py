"""Waits for a server with a limit, and says at once why when it died instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from dev.errors import StackError
from dev.files import tail
from dev.processes import ProcessTable, Record

POLL_SECONDS = 0.05
TAKEN = ("address already in use", "eaddrinuse")


class PortTakenError(StackError):
    """Somebody took the port between the choice and the start; another one may work."""


def died(record: Record) -> StackError:
    """Say how it ended, by its own words."""
    text = tail(Path(record.log), offset=record.log_offset)
    kind = PortTakenError if any(sign in text.lower() for sign in TAKEN) else StackError
    return kind(f"{record.name} ended right after its start; the end of {record.log}:\n{text}")


def wait_ready(table: ProcessTable, name: str, check: Callable[[], bool], limit: float) -> None:
    """Return when `check` holds; raise when the process is gone or the time is up."""
    deadline = time.monotonic() + limit
    while not check():
        record = table.get(name)
        if record is None:
            raise StackError(f"{name} was stopped while it was waited for")
        if table.running(name) is None:
            raise died(record)
        if time.monotonic() >= deadline:
            text = tail(Path(record.log), offset=record.log_offset)
            raise StackError(f"{name} is not ready after {limit:.0f} s; the end of {record.log}:\n{text}")
        time.sleep(POLL_SECONDS)


def wait_until(check: Callable[[], bool], what: str, limit: float) -> None:
    """Return when `check` holds; raise when the time is up."""
    deadline = time.monotonic() + limit
    while not check():
        if time.monotonic() >= deadline:
            raise StackError(f"waited {limit:.0f} s for {what}")
        time.sleep(POLL_SECONDS)
