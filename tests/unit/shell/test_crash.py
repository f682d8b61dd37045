"""The operator dies before or after any write and starts again: it ends where it would have ended without.

Each scenario is run with a crash at its first write, then at its second, and so on until none is left to crash at. A restart
remembers nothing but what stands in the cluster and in Vault.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Literal

import pytest

from tests.fakes import objects
from tests.fakes.clock import FakeClock, run_virtually
from tests.fakes.faults import Crash
from tests.unit.shell.harness import PLANTED, Harness, basic

When = Literal["before", "after"]
_TIMES = ("lastTransitionTime", "since", "deletionTimestamp", "creationTimestamp", "resourceVersion")


def picture(world: Harness) -> Any:
    """Everything that matters at the end: objects and entries, without times and counters."""
    found = {}
    for raw in world.cluster.everything():
        meta = raw["metadata"]
        where = f"{raw['kind']} {meta.get('namespace', '')}/{meta['name']}"
        found[where] = _bare(
            {"finalizers": meta.get("finalizers"), **{k: raw.get(k) for k in ("data", "spec", "status")}}
        )
    entries = {
        path: (world.vault.content(path), world.vault.version(path), dict(world.vault.metadata(path)))
        for path in world.vault.paths()
        if "_operator" not in path
    }
    return found, entries


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        # Digests are of keys made at random.
        return {k: _bare(v) for k, v in value.items() if k not in _TIMES and k != "digest"}
    return [_bare(v) for v in value] if isinstance(value, list) else value


def nothing(_: Harness) -> None:
    """The world as it is applied."""


def rotate(world: Harness) -> None:
    world.put(objects.source("team-a", "creds", {"password": "rotated"}))


def delete(world: Harness) -> None:
    world.cluster.delete("Connection", "team-a", "warehouse")


def unlink(world: Harness) -> None:
    world.cluster.delete("ConnectionLink", "team-a", "to-staging")


def source_an_override(world: Harness) -> None:
    world.put(objects.source("team-a", "own", {"password": PLANTED + "2"}))
    world.put(objects.link("team-a", "to-staging", to=("airflow", "staging"), overrides={"secretRef": {"name": "own"}}))


def drop_sources(world: Harness) -> None:
    world.put(objects.connection("team-a", "warehouse", {"type": "postgres", "sharing": "LinkedToAll"}))


def lose_the_source(world: Harness) -> None:
    world.cluster.delete("Secret", "team-a", "creds")
    world.put(objects.link("team-a", "to-staging", to=("airflow", "staging"), overrides={"host": "other"}))


def rename_the_secret(world: Harness) -> None:
    world.put(objects.deployment("team-a", "prod", secret_name="renamed"))


def delete_a_deployment(world: Harness) -> None:
    world.cluster.delete("AirflowDeployment", "team-a", "prod")


def withdraw_consent(world: Harness) -> None:
    world.put(objects.workspace("team-a", "Same"))


def freeze_the_secret(world: Harness) -> None:
    raw = world.cluster.get("Secret", "team-a", "prod-connections")
    assert raw is not None
    world.put({**raw, "immutable": True})
    rotate(world)


SCENARIOS: dict[str, Callable[[Harness], None]] = {
    "rotate": rotate,
    "delete the connection": delete,
    "delete the link": unlink,
    "source an override": source_an_override,
    "drop the sources": drop_sources,
    "lose the source": lose_the_source,
    "rename the secret": rename_the_secret,
    "delete a deployment": delete_a_deployment,
    "withdraw consent": withdraw_consent,
    "immutable secret": freeze_the_secret,
}


async def run(
    change: Callable[[Harness], None], crash: tuple[int, When] | None, *, settled: bool, late_echo: bool
) -> tuple[Any, bool, Harness]:
    """Applies a change, crashing where told; the picture at the end, and whether it crashed."""
    world = basic(Harness(late_echo=late_echo)).start()
    if settled:
        await world.settle()
    if crash is not None:
        world.faults.crash(*crash)
    change(world)
    crashed = False
    try:
        await world.settle(30)
    except Crash:
        crashed = True
        await world.start().settle(30)
    await world.settle(30)
    return picture(world), crashed, world


@pytest.mark.parametrize("late_echo", [False, True], ids=["early echo", "late echo"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", ["create", *SCENARIOS])
async def test_a_crash_changes_nothing_about_the_end(name: str, when: When, late_echo: bool) -> None:
    change, settled = SCENARIOS.get(name, nothing), name != "create"
    expected, _, _ = await run(change, None, settled=settled, late_echo=late_echo)
    number = 0
    while True:
        number += 1
        end, crashed, world = await run(change, (number, when), settled=settled, late_echo=late_echo)
        if not crashed:
            break
        assert end == expected, f"it ends elsewhere after a crash {when} write {number}: {world.faults.writes[-1]}"
        world.start()
        world.faults.reset()
        await world.settle(30)
        assert world.faults.writes == [], f"after a crash {when} write {number} it never comes to rest"
    assert number > 2, "nothing was written that could crash"


@pytest.mark.parametrize("name", ["create", *SCENARIOS])
async def test_two_crashes_in_a_row(name: str) -> None:
    change, settled = SCENARIOS.get(name, nothing), name != "create"
    expected, _, _ = await run(change, None, settled=settled, late_echo=False)
    for first in range(1, 6):
        world = basic(Harness()).start()
        if settled:
            await world.settle()
        world.faults.crash(first, "after")
        change(world)
        for _ in range(2):
            try:
                await world.settle(30)
            except Crash:
                world.start()
                world.faults.crash(first, "before")
        world.faults.reset()
        await world.start().settle(60)
        assert picture(world) == expected


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["create", *SCENARIOS])
def test_workers_at_once_end_where_one_ends(name: str, seed: int) -> None:
    """Every call to the cluster and to Vault takes a random time; four workers run meanwhile."""
    change, settled = SCENARIOS.get(name, nothing), name != "create"
    expected, _, _ = asyncio.run(run(change, None, settled=settled, late_echo=False))

    async def main() -> Any:
        rng = random.Random(seed)
        world = basic(Harness(late_echo=False))
        clock = FakeClock()
        loop = asyncio.get_running_loop()
        world.clock.seconds = loop.time()
        clock.seconds = loop.time()
        _follow(world, loop)
        world.start()

        async def pause() -> None:
            await asyncio.sleep(rng.random() * 0.2)

        world.faults.pause = pause
        if settled:
            await world.work_at_once(30.0)
        change(world)
        await world.work_at_once(60.0)
        return picture(world)

    assert run_virtually(main) == expected


def _follow(world: Harness, loop: asyncio.AbstractEventLoop) -> None:
    """The world's clock is the loop's."""

    class Following(FakeClock):
        def __call__(self) -> float:
            return loop.time()

        def now(self) -> float:
            return self.EPOCH + loop.time()

    world.clock = Following()
