"""Waiting for what comes, without sleeping for a guessed time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
LIMIT_SECONDS = 10.0
_PAUSE_SECONDS = 0.03


async def eventually(check: Callable[[], Awaitable[T]], what: str, limit: float = LIMIT_SECONDS) -> T:
    """Repeats a check until it raises no AssertionError any more; gives its answer.

    Raises:
        AssertionError: not within `limit` seconds; says `what` was waited for and how it stood at the end.
    """
    began = time.monotonic()
    while True:
        try:
            return await check()
        except AssertionError as error:
            if time.monotonic() - began > limit:
                raise AssertionError(f"after {limit:.0f} s still not: {what}\n{error}") from None
        await asyncio.sleep(_PAUSE_SECONDS)
