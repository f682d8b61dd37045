"""Puts the operator together and runs it."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable

import kopf

from jetbridge.api.common import GROUP, VERSION
from jetbridge.api.kinds import KINDS
from jetbridge.core.graph import Key, key_of
from jetbridge.core.views import RenderedView
from jetbridge.runtime.queue import KeyedQueue
from jetbridge.runtime.workers import Result, Workers, describe_error
from jetbridge.shell.cluster import ClusterError
from jetbridge.shell.context import Context
from jetbridge.shell.events import EventRecorder
from jetbridge.shell.feed import Feed, install, registry_for, settings_for
from jetbridge.shell.ingest import OwnerReconciler
from jetbridge.shell.kube import Kube, load_credentials
from jetbridge.shell.memory import Memory
from jetbridge.shell.metrics import Metrics
from jetbridge.shell.reconcile import DeploymentReconciler
from jetbridge.shell.settings import OperatorSettings
from jetbridge.shell.state import ClusterState
from jetbridge.shell.vault.contract import VaultError
from jetbridge.shell.vault.gate import VaultGate
from jetbridge.shell.vault.keys import keys_path, load_keyring
from jetbridge.shell.vault.kv import KvStore
from jetbridge.shell.vault.session import VaultSession
from jetbridge.shell.web import serve
from jetbridge.shell.workspace import WorkspaceReconciler

log = logging.getLogger(__name__)
_KEYS_HEAD_START = 2.0
_JSON_LEVELS = 30_000


class StartError(Exception):
    """The operator can't start; the message says why and what to do."""


class Operator:
    """One operator. `run` works until `stop` is set; a second instance may run in the same process, for tests."""

    def __init__(self, settings: OperatorSettings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.port = 0
        self._kube = Kube(settings.kubeconfig, self.metrics.kubernetes)
        self._session = VaultSession(settings.vault, self.metrics.vault)
        self._store = KvStore(self._session, settings.vault.mount)

    async def run(self, stop: asyncio.Event, started: Callable[[Context], None] = lambda _: None) -> None:
        """Runs until `stop` is set.

        Raises:
            StartError: the CRDs are missing, the cluster can't be reached, or the address is taken.
        """
        install()
        # The API server takes objects of 10,000 levels; reading one must not end the operator for everybody.
        sys.setrecursionlimit(max(sys.getrecursionlimit(), _JSON_LEVELS))
        try:
            await self._run(stop, started)
        finally:
            await self._session.close()
            await self._kube.close()

    async def _run(self, stop: asyncio.Event, started: Callable[[Context], None]) -> None:
        cluster_uid = await self._prepare()
        context = self._context(cluster_uid)
        started(context)
        feed = Feed(context)
        self._gauges(context, feed)
        runner = await self._serve(context, feed)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._session.keep(), name="vault-token"),
                    group.create_task(context.vault.watch(), name="vault-gate"),
                    group.create_task(self._events.run(), name="events"),
                    group.create_task(self._work(context, feed), name="work"),
                ]

                async def end() -> None:
                    stop.set()  # a signal tells kopf alone, which then still waits for this
                    for task in tasks:
                        task.cancel()
                    await asyncio.wait(tasks)

                try:
                    await self._watch(feed, stop, end)
                finally:
                    await end()
        finally:
            await runner.cleanup()

    async def _prepare(self) -> str:
        """Reaches the cluster and checks that the CRDs are there; gives the cluster's UID, that of kube-system."""
        try:
            await self._kube.open()
            resources = await self._kube.request("GET", f"/apis/{GROUP}/{VERSION}")
            system = await self._kube.request("GET", "/api/v1/namespaces/kube-system")
        except ClusterError as error:
            hint = "; are the CRDs installed? kubectl apply -f crds/" if f"/apis/{GROUP}" in str(error) else ""
            raise StartError(f"can't start: {error}{hint}") from None
        served = {r["name"] for r in resources.get("resources", ())}
        missing = [k.plural for k in KINDS if k.plural not in served]
        if missing:
            raise StartError(f"can't start: the CRDs {', '.join(missing)} are missing; kubectl apply -f crds/")
        return str(system["metadata"]["uid"])

    def _context(self, cluster_uid: str) -> Context:
        queue: KeyedQueue[Key] = KeyedQueue(time.monotonic)
        state = ClusterState(self.settings.namespaces)
        path = keys_path(self.settings.vault.prefix)
        gate = VaultGate(
            self._store,
            probe=lambda: self._store.read_state(path, content=False),
            wake=queue.add,
            told=self.metrics.vault_up,
        )
        self._events = EventRecorder(self._kube, time.time)
        return Context(
            settings=self.settings,
            state=state,
            memory=Memory(state, self.settings.vault),
            cluster=self._kube,
            vault=gate,
            queue=queue,
            recorder=self._events,
            counters=self.metrics,
            cluster_uid=cluster_uid,
            clock=time.monotonic,
            now=time.time,
        )

    async def _work(self, context: Context, feed: Feed) -> None:
        """Waits for complete listings, since absence means nothing before; then works."""
        await feed.synced.wait()
        keys = asyncio.create_task(self._load_keys(context), name="digest-keys")
        # With Vault up the keys are there at once; with Vault away withdrawals must not wait for them.
        await asyncio.wait([keys], timeout=_KEYS_HEAD_START)
        try:
            await self._run_workers(context)
        finally:
            keys.cancel()

    async def _load_keys(self, context: Context) -> None:
        """Loads the digest keys, however long Vault is away; then everything is looked at again."""
        pause = 0.5
        while context.memory.keyring is None:
            try:
                context.memory.keyring = await load_keyring(context.vault, self.settings.vault.prefix)
            except Exception as error:
                reason = str(error) if isinstance(error, VaultError) else describe_error(error)
                log.warning("no digest keys yet: %s", reason)
                await asyncio.sleep(pause)
                pause = min(5.0, pause * 1.5)
        state = context.state
        for owner in (*state.deployments, *state.connections, *state.links):
            context.queue.add(key_of(owner))
        for secret in state.secrets:
            if isinstance(secret, RenderedView):
                context.queue.add(Key("AirflowDeployment", secret.meta.namespace, secret.owner_name))

    async def _run_workers(self, context: Context) -> None:
        log.info("working on %d keys with %d workers", context.queue.depth(), self.settings.workers)
        await Workers(
            context.queue,
            dispatcher(context),
            count=self.settings.workers,
            observer=self.metrics,
            clock=time.monotonic,
        ).run()

    async def _watch(self, feed: Feed, stop: asyncio.Event, cleanup: Callable[[], Awaitable[None]]) -> None:
        kubeconfig = self.settings.kubeconfig
        watched = self.settings.namespaces
        await kopf.operator(
            registry=registry_for(lambda: load_credentials(kubeconfig), cleanup),
            settings=settings_for(feed),
            standalone=True,
            clusterwide=watched is None,
            namespaces=sorted(watched) if watched is not None else (),
            stop_flag=stop,
        )

    async def _serve(self, context: Context, feed: Feed):  # type: ignore[no-untyped-def]
        settings = self.settings

        def healthy() -> str | None:
            age = context.queue.oldest_overdue()
            return f"a key is overdue for {age:.0f} s" if feed.synced.is_set() and age > settings.stuck_after else None

        def ready() -> str | None:
            return None if feed.synced.is_set() else f"listing: {feed.missing}"

        try:
            runner = await serve(
                settings.listen_host, settings.listen_port, metrics=self.metrics.text, healthy=healthy, ready=ready
            )
        except OSError:
            raise StartError(
                f"can't listen on {settings.listen_host}:{settings.listen_port}; give another address with --listen"
            ) from None
        self.port = runner.addresses[0][1]
        return runner

    def _gauges(self, context: Context, feed: Feed) -> None:
        self.metrics.gauge(
            "jetbridge_watch_silence_seconds", "Since the quietest watch last gave a sign of life.", feed.silence
        )
        self.metrics.gauge(
            "jetbridge_oldest_overdue_seconds", "Age of the oldest key that is due.", context.queue.oldest_overdue
        )
        self.metrics.gauge("jetbridge_queue_depth", "Keys that are due.", lambda: float(context.queue.depth()))


def dispatcher(context: Context):  # type: ignore[no-untyped-def]
    """The reconcile function: one reconciler for each kind."""
    owners = OwnerReconciler(context)
    reconcilers = {
        "AirflowDeployment": DeploymentReconciler(context).reconcile,
        "Connection": owners.reconcile,
        "ConnectionLink": owners.reconcile,
        "Workspace": WorkspaceReconciler(context).reconcile,
    }

    async def reconcile(key: Key) -> Result:
        return await reconcilers[key.kind](key)

    return reconcile
