"""A connection that can be cut: TCP between the operator and its API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on to one server until it is cut."""

    def __init__(self, server: str) -> None:
        """`server` is its URL."""
        parts = urlsplit(server)
        self._server = server
        self._host, self._port = parts.hostname, parts.port
        self._listener: asyncio.Server | None = None
        self._port_here = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listens, at the same port each time."""
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self._port_here)
        self._port_here = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Ends all connections and takes no more."""
        if self._listener is not None:
            self._listener.close()
        for writer in self._open:
            writer.transport.abort()

    def kubeconfig(self, original: Path) -> str:
        """A kubeconfig that leads through here."""
        return original.read_text().replace(self._server, f"https://127.0.0.1:{self._port_here}")

    @asynccontextmanager
    async def cut(self) -> AsyncIterator[None]:
        """Nobody gets through meanwhile."""
        await self.stop()
        try:
            yield
        finally:
            await self.start()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, out = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(self._pass_on(reader, out), self._pass_on(there, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            with suppress(OSError):
                while data := await reader.read(65536):
                    writer.write(data)
                    await writer.drain()
        finally:
            self._open.discard(writer)
            writer.close()
