"""A crash at a chosen write: before it took effect, or after, when nobody has heard of its answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from jetbridge.shell.operator import Operator

CLUSTER_WRITES = ("create_secret", "replace_secret", "delete_secret", "apply_status", "apply_finalizers")
STORE_WRITES = ("write_metadata", "put", "soft_delete")


class Fuse:
    """Counts an operator's writes and blows at one of them. From then on nothing it asks for happens or is answered."""

    def __init__(self, at: int = 0, *, after: bool = False) -> None:
        """`at` 0: count only. `after`: the write takes effect, and the operator never hears of it."""
        self._at = at
        self._after = after
        self.writes: list[str] = []
        self.blown = threading.Event()

    def put_into(self, operator: Operator) -> None:
        """Puts the fuse between the operator and its servers."""
        operator._kube = _Fused(operator._kube, CLUSTER_WRITES, self)  # type: ignore[assignment]
        operator._store = _Fused(operator._store, STORE_WRITES, self)  # type: ignore[assignment]

    async def pass_on(self, name: str, call: Callable[[], Awaitable[Any]], *, write: bool) -> Any:
        """Lets a call through, or blows."""
        if self.blown.is_set():
            await _never()
        if not write:
            return await call()
        self.writes.append(name)
        if len(self.writes) != self._at:
            return await call()
        if self._after:
            await call()
        self.blown.set()
        return await _never()


class _Fused:
    """A server's client with a fuse: whatever is asked of it goes through there."""

    def __init__(self, inner: object, writes: tuple[str, ...], fuse: Fuse) -> None:
        self._inner = inner
        self._writes = writes
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name in ("open", "close"):
            return method

        async def through(*args: Any, **kwargs: Any) -> Any:
            return await self._fuse.pass_on(name, lambda: method(*args, **kwargs), write=name in self._writes)

        return through


class Obstacle:
    """Makes an operator's calls of one name fail while it is there."""

    def __init__(self, call: str, error: Exception) -> None:
        """Not there yet."""
        self._call = call
        self._error = error
        self.there = False
        self.met = threading.Event()

    def put_into(self, operator: Operator) -> None:
        """Puts it between the operator and its API server."""
        operator._kube = _Obstructed(operator._kube, self)  # type: ignore[assignment]

    def meets(self, name: str) -> None:
        """Fails if this is the call, and the obstacle is there."""
        if self.there and name == self._call:
            self.met.set()
            raise self._error


class _Obstructed:
    """A server's client with an obstacle."""

    def __init__(self, inner: object, obstacle: Obstacle) -> None:
        self._inner = inner
        self._obstacle = obstacle

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        async def through(*args: Any, **kwargs: Any) -> Any:
            self._obstacle.meets(name)
            return await method(*args, **kwargs)

        return through


async def _never() -> None:
    await asyncio.Event().wait()
