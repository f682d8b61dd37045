"""The API server and Vault over kept-alive connections, as administrator: for the demo and the benchmark."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from dev.errors import StackError
from dev.stack import LocalStack

Raw = dict[str, Any]
MERGE_PATCH = "application/merge-patch+json"
TIMEOUT = aiohttp.ClientTimeout(total=60)
WATCH_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10)
LINE_LIMIT_BYTES = 4 * 1024 * 1024  # a watch gives an object a line, and a Secret may have 1 MiB


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a watch, and when its line was read (`time.perf_counter`)."""

    kind: str
    object: Raw
    at: float


class Server:
    """One HTTP server that speaks JSON."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        """Use this session; it carries the credentials."""
        self._session = session
        self._address = address

    async def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, content_type: str = "application/json"
    ) -> Raw:
        """Do one request; the answer's JSON, empty when there is none. A refusal says nothing of any content."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": content_type} if data is not None else None
        try:
            async with self._session.request(method, self._address + path, data=data, headers=headers) as response:
                text = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise StackError(f"{self._address} does not answer {method} {path}: {type(error).__name__}") from error
        if response.status >= 400:
            raise StackError(f"{self._address} refused {method} {path}: {response.status}")
        answer: Raw = json.loads(text) if text else {}
        return answer

    async def watch(self, path: str) -> AsyncIterator[Event]:
        """Events as they come; `path` has the query. Ends with an error when the stream does."""
        try:
            async with self._session.get(self._address + path, timeout=WATCH_TIMEOUT) as response:
                if response.status != 200:
                    raise StackError(f"{self._address} refused the watch of {path}: {response.status}")
                async for line in response.content:
                    at = time.perf_counter()
                    item = json.loads(line)
                    if item["type"] == "ERROR":
                        break
                    yield Event(item["type"], item["object"], at)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise StackError(f"the watch of {path} broke off: {type(error).__name__}") from error
        raise StackError(f"the watch of {path} ended")


@asynccontextmanager
async def kubernetes(stack: LocalStack) -> AsyncIterator[Server]:
    """The stack's API server."""
    context = ssl.create_default_context(cafile=str(stack.pki.ca.certificate))
    context.load_cert_chain(stack.pki.admin.certificate, stack.pki.admin.key)
    connector = aiohttp.TCPConnector(ssl=context, keepalive_timeout=300)
    async with aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, read_bufsize=LINE_LIMIT_BYTES) as session:
        yield Server(session, stack.control_plane.server)


@asynccontextmanager
async def vault(stack: LocalStack) -> AsyncIterator[Server]:
    """The stack's Vault; paths begin with `/v1/`."""
    headers = {"X-Vault-Token": stack.vault_root_token}
    connector = aiohttp.TCPConnector(keepalive_timeout=300)
    async with aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, headers=headers) as session:
        yield Server(session, stack.vault_addr)


def secret_path(namespace: str, name: str) -> str:
    """Where a Secret is."""
    return f"/api/v1/namespaces/{namespace}/secrets/{name}"


def secret_watch(namespace: str, name: str, resource_version: str = "") -> str:
    """Where to watch one Secret from; without a version, from what there is now."""
    version = f"&resourceVersion={resource_version}" if resource_version else ""
    return f"/api/v1/namespaces/{namespace}/secrets?watch=true&fieldSelector=metadata.name%3D{name}{version}"
