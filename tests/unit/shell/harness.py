"""The operator's reconcilers over fakes, one key after the other, in a time that the test moves.

`Harness` is the world: it outlives a run. `start` begins a run of the operator with nothing remembered, as after a crash.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from jetbridge.core.graph import Key, key_of
from jetbridge.core.views import RenderedView
from jetbridge.runtime.queue import KeyedQueue
from jetbridge.runtime.workers import Backoff, Retry, Workers
from jetbridge.shell.cluster import Raw
from jetbridge.shell.context import Context
from jetbridge.shell.feed import WATCHED, Feed
from jetbridge.shell.memory import Memory
from jetbridge.shell.operator import dispatcher
from jetbridge.shell.settings import OperatorSettings
from jetbridge.shell.state import ClusterState
from jetbridge.shell.vault.contract import VaultError
from jetbridge.shell.vault.gate import VaultGate
from jetbridge.shell.vault.keys import keys_path, load_keyring
from tests.fakes import objects
from tests.fakes.clock import FakeClock
from tests.fakes.cluster import EventType, FakeCluster
from tests.fakes.faults import Faults
from tests.fakes.store import FakeStore

PLANTED = "hunter2-planted"
PREFIX = "jetbridge"
CLUSTER_UID = "cluster-uid"
_STEPS = 2000


class Recorded:
    """Takes events and counts, for tests to look at."""

    def __init__(self) -> None:
        self.events: list[tuple[str, bool, str, str]] = []
        self.withdrawals = 0
        self.ingests: list[str] = []
        self.outcomes: list[tuple[str, str]] = []

    def event(self, key: Key, uid: str, normal: bool, reason: str, message: str) -> None:
        assert uid
        self.events.append((str(key), normal, reason, message))

    def withdrawn(self, entries: int) -> None:
        self.withdrawals += entries

    def ingested(self, reason: str) -> None:
        self.ingests.append(reason)

    def finished(self, key: object, seconds: float, outcome: str) -> None:
        self.outcomes.append((str(key), outcome))


class Harness:
    """A cluster, a Vault, a clock, and the operator on them."""

    def __init__(self, *, late_echo: bool = False, watched: frozenset[str] | None = None) -> None:
        self.faults = Faults()
        self.clock = FakeClock()
        self.cluster = FakeCluster(self.faults, self.clock.now)
        self.vault = FakeStore(self.faults)
        self.late_echo = late_echo
        self.watched = watched
        self.recorded = Recorded()
        self.statuses: list[tuple[str, Mapping[str, Any]]] = []
        self._echoes: list[tuple[str, EventType, Raw]] = []
        self._failures: dict[Key, int] = {}

    # -- the world

    def put(self, *raws: Raw) -> None:
        """Creates or changes objects, as people do."""
        for raw in raws:
            self.cluster.put(raw)

    def status(self, kind: str, namespace: str, name: str) -> Mapping[str, Any]:
        """An object's status."""
        raw = self.cluster.get(kind, namespace, name)
        assert raw is not None, f"there is no {kind} {namespace}/{name}"
        found: Mapping[str, Any] = raw.get("status") or {}
        return found

    def ready(self, kind: str, namespace: str, name: str) -> tuple[str, str]:
        """Status and reason of an object's Ready."""
        conditions = self.status(kind, namespace, name).get("conditions") or ()
        return next(((c["status"], c["reason"]) for c in conditions if c["type"] == "Ready"), ("", ""))

    def env(self, namespace: str = "team-a", name: str = "prod-connections") -> dict[str, Any] | None:
        """The connections in a rendered Secret, parsed; None when it is not there."""
        data = self.cluster.secret_data(namespace, name)
        if data is None:
            return None
        return {k.removeprefix("AIRFLOW_CONN_"): json.loads(v) for k, v in data.items()}

    # -- the operator

    def start(self) -> Harness:
        """A fresh run: nothing is remembered, everything is listed."""
        settings = OperatorSettings.model_validate(
            {"vault": {"address": "http://127.0.0.1:1", "auth": "token", "token": "t", "prefix": PREFIX}}
        )
        state = ClusterState(self.watched)
        self.queue: KeyedQueue[Key] = KeyedQueue(self.clock)
        path = keys_path(PREFIX)
        self.gate = VaultGate(self.vault, probe=lambda: self.vault.read_state(path, content=False), wake=self.queue.add)
        self.context = Context(
            settings=settings,
            state=state,
            memory=Memory(state, settings.vault),
            cluster=self.cluster,
            vault=self.gate,
            queue=self.queue,
            recorder=self.recorded,
            counters=self.recorded,
            cluster_uid=CLUSTER_UID,
            clock=self.clock,
            now=self.clock.now,
        )
        self.feed = Feed(self.context)
        self.reconcile = dispatcher(self.context)
        self._failures.clear()
        self._echoes.clear()
        self.cluster.watchers[:] = [self._see]
        for plural in WATCHED:
            namespaces = [None] if self.watched is None or plural == "namespaces" else sorted(self.watched)
            for namespace in namespaces:
                self.feed.begin(plural, namespace)
                for raw in self.cluster.list(plural):
                    if namespace is None or raw["metadata"]["namespace"] == namespace:
                        self.feed.listed(plural, namespace, raw)
                self.feed.end(plural, namespace)
        assert self.feed.synced.is_set()
        return self

    async def load_keys(self) -> None:
        """Loads the digest keys, if Vault is there, and asks for everything, as the operator does."""
        memory = self.context.memory
        if memory.keyring is None:
            try:
                memory.keyring = await load_keyring(self.gate, PREFIX)
            except VaultError:
                return
            state = self.context.state
            for owner in (*state.deployments, *state.connections, *state.links):
                self.queue.add(key_of(owner))
            for secret in state.secrets:
                if isinstance(secret, RenderedView):
                    self.queue.add(Key("AirflowDeployment", secret.meta.namespace, secret.owner_name))

    async def settle(self, seconds: float = 5.0) -> None:
        """Works for so many seconds of the fake clock; it must be quiet at the end of them."""
        until = self.clock() + seconds
        await self.load_keys()
        for _ in range(_STEPS):
            self._hear()
            if self.queue.depth() == 0:
                due = min(self.queue._due.values(), default=float("inf"))
                self.clock.seconds = min(due, until)
                if due > until:
                    return
                continue
            key = await self.queue.get()
            try:
                await self._once(key)
            finally:
                self.queue.done(key)
        raise AssertionError(f"it does not settle; still due: {sorted(map(str, self.queue._due))}")

    async def _once(self, key: Key) -> None:
        result = await self.reconcile(key)
        if isinstance(result, Retry):
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            self.queue.add(key, min(60.0, Backoff().first * 2.0 ** (failures - 1)))
            return
        self._failures.pop(key, None)
        if result.again_after is not None:
            self.queue.add(key, result.again_after)

    async def work_at_once(self, seconds: float, *, count: int = 4) -> None:
        """Works with several workers at once, in the loop's own (virtual) time."""
        await self.load_keys()
        workers = Workers(self.queue, self.reconcile, count=count, observer=self.recorded, clock=self.clock)
        task = asyncio.create_task(workers.run())
        await asyncio.sleep(seconds)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def vault_is_back(self) -> None:
        """Unseals, and lets the gate find out."""
        self.vault.sealed = False
        watching = asyncio.create_task(self.gate.watch())
        while not self.gate.up:  # noqa: ASYNC110 - the gate has no event for this
            await asyncio.sleep(0.001)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    def _see(self, plural: str, kind: EventType, raw: Raw) -> None:
        if kind != "DELETED" and "status" in raw:
            where = f"{raw['kind']} {raw['metadata']['namespace']}/{raw['metadata']['name']}"
            self.statuses.append((where, raw["status"]))
        if self.late_echo:
            self._echoes.append((plural, kind, raw))
        else:
            self.feed.event(plural, kind, raw)

    def _hear(self) -> None:
        echoes, self._echoes = self._echoes, []
        for echo in echoes:
            self.feed.event(*echo)


def basic(harness: Harness) -> Harness:
    """A workspace with a sourced connection for all, prod beside it, staging in another namespace with an override."""
    harness.put(
        objects.namespace("team-a"),
        objects.namespace("airflow", labels={"team": "data"}),
        objects.workspace("team-a", "All"),
        objects.source("team-a", "creds", {"password": PLANTED}),
        objects.connection(
            "team-a",
            "warehouse",
            {"type": "postgres", "host": "db", "secretRef": {"name": "creds"}, "sharing": "LinkedToAll"},
        ),
        objects.link("team-a", "to-staging", to=("airflow", "staging"), overrides={"host": "staging-db"}),
        objects.deployment("team-a", "prod"),
        objects.deployment("airflow", "staging", workspaces=["team-a"]),
    )
    return harness


ENTRY = f"{PREFIX}/team-a/connections/warehouse"
KEYS = keys_path(PREFIX)
