"""Scenario `one-change`: from one changed source Secret to the rendered Secret.

Three series take turns in blocks, so that whatever else the machine does hits all of them:

- operator: the real one, as a process of its own;
- bare client: the Vault write and the Secret write alone, as quickly as asyncio does them;
- bare relay: every step of the operator (see the change by a watch, read the entry's metadata, write to Vault, write the
  Secret) with nothing decided in between: what any operator must take at least.
"""

from __future__ import annotations

import asyncio
import platform
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from dev import apiclient
from dev.apiclient import MERGE_PATCH, Raw, Server, secret_path
from dev.arrivals import Arrivals, password_in
from dev.progress import Progress, Step
from dev.stack import LocalStack
from jetbridge import __version__
from tests.bench.bare import BareClient, BareRelay
from tests.bench.samples import row
from tests.bench.scenario import Goal, Options, Result, Scenario
from tests.bench.world import KEY, NAMESPACE, RENDERED, SOURCE, fresh_stack, install

BLOCK = 25
WARM_UP = 15
MOST_MS = 20.0
MOST_RATIO = 3.0

Sample = Callable[[str], Awaitable[float]]
NOTES = (
    "operator: from just before the source Secret is patched until a watch on the rendered Secret gives the new value. It has",
    "  in it: the patch itself, the watch that tells the operator, a read of the entry's metadata in Vault, the Vault write,",
    "  the Secret write, and the watch that tells us. Status writes follow and are not in it.",
    "bare client: Vault write (check-and-set), then Secret write (PUT with resourceVersion, equal size), both answered.",
    "bare relay: all the steps of the operator, by a bare asyncio client that decides nothing.",
)


def run(options: Options, progress: Progress) -> Result:
    """Measure on a stack of its own, and take it away."""
    with fresh_stack(options.storage, progress) as stack:
        return asyncio.run(_measure(stack, options, progress))


async def _measure(stack: LocalStack, options: Options, progress: Progress) -> Result:
    async with AsyncExitStack() as opened:
        kubernetes = await opened.enter_async_context(apiclient.kubernetes(stack))
        vault = await opened.enter_async_context(apiclient.vault(stack))
        arrivals = Arrivals("operator", lambda secret: password_in(secret, KEY))
        first = await install(kubernetes)
        await opened.enter_async_context(arrivals.following(kubernetes, NAMESPACE, RENDERED))
        await arrivals.arrived(arrivals.expect(first))
        rendered = await kubernetes.call("GET", secret_path(NAMESPACE, RENDERED))
        client = await BareClient.like(rendered, kubernetes, vault, "bare-client")
        relay = await opened.enter_async_context(BareRelay.like(rendered, kubernetes, vault))
        series: dict[str, Sample] = {
            "operator": lambda value: change(kubernetes, SOURCE, value, arrivals),
            "bare client": client.write,
            "bare relay": lambda value: change(kubernetes, relay.source, value, relay.arrivals),
        }
        times = await _take_turns(series, options, progress)
        versions = await _versions(kubernetes, vault)
    return _result(times, versions)


async def change(kubernetes: Server, source: str, value: str, arrivals: Arrivals) -> float:
    """Patch a source, and wait for the value to arrive; the seconds that took."""
    arrived = arrivals.expect(value)
    began = time.perf_counter()
    await kubernetes.call("PATCH", secret_path(NAMESPACE, source), {"stringData": {"password": value}}, MERGE_PATCH)
    return await arrivals.arrived(arrived) - began


async def _take_turns(series: dict[str, Sample], options: Options, progress: Progress) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in series}
    with progress.step("warm-up"):
        for sample in series.values():
            await _block(sample, WARM_UP, options.pause)
    with progress.step(f"{options.changes} changes each, in blocks of {BLOCK}") as step:
        while len(times["operator"]) < options.changes:
            count = min(BLOCK, options.changes - len(times["operator"]))
            for name, sample in series.items():
                _tell(step, name, times)
                times[name] += await _block(sample, count, options.pause)
        step.detail = ""
    return times


async def _block(sample: Sample, count: int, pause: float) -> list[float]:
    times = []
    for _ in range(count):
        times.append(await sample(secrets.token_hex(16)))
        await asyncio.sleep(pause)  # one change at a time: the operator's status writes end meanwhile
    return times


def _tell(step: Step, name: str, times: dict[str, list[float]]) -> None:
    step.detail = f"{len(times['operator'])} done, now {name}"


def _result(times: dict[str, list[float]], versions: dict[str, str]) -> Result:
    operator, client, relay = (row(name, times[name]) for name in ("operator", "bare client", "bare relay"))
    ratio = round(operator.p50 / client.p50, 2)
    figures = {
        "p50_ms": operator.p50,
        "p95_ms": operator.p95,
        "p99_ms": operator.p99,
        "bare_p50_ms": client.p50,
        "bare_p95_ms": client.p95,
        "bare_p99_ms": client.p99,
        "relay_p50_ms": relay.p50,
        "relay_p95_ms": relay.p95,
        "relay_p99_ms": relay.p99,
        "samples": operator.samples,
        "ratio_p50": ratio,
    }
    goals = (
        Goal("operator p50", operator.p50, MOST_MS, " ms"),
        Goal("operator p99", operator.p99, 100.0, " ms"),
        Goal("operator p50 to bare client p50", ratio, MOST_RATIO, "x"),
    )
    return Result(figures, (operator, client, relay), goals, NOTES, versions)


async def _versions(kubernetes: Server, vault: Server) -> dict[str, str]:
    server: Raw = await kubernetes.call("GET", "/version")
    health: Raw = await vault.call("GET", "/v1/sys/health")
    return {
        "jetbridge": __version__,
        "Python": platform.python_version(),
        "Kubernetes": str(server["gitVersion"]).removeprefix("v"),
        "Vault": str(health["version"]),
    }


SCENARIO = Scenario("one-change", "One changed source Secret to the rendered Secret", run)
