"""Sees a value arrive in a Secret, by a watch."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from dev.apiclient import Raw, Server, secret_watch
from dev.errors import StackError

LIMIT_SECONDS = 20.0


class Arrivals:
    """Follows one Secret; tells when an expected value was read from the watch."""

    def __init__(self, what: str, value_of: Callable[[Raw], str | None]) -> None:
        """`value_of` takes the value out of a Secret."""
        self._what = what
        self._value_of = value_of
        self._expected: str | None = None
        self._arrived: asyncio.Future[float] | None = None
        self._watch: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def following(self, kubernetes: Server, namespace: str, name: str) -> AsyncIterator[Arrivals]:
        """Watch, from what there is now on."""
        self._watch = asyncio.create_task(self._follow(kubernetes, secret_watch(namespace, name)))
        try:
            yield self
        finally:
            self._watch.cancel()
            await asyncio.wait({self._watch})

    def expect(self, value: str) -> asyncio.Future[float]:
        """From now on look for this value."""
        self._expected = value
        self._arrived = asyncio.get_running_loop().create_future()
        return self._arrived

    async def arrived(self, future: asyncio.Future[float], limit: float = LIMIT_SECONDS) -> float:
        """When the value's event was read (`time.perf_counter`)."""
        if self._watch is None:
            raise StackError(f"{self._what} is not watched")
        either: set[asyncio.Future[Any]] = {future, self._watch}
        await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            return future.result()
        if self._watch.done():
            self._watch.result()
        raise StackError(f"{self._what}: the change did not arrive within {limit:.0f} s")

    async def _follow(self, kubernetes: Server, path: str) -> None:
        async for event in kubernetes.watch(path):
            waiting = self._arrived
            if waiting is not None and not waiting.done() and self._value_of(event.object) == self._expected:
                waiting.set_result(event.at)


def data_of(secret: Raw, key: str) -> str | None:
    """A key of a Secret, decoded."""
    encoded = (secret.get("data") or {}).get(key)
    return base64.b64decode(encoded).decode() if encoded is not None else None


def password_in(secret: Raw, key: str) -> str | None:
    """The password of a rendered connection."""
    text = data_of(secret, key)
    if text is None:
        return None
    found = json.loads(text).get("password")
    return found if isinstance(found, str) else None
