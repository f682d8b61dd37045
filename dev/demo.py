"""`make demo`: the quickstart on real servers, shown, rotated and verified."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from dev import apiclient, demo_checks, demo_rotate, demo_tables
from dev.apiclient import Raw, Server
from dev.demo_checks import Check
from dev.demo_examples import Examples, not_ready
from dev.demo_vault import VaultEntry, read_entries
from dev.demo_world import Delivered, World, read_world, secret_data
from dev.errors import StackError
from dev.progress import Step, Terminal
from dev.stack import LocalStack

READY_LIMIT_SECONDS = 30.0
GONE_LIMIT_SECONDS = 30.0
STATUS_LIMIT_SECONDS = 10.0
POLL_SECONDS = 0.1
KINDS = ("Workspace", "Connection", "ConnectionLink", "AirflowDeployment")


def run(stack: LocalStack, console: Console, progress: Terminal) -> None:
    """Everything after `up`; raises when something that is claimed was not seen."""
    asyncio.run(_Demo(stack, console, progress).run())


class _Demo:
    def __init__(self, stack: LocalStack, console: Console, progress: Terminal) -> None:
        self._stack = stack
        self._console = console
        self._progress = progress
        self._examples = Examples()
        self._checks: list[Check] = []

    async def run(self) -> None:
        async with apiclient.kubernetes(self._stack) as kubernetes, apiclient.vault(self._stack) as vault:
            await self._start_clean(kubernetes)
            world = await self._apply(kubernetes)
            entries = await read_entries(vault, world)
            items = self._items(world)
            demo_tables.deliveries(self._console, items)
            demo_tables.fields(self._console, items)
            demo_tables.vault(self._console, entries)
            demo_tables.secrets(self._console, items)
            system = await kubernetes.call("GET", "/api/v1/namespaces/kube-system")
            self._checks += demo_checks.delivery(world, items)
            self._checks += demo_checks.in_vault(world, entries, str(system["metadata"]["uid"]))
            world = await self._rotate(kubernetes, vault, world, entries)
            self._checks += demo_checks.nothing_shown(world, await self._others(kubernetes), self._passwords)
        demo_tables.checks(self._console, self._checks)
        unseen = [check.claim for check in self._checks if not check.seen]
        if unseen:
            raise StackError(f"not seen: {'; '.join(unseen)}. The operator's log: {self._log}")

    async def _start_clean(self, kubernetes: Server) -> None:
        found = self._examples.leftovers(self._stack.kubectl)
        if not found:
            return
        with self._progress.step(f"deleting {len(found)} objects of an earlier demo") as step:
            await asyncio.to_thread(self._examples.delete, self._stack.kubectl)
            await self._until(kubernetes, step, self._secrets_left, GONE_LIMIT_SECONDS, "are still there")

    async def _apply(self, kubernetes: Server) -> World:
        with self._progress.step("kubectl apply -f examples/quickstart/") as step:
            count = await asyncio.to_thread(self._examples.apply, self._stack.kubectl)
            step.detail = f"{count} objects"
        refs = self._examples.refs(*KINDS)

        def waiting(world: World) -> list[str]:
            return [f"{kind} {ns}/{name} ({text})" for (kind, ns, name), text in not_ready(world, refs).items()]

        with self._progress.step(f"all {len(refs)} are Ready") as step:
            return await self._until(kubernetes, step, waiting, READY_LIMIT_SECONDS, "not Ready")

    async def _rotate(self, kubernetes: Server, vault: Server, world: World, entries: list[VaultEntry]) -> World:
        self._passwords = _passwords(world)
        rotation = await demo_rotate.rotate(kubernetes, world)
        old = demo_rotate.entry_of_source(entries)
        version = old.version + 1 if old is not None else 0

        def status_behind(now: World) -> list[str]:
            status = now.get("Connection", demo_checks.WORKSPACE, "warehouse").get("status") or {}
            return [] if (status.get("vault") or {}).get("version") == version else ["the Connection's status"]

        now = await self._until(
            kubernetes, Step(""), status_behind, STATUS_LIMIT_SECONDS, "does not tell of the rotation"
        )
        new = demo_rotate.entry_of_source(await read_entries(vault, now))
        self._passwords |= {rotation.value}
        self._checks += demo_rotate.after(rotation, world, now, old, new)
        versions = f"{old.version if old else '?'} → {new.version if new else '?'}"
        where = f"{demo_checks.WORKSPACE}/{demo_checks.SOURCE}"
        self._console.print("\n[bold]A rotation[/bold]\n")
        self._console.print(
            f"Secret {where} got a new random password. Vault: version [bold]{versions}[/bold]. From the patch until a watch\n"
            f"gave it in {demo_checks.STAGING[0]}/{demo_rotate.RENDERED}: [bold]{rotation.milliseconds:.1f} ms[/bold].",
            highlight=False,
        )
        return now

    async def _until(
        self, kubernetes: Server, step: Step, waiting_for: Callable[[World], list[str]], limit: float, state: str
    ) -> World:
        """The world in which nothing is waited for any more."""
        deadline = time.monotonic() + limit
        while True:
            world = await read_world(kubernetes)
            waiting = waiting_for(world)
            if not waiting:
                step.detail = ""
                return world
            if time.monotonic() > deadline:
                raise StackError(f"after {limit:.0f} s {state}: {'; '.join(waiting)}. The operator's log: {self._log}")
            step.detail = f"waiting for {waiting[0]}" + (f" and {len(waiting) - 1} more" if len(waiting) > 1 else "")
            await asyncio.sleep(POLL_SECONDS)

    def _items(self, world: World) -> list[Delivered]:
        return [
            item
            for _, namespace, name in self._examples.refs("AirflowDeployment")
            for item in world.delivered(namespace, name)
        ]

    def _secrets_left(self, world: World) -> list[str]:
        names = [(ns, f"{name}-connections") for _, ns, name in self._examples.refs("AirflowDeployment")]
        return [f"Secret {namespace}/{name}" for namespace, name in names if world.get("Secret", namespace, name)]

    async def _others(self, kubernetes: Server) -> dict[str, str]:
        """What else anybody may read."""
        events: Raw = await kubernetes.call("GET", "/api/v1/events")
        metrics = await asyncio.to_thread(_text, f"http://{self._stack.operator.listen()}/metrics")
        log = self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
        return {"event": json.dumps(events["items"]), "metric": metrics, "line of the operator's log": log}

    @property
    def _log(self) -> Path:
        running = self._stack.operator_running()
        return Path(running.log) if running is not None else self._stack.state_dir / "logs"


def what_next(console: Console, env: str) -> None:
    """What to type after the demo."""
    lines = (
        (f". {env}", "kubectl and vault of this shell point to the stack"),
        ("kubectl get conn,connlink,afd -A", "what is delivered, and since when"),
        ("kubectl describe afd prod -n airflow-prod", "one deployment, with its events"),
        ("kubectl get secret prod-connections -n airflow-prod -o yaml", "the Secret for envFrom"),
        ("vault kv get secret/jetbridge/data-platform/links/warehouse-prod", "the link's password, in Vault"),
        ("$EDITOR examples/quickstart/60-links.yaml && kubectl apply -f examples/quickstart/", "change something"),
        ("make down", "ends everything"),
    )
    console.print("\n[bold]What to type next[/bold]\n")
    width = max(len(command) for command, _ in lines)
    for command, why in lines:
        console.print(f"  {escape(command):<{width}}  [dim]# {why}[/dim]", highlight=False, soft_wrap=True)


def _passwords(world: World) -> set[str]:
    sources = (demo_checks.SOURCE, demo_checks.SOURCE_OF_LINK)
    return {secret_data(world.get("Secret", demo_checks.WORKSPACE, name)).get("password", "") for name in sources}


def _text(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as response:
        return str(response.read().decode())
