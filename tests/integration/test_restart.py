"""An operator that ends, in whatever way and wherever, and another that goes on: the same state, and no write too many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dev.stack import LocalStack
from tests.support.faults import Fuse
from tests.support.kube import MERGE, encoded, path_of
from tests.support.manifests import connection, deployment, link, sourced, workspace
from tests.support.picture import picture
from tests.support.proxy import Proxy
from tests.support.waiting import eventually
from tests.support.world import World

pytestmark = pytest.mark.integration

DB = {"conn_type": "postgres", "host": "db"}
GOOD: dict[str, Any] = {"warehouse": {**DB, "password": "s3cret"}}
RESUME_SECONDS = 20.0


# Restarting with nothing changed


async def _everything(world: World) -> None:
    """All kinds, both ways of sharing, things that are well and things that are not."""
    await world.source("warehouse", password="s3cret", login="etl")
    await world.source("override", password="0verride")
    await world.source("bad", port="no number")
    await world.apply(
        workspace(),
        sourced("warehouse"),
        sourced("bad", sharing="LinkedToAll"),
        sourced("absent", sharing="LinkedToAll"),
        connection("plain", sharing="LinkedToAll"),
        deployment("local"),
        deployment("prod"),
        deployment("staging", "prod"),
        link("warehouse", "prod", secretRef={"name": "override"}),
        link("warehouse", "local"),
        link("nothing", "local"),
    )
    common = {**DB, "login": "etl"}
    await world.receives("prod", plain=DB, warehouse={**common, "password": "0verride"})
    await world.receives("local", plain=DB, warehouse={**common, "password": "s3cret"})
    await world.says("ConnectionLink", "nothing-local", "ConnectionNotFound")
    await world.says("AirflowDeployment", "staging", "NotAdmitted")
    await world.operator.settled()


async def _restart_and_count(world: World) -> tuple[list[str], list[str], list[str]]:
    """Writes to the API server, reads of single Secrets, and calls to Vault of an operator that starts and comes to rest."""
    api, vault = world.api_calls(), world.vault_calls()
    await world.start_operator()
    await world.operator.settled(quiet=1.0)
    return api.writes(), api.secret_reads(), vault.since()


async def test_a_restart_writes_nothing_and_asks_vault_for_nothing_but_the_keys(world: World) -> None:
    await _everything(world)
    before = await picture(world)
    await world.stop_operator()
    written, read, called = await _restart_and_count(world)
    assert written == []
    assert read == []
    assert called == [
        "update auth/jwt/login",
        "read secret/metadata/jetbridge/_operator/digest/keys",
        "read secret/data/jetbridge/_operator/digest/keys",
    ]
    assert await picture(world) == before


async def test_a_restart_after_a_source_went_writes_nothing(world: World) -> None:
    await world.source("warehouse", password="s3cret")
    await world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", **GOOD)
    await world.drop("warehouse")
    await world.says("Connection", "warehouse", "SourceGoneKept", about="Stored")
    await world.operator.settled()
    await world.stop_operator()
    written, _, called = await _restart_and_count(world)
    assert written == []
    assert len(called) == 3, called


async def _forget(world: World, name: str) -> None:
    await world.vault.forget(world.path(name))


async def _edit(world: World, name: str) -> None:
    await world.vault.put(world.path(name), password="edited")


async def _take(world: World, name: str) -> None:
    await world.vault.set_metadata(world.path(name), manager="terraform")


@pytest.mark.parametrize(
    ("meddle", "reason"),
    [(_edit, "StoredValueChanged"), (_forget, "SourceLost"), (_take, "ForeignEntry")],
    ids=["edited", "metadata_deleted", "foreign"],
)
async def test_a_restart_does_not_forget_what_is_wrong_with_an_entry(
    quiet_world: World, meddle: Callable[[World, str], Any], reason: str
) -> None:
    world = quiet_world
    await world.start_operator(vault_check_interval=1)
    await world.source("warehouse", password="s3cret")
    await world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", **GOOD)
    await world.drop("warehouse")
    await world.says("Connection", "warehouse", "SourceGoneKept", about="Stored")
    await meddle(world, "warehouse")
    await world.says("Connection", "warehouse", reason)
    await world.says("AirflowDeployment", "local", reason)
    await world.operator.settled()
    before = await picture(world)
    await world.stop_operator()
    written, _, _ = await _restart_and_count(world)
    assert written == []
    assert await picture(world) == before


async def test_a_value_delivered_before_stays_when_its_recipe_alone_changes(world: World) -> None:
    """A default that the link overrides: the value is the same, so nothing is written, and a restart writes nothing."""
    await world.apply(connection("plain"), deployment("local"), link("plain", "local", host="override"))
    await world.receives("local", plain={**DB, "host": "override"})
    await world.operator.settled()
    before = await world.secret("local")
    await world.apply(connection("plain", host="other"))
    await world.operator.settled()
    assert await world.secret("local") == before
    await world.stop_operator()
    written, _, _ = await _restart_and_count(world)
    assert written == []


# What happened while no operator ran


async def test_changes_made_while_no_operator_ran_are_found(world: World) -> None:
    await world.source("warehouse", password="s3cret")
    await world.apply(
        workspace(),
        sourced("warehouse"),
        connection("plain", sharing="LinkedToAll"),
        connection("gone", sharing="LinkedToAll"),
        deployment("local"),
        deployment("prod"),
        link("warehouse", "local"),
        link("warehouse", "prod"),
    )
    await world.receives("local", **GOOD, plain=DB, gone=DB)
    await world.receives("prod", **GOOD, plain=DB, gone=DB)
    await world.operator.settled()
    await world.stop_operator()
    await world.delete("ConnectionLink", "warehouse-local")
    await world.delete("Connection", "gone")
    await world.delete("Workspace", "default")
    await world.source("warehouse", password="r0tated")
    await world.kube.patch("Secret", "local-connections", world.team, {"data": encoded({"AIRFLOW_CONN_X": "{}"})})
    await world.start_operator()
    await world.receives("local", plain=DB)
    await world.receives("prod")
    await world.gone("ConnectionLink", "warehouse-local")
    await world.stored("warehouse", {"password": "r0tated"}, version=2)


async def test_a_deployment_deleted_while_no_operator_ran_loses_its_secret(world: World) -> None:
    await world.apply(connection("plain", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", plain=DB)
    await world.stop_operator()
    await world.delete("AirflowDeployment", "local")
    await world.start_operator()
    await world.vanished("Secret", "local-connections", world.team)


@pytest.fixture
async def proxy(stack: LocalStack) -> AsyncIterator[Proxy]:
    """The way to the API server, to be cut."""
    made = Proxy(stack.control_plane.server)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@pytest.fixture
async def proxied(quiet_world: World, proxy: Proxy, tmp_path: Path) -> World:
    """A world whose operator goes that way."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(proxy.kubeconfig(quiet_world.stack.operator_kubeconfig))
    await quiet_world.start_operator(kubeconfig=kubeconfig)
    return quiet_world


async def _two_deployments(world: World) -> None:
    await world.source("warehouse", password="s3cret")
    await world.apply(
        workspace(),
        sourced("warehouse", sharing="LinkedToAll"),
        connection("plain", sharing="LinkedToAll"),
        deployment("local"),
        deployment("prod"),
    )
    await world.receives("local", **GOOD, plain=DB)
    await world.receives("prod", **GOOD, plain=DB)
    await world.operator.settled()


async def _delete_some(world: World) -> None:
    await world.delete("Connection", "plain")
    await world.delete("Workspace", "default")
    await world.drop("warehouse")


async def _some_are_gone(world: World) -> None:
    await world.receives("local", **GOOD, limit=RESUME_SECONDS)
    await world.receives("prod", limit=RESUME_SECONDS)
    await world.says("Connection", "warehouse", "SourceGoneKept", about="Stored")


async def _restored(world: World, **spec: Any) -> None:
    """As from a backup without statuses, after the source went."""
    await world.source("warehouse", password="s3cret")
    await world.apply(sourced("warehouse"))
    await world.says("Connection", "warehouse", "Stored")
    await world.operator.settled()
    await world.stop_operator()
    await world.drop("warehouse")
    path = path_of("Connection", world.team, "warehouse")
    await world.kube.request("PATCH", f"{path}/status", {"status": None}, content_type=MERGE)
    await world.apply(connection("warehouse", sharing="LinkedToAll", **spec), deployment("local"))
    await world.start_operator()


async def test_a_connection_restored_without_its_status_finds_its_value_in_vault(world: World) -> None:
    await _restored(world, secretRef={"name": "warehouse"})
    await world.receives("local", **GOOD)
    await world.says("Connection", "warehouse", "SourceGoneKept", about="Stored")


async def test_a_connection_restored_with_other_references_finds_no_value(world: World) -> None:
    await _restored(world, secretRef={"name": "other"})
    await world.says("Connection", "warehouse", "SourceMissing")
    await world.keeps("local")


async def test_deletions_during_a_broken_watch_are_found(proxied: World, proxy: Proxy) -> None:
    await _two_deployments(proxied)
    async with proxy.cut():
        await _delete_some(proxied)
    await _some_are_gone(proxied)


async def test_deletions_that_no_watch_tells_of_any_more_are_found(proxied: World, proxy: Proxy) -> None:
    """A restarted API server can't go on from an older version: the watch ends, and only a new listing tells."""
    await _two_deployments(proxied)
    async with proxy.cut():
        await _delete_some(proxied)
        await proxied.api_server_restarted()
    await _some_are_gone(proxied)


async def test_lost_rights_withdraw_nothing_and_work_resumes_when_they_are_back(proxied: World, proxy: Proxy) -> None:
    world = proxied
    await _two_deployments(world)
    before = await world.raw("prod")
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/jetbridge"
    binding = await world.kube.request("GET", path)
    calls = world.api_calls()

    async def refused() -> None:
        assert calls.refusals(), "it has not been refused anything"

    async with proxy.cut():
        await world.kube.request("DELETE", path)
    try:
        await eventually(refused, "the operator is refused its watches", RESUME_SECONDS)
        await world.operator.settled()
        assert await world.raw("prod") == before
    finally:
        for name in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            binding["metadata"].pop(name, None)
        await world.kube.request("POST", path.removesuffix("/jetbridge"), binding)
    await world.source("warehouse", password="r0tated")
    await world.receives("prod", warehouse={**DB, "password": "r0tated"}, plain=DB, limit=RESUME_SECONDS)


async def test_what_came_from_a_workspace_that_is_no_longer_watched_stays(world: World) -> None:
    await _two_deployments(world)
    before = await world.secret("prod")
    await world.stop_operator()
    await world.start_operator(namespaces=frozenset({world.prod}))
    await world.says("AirflowDeployment", "prod", "WorkspaceNotWatched")
    await world.operator.settled()
    assert await world.secret("prod") == before


# Crashes

SCENARIOS = ("create", "rotate", "delete")


async def _prepare(world: World) -> None:
    """What stands before any scenario."""
    await world.source("warehouse", password="s3cret", login="etl")
    await world.source("override", password="0verride")
    await world.apply(workspace())


async def _create(world: World) -> None:
    await world.apply(
        sourced("warehouse"),
        connection("plain", sharing="LinkedToAll"),
        deployment("prod"),
        link("warehouse", "prod", secretRef={"name": "override"}, host="prod.db"),
    )


async def _created(world: World) -> None:
    await _create(world)
    await world.receives("prod", plain=DB, warehouse={**DB, "host": "prod.db", "login": "etl", "password": "0verride"})


async def _rotate(world: World) -> None:
    await world.source("warehouse", password="r0tated", login="2nd")
    await world.source("override", password="n3w")
    await world.apply(connection("plain", sharing="LinkedToAll", host="new"), deployment("prod", secretName="moved"))


async def _rotated(world: World) -> None:
    await world.receives(
        "prod",
        "moved",
        plain={**DB, "host": "new"},
        warehouse={**DB, "host": "prod.db", "login": "2nd", "password": "n3w"},
        limit=20,
    )
    await world.vanished("Secret", "prod-connections", world.prod, limit=20)


async def _delete(world: World) -> None:
    await world.delete("Connection", "warehouse")
    await world.delete("ConnectionLink", "warehouse-prod")


async def _deleted(world: World) -> None:
    await world.receives("prod", plain=DB, limit=20)
    await world.gone("Connection", "warehouse", limit=20)
    await world.gone("ConnectionLink", "warehouse-prod", limit=20)


@asynccontextmanager
async def _fresh(stack: LocalStack) -> AsyncIterator[World]:
    world = World(stack)
    try:
        await world.open()
        await _prepare(world)
        yield world
    finally:
        await world.close()


async def _run(world: World, scenario: str, fuse: Fuse) -> None:
    """Runs a scenario with a fuse in the operator; one that blows ends it, and another operator goes on without."""
    if scenario != "create":
        await world.start_operator()
        await _created(world)
        await world.operator.settled()
        await world.stop_operator()
    await world.start_operator(fuse.put_into)
    change, check = {
        "create": (_create, _created),
        "rotate": (_rotate, _rotated),
        "delete": (_delete, _deleted),
    }[scenario]
    await change(world)
    done = asyncio.create_task(_finish(world, check))
    # The same work takes a write more or less from run to run, so the last fuses may never blow.
    while not done.done() and not fuse.blown.is_set():
        await asyncio.wait([done], timeout=0.02)
    if fuse.blown.is_set():
        done.cancel()
        await asyncio.wait([done])
        await world.crash_operator()
        await world.start_operator()
        await _finish(world, check)
    else:
        await done


async def _finish(world: World, check: Callable[[World], Awaitable[None]]) -> None:
    await check(world)
    await world.operator.settled()


async def _uninterrupted(stack: LocalStack, scenario: str) -> tuple[dict[str, Any], int]:
    async with _fresh(stack) as world:
        fuse = Fuse()
        await _run(world, scenario, fuse)
        return await picture(world), len(fuse.writes)


async def _crashed(stack: LocalStack, scenario: str, fuse: Fuse) -> dict[str, Any]:
    async with _fresh(stack) as world:
        await _run(world, scenario, fuse)
        return await picture(world)


@pytest.mark.parametrize("after", [False, True], ids=["before_the_write", "after_the_write"])
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_crash_at_any_write_ends_in_the_same_state(stack: LocalStack, scenario: str, after: bool) -> None:
    expected, writes = await _uninterrupted(stack, scenario)
    together = asyncio.Semaphore(6)

    async def crash(at: int) -> None:
        async with together:
            fuse = Fuse(at, after=after)
            ended = await _crashed(stack, scenario, fuse)
            assert ended == expected, f"crashed at write {at} of {writes}: {fuse.writes}"

    await asyncio.gather(*(crash(at) for at in range(1, writes + 1)))


async def test_a_crash_at_every_write_in_turn_ends_in_the_same_state(stack: LocalStack) -> None:
    """The operator gets no further than one write at a time, and still gets there."""
    expected, _ = await _uninterrupted(stack, "create")
    async with _fresh(stack) as world:
        await _create(world)
        for _ in range(60):
            fuse = Fuse(1, after=True)
            await world.start_operator(fuse.put_into)
            await world.operator.settled_or(fuse.blown)
            if not fuse.blown.is_set():
                break
            await world.crash_operator()
        assert await picture(world) == expected


async def test_a_killed_process_goes_on_where_it_was(quiet_world: World) -> None:
    """The operator as it runs in a pod, ended by SIGKILL in the midst of its work."""
    world = quiet_world
    await world.start_process()
    await _prepare(world)
    await _create(world)
    await world.kill_process()
    await world.start_process()
    await _created(world)
    await world.kill_process()
    await _rotate(world)
    await world.start_process()
    await _rotated(world)
