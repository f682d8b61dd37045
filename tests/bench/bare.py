"""Bare asyncio clients that do the operator's writes: what the servers alone take."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dev.apiclient import Raw, Server, secret_path, secret_watch
from dev.arrivals import Arrivals, data_of, password_in
from tests.bench.world import FIRST, KEY, NAMESPACE


class BareClient:
    """Writes an entry of its own in Vault, then a Secret of its own, equal in size to the rendered one."""

    def __init__(self, name: str, secret: Raw, kubernetes: Server, vault: Server) -> None:
        """`secret` is the Secret as the API server has it."""
        self.name = name
        self._kubernetes = kubernetes
        self._vault = vault
        self._secret = secret
        self._connection: Raw = json.loads(data_of(secret, KEY) or "{}")
        self._version = 0

    @classmethod
    async def like(cls, rendered: Raw, kubernetes: Server, vault: Server, name: str) -> BareClient:
        """A client with a copy of this rendered Secret, which the operator does not watch."""
        meta = rendered["metadata"]
        body = {
            "metadata": {
                "name": name,
                "labels": {f"bench-{label}": value for label, value in meta["labels"].items()},
                "annotations": meta["annotations"],
                "ownerReferences": meta["ownerReferences"],
            },
            "type": rendered["type"],
            "data": rendered["data"],
        }
        secret = await kubernetes.call("POST", f"/api/v1/namespaces/{NAMESPACE}/secrets", body)
        return cls(name, secret, kubernetes, vault)

    async def write(self, value: str) -> float:
        """Both writes, one after the other; the seconds they took."""
        began = time.perf_counter()
        await self._put(value)
        await self._replace(value)
        return time.perf_counter() - began

    async def relay(self, value: str) -> None:
        """The writes with the read of the metadata that the operator makes before."""
        if self._version:
            await self._vault.call("GET", f"/v1/secret/metadata/bench/{self.name}")
        await self._put(value)
        await self._replace(value)

    async def _put(self, value: str) -> None:
        body = {"data": {"password": value}, "options": {"cas": self._version}}
        answer = await self._vault.call("POST", f"/v1/secret/data/bench/{self.name}", body)
        self._version = int(answer["data"]["version"])

    async def _replace(self, value: str) -> None:
        self._connection["password"] = value
        text = json.dumps(self._connection, separators=(",", ":"))
        body = {**self._secret, "data": {KEY: base64.b64encode(text.encode()).decode()}}
        self._secret = await self._kubernetes.call("PUT", secret_path(NAMESPACE, self.name), body)


class BareRelay:
    """Does what the operator does at a change, and decides nothing."""

    source = "relay-source"

    def __init__(self, arrivals: Arrivals) -> None:
        """`arrivals` follows the Secret that the relay writes."""
        self.arrivals = arrivals

    @classmethod
    @asynccontextmanager
    async def like(cls, rendered: Raw, kubernetes: Server, vault: Server) -> AsyncIterator[BareRelay]:
        """Runs a relay with a source of its own."""
        body: Raw = {"metadata": {"name": cls.source}, "stringData": {"password": FIRST}}
        source = await kubernetes.call("POST", f"/api/v1/namespaces/{NAMESPACE}/secrets", body)
        client = await BareClient.like(rendered, kubernetes, vault, "bare-relay")
        version = source["metadata"]["resourceVersion"]

        async def work() -> None:
            async for event in kubernetes.watch(secret_watch(NAMESPACE, cls.source, version)):
                await client.relay(data_of(event.object, "password") or "")

        arrivals = Arrivals("bare relay", lambda secret: password_in(secret, KEY))
        async with arrivals.following(kubernetes, NAMESPACE, client.name):
            task = asyncio.create_task(work())
            try:
                yield cls(arrivals)
            finally:
                task.cancel()
                await asyncio.wait({task})
