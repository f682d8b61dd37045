"""What goes when an object goes, and in which order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jetbridge.shell.cluster import ApiUnavailable
from tests.support.faults import Obstacle
from tests.support.manifests import connection, deployment, link, sourced, workspace
from tests.support.waiting import eventually
from tests.support.world import World

pytestmark = pytest.mark.integration

DB = {"conn_type": "postgres", "host": "db"}
GOOD: dict[str, Any] = {"warehouse": {**DB, "password": "s3cret"}}


async def _delivered(world: World) -> None:
    await world.source("warehouse", password="s3cret")
    await world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", **GOOD)


async def test_a_deleted_connection_is_withdrawn_its_entry_deleted_and_the_object_let_go(world: World) -> None:
    await _delivered(world)
    await world.source("warehouse", password="r0tated")
    await world.stored("warehouse", {"password": "r0tated"}, version=2)
    await world.delete("Connection", "warehouse")
    await world.receives("local")
    await world.gone("Connection", "warehouse")
    entry = await world.entry("warehouse")
    assert entry is not None, "the entry can still be brought back"
    assert (entry.content, entry.deleted, entry.destroyed) == (None, (1, 2), ())


async def test_a_deleted_connection_is_withdrawn_before_anything_else(quiet_world: World) -> None:
    """With Vault sealed nothing can be done there: the withdrawal does not wait, the object does."""
    world = quiet_world
    await world.start_operator()
    await _delivered(world)
    async with world.vault_sealed():
        await world.delete("Connection", "warehouse")
        await world.receives("local")
        await world.operator.settled()
        assert await world.kube.get("Connection", "warehouse", world.team) is not None
    await world.gone("Connection", "warehouse", limit=20)
    await world.stored("warehouse", None, version=1)


async def test_an_entry_is_kept_until_the_secret_that_holds_its_value_is_written(quiet_world: World) -> None:
    world, obstacle = quiet_world, Obstacle("replace_secret", ApiUnavailable("for the test"))
    await world.start_operator(obstacle.put_into)
    await _delivered(world)
    obstacle.there = True
    await world.delete("Connection", "warehouse")
    await world.says("AirflowDeployment", "local", "ApiUnavailable")
    await world.operator.settled()
    assert await world.kube.get("Connection", "warehouse", world.team) is not None
    await world.stored("warehouse", {"password": "s3cret"}, version=1)
    obstacle.there = False
    await world.receives("local")
    await world.gone("Connection", "warehouse")
    await world.stored("warehouse", None, version=1)


async def test_a_deletion_stops_waiting_for_vault_after_the_finalizer_timeout(quiet_world: World) -> None:
    world = quiet_world
    await world.start_operator(finalizer_timeout=1)
    await _delivered(world)
    async with world.vault_sealed():
        await world.delete("Connection", "warehouse")
        await world.receives("local", limit=2)
        await world.gone("Connection", "warehouse", limit=5)

        async def told() -> None:
            events = await world.kube.list("Event", world.team)
            assert "EntryLeftInVault" in [e["reason"] for e in events]

        await eventually(told, "an event says that the entry stays")
    await world.stored("warehouse", {"password": "s3cret"}, version=1)


async def test_a_deleted_link_is_withdrawn_and_its_entry_deleted(world: World) -> None:
    await world.source("override", password="s3cret")
    await world.apply(
        connection("warehouse"), deployment("local"), link("warehouse", "local", secretRef={"name": "override"})
    )
    await world.receives("local", **GOOD)
    await world.delete("ConnectionLink", "warehouse-local")
    await world.receives("local")
    await world.gone("ConnectionLink", "warehouse-local")
    await world.stored("warehouse-local", None, version=1, collection="links")


async def test_a_deleted_link_leaves_what_linked_to_all_gives(world: World) -> None:
    await world.apply(
        connection("warehouse", sharing="LinkedToAll"), deployment("local"), link("warehouse", "local", host="override")
    )
    await world.receives("local", warehouse={**DB, "host": "override"})
    await world.delete("ConnectionLink", "warehouse-local")
    await world.receives("local", warehouse=DB)


async def test_a_deleted_deployment_takes_its_secret_with_it(world: World) -> None:
    await _delivered(world)
    await world.delete("AirflowDeployment", "local")
    await world.gone("AirflowDeployment", "local")
    await world.vanished("Secret", "local-connections", world.team)
    await world.stored("warehouse", {"password": "s3cret"}, version=1)


async def test_a_link_to_a_deleted_deployment_says_so(world: World) -> None:
    await world.apply(connection("warehouse"), deployment("local"), link("warehouse", "local"))
    await world.receives("local", warehouse=DB)
    await world.delete("AirflowDeployment", "local")
    await world.says("ConnectionLink", "warehouse-local", "DeploymentNotFound")


async def test_a_link_to_a_deleted_connection_says_so(world: World) -> None:
    await world.apply(connection("warehouse"), deployment("local"), link("warehouse", "local"))
    await world.receives("local", warehouse=DB)
    await world.delete("Connection", "warehouse")
    await world.says("ConnectionLink", "warehouse-local", "ConnectionNotFound")
    await world.receives("local")


async def test_a_deployment_made_again_gets_its_secret_anew(world: World) -> None:
    await _delivered(world)
    before = await world.secret("local")
    await world.delete("AirflowDeployment", "local")
    await world.apply(deployment("local"))
    made = await world.kube.get("AirflowDeployment", "local", world.team)
    assert before is not None
    assert made is not None

    async def check() -> None:
        secret = await world.secret("local")
        assert secret is not None, "there is no Secret"
        assert secret["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]

    await eventually(check, "the Secret belongs to the new deployment")
    await world.receives("local", **GOOD)


async def test_a_connection_without_an_entry_goes_at_once(world: World) -> None:
    await world.apply(connection("plain", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", plain=DB)
    await world.delete("Connection", "plain")
    await world.gone("Connection", "plain")
    await world.receives("local")


async def test_a_connection_that_nobody_uses_goes_at_once(world: World) -> None:
    await world.source("warehouse", password="s3cret")
    await world.apply(sourced("warehouse"))
    await world.stored("warehouse", {"password": "s3cret"}, version=1)
    await world.says("Connection", "warehouse", "Stored")
    await world.delete("Connection", "warehouse")
    await world.gone("Connection", "warehouse")
    await world.stored("warehouse", None, version=1)


async def test_everything_deleted_at_once_goes(world: World) -> None:
    await world.source("warehouse", password="s3cret")
    await world.apply(
        workspace(),
        sourced("warehouse"),
        deployment("prod"),
        link("warehouse", "prod", secretRef={"name": "warehouse"}),
    )
    await world.receives("prod", **GOOD)
    await asyncio.gather(
        world.delete("Connection", "warehouse"),
        world.delete("ConnectionLink", "warehouse-prod"),
        world.delete("AirflowDeployment", "prod"),
        world.delete("Workspace", "default"),
        world.drop("warehouse"),
    )
    await world.gone("Connection", "warehouse")
    await world.gone("ConnectionLink", "warehouse-prod")
    await world.gone("AirflowDeployment", "prod")
    await world.vanished("Secret", "prod-connections", world.prod)
    await world.stored("warehouse", None, version=1)
    await world.stored("warehouse-prod", None, version=1, collection="links")
