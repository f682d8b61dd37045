"""Vault or the API server away: what is delivered stays, withdrawals are done, and work resumes by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dev.vaultserver import AUTH_MOUNT
from tests.support.manifests import connection, deployment, link, sourced, workspace
from tests.support.waiting import eventually
from tests.support.world import World

pytestmark = pytest.mark.integration

DB = {"conn_type": "postgres", "host": "db"}
GOOD: dict[str, Any] = {"warehouse": {**DB, "password": "s3cret"}}
RESUME_SECONDS = 15.0


async def _delivered(world: World) -> None:
    await world.source("warehouse", password="s3cret")
    await world.apply(workspace(), sourced("warehouse", sharing="LinkedToAll"), deployment("local"), deployment("prod"))
    await world.receives("local", **GOOD)
    await world.receives("prod", **GOOD)


async def test_while_vault_is_sealed_plain_fields_arrive_and_new_material_waits(world: World) -> None:
    await _delivered(world)
    async with world.vault_sealed():
        await world.apply(sourced("warehouse", sharing="LinkedToAll", host="new.db"))
        await world.receives("local", warehouse={**DB, "host": "new.db", "password": "s3cret"})
        await world.source("warehouse", password="r0tated")
        await world.says("Connection", "warehouse", "VaultUnavailable")
        await world.keeps("local", warehouse={**DB, "host": "new.db", "password": "s3cret"})
    await world.receives("local", limit=RESUME_SECONDS, warehouse={**DB, "host": "new.db", "password": "r0tated"})
    await world.says("Connection", "warehouse", "Stored")
    await world.stored("warehouse", {"password": "r0tated"}, version=2)


async def test_while_vault_is_sealed_withdrawals_are_done(world: World) -> None:
    await _delivered(world)
    async with world.vault_sealed():
        await world.delete("Workspace", "default")
        await world.receives("prod")
        await world.keeps("local", **GOOD)
        await world.apply(sourced("warehouse"))
        await world.receives("local")


async def test_a_new_connection_waits_for_vault_and_holds_up_no_other(world: World) -> None:
    await _delivered(world)
    async with world.vault_sealed():
        await world.source("lake", password="l")
        await world.apply(sourced("lake", sharing="LinkedToAll"), connection("plain", sharing="LinkedToAll"))
        await world.receives("local", **GOOD, plain=DB)
        await world.says("Connection", "lake", "VaultUnavailable")
    await world.receives("local", **GOOD, plain=DB, lake={**DB, "password": "l"}, limit=RESUME_SECONDS)


async def test_a_new_deployment_has_its_secret_while_vault_is_sealed(world: World) -> None:
    """A missing one would block pods."""
    await world.source("lake", password="l")
    async with world.vault_sealed():
        await world.apply(sourced("lake", sharing="LinkedToAll"), deployment("local"))
        await world.receives("local")
    await world.receives("local", lake={**DB, "password": "l"}, limit=RESUME_SECONDS)


async def test_an_operator_that_starts_while_vault_is_sealed_keeps_withdraws_and_resumes(quiet_world: World) -> None:
    world = quiet_world
    await world.start_operator()
    await _delivered(world)
    await world.operator.settled()
    await world.stop_operator()
    await world.delete("Workspace", "default")
    await world.apply(connection("plain", sharing="LinkedToAll"))
    async with world.vault_sealed():
        await world.start_operator()
        await world.receives("prod")
        await world.keeps("local", **GOOD)
    await world.receives("local", **GOOD, plain=DB, limit=RESUME_SECONDS)


async def test_a_stopped_vault_that_comes_back_is_used_again(world: World) -> None:
    await _delivered(world)
    await asyncio.to_thread(world.stack.stop_vault)
    try:
        await world.source("warehouse", password="r0tated")
        await world.says("Connection", "warehouse", "VaultUnavailable")
        await world.keeps("local", **GOOD)
    finally:
        await asyncio.to_thread(world.stack.start_vault)
    await world.receives("local", warehouse={**DB, "password": "r0tated"}, limit=RESUME_SECONDS)


async def test_a_revoked_token_is_replaced_by_a_new_login(world: World) -> None:
    await _delivered(world)
    calls = world.vault_calls()
    await world.vault.call("PUT", f"sys/leases/revoke-prefix/auth/{AUTH_MOUNT}")
    await world.source("warehouse", password="r0tated")
    await world.receives("local", warehouse={**DB, "password": "r0tated"}, limit=RESUME_SECONDS)
    logins = [call for call in calls.since() if call.endswith("/login")]
    assert len(logins) == 1, f"one single new login: {logins}"


async def test_an_api_server_that_was_away_is_used_again_and_nothing_is_withdrawn(world: World) -> None:
    await _delivered(world)
    await world.operator.settled()
    calls = world.api_calls()
    await world.api_server_restarted()
    await world.apply(connection("marker"))
    await world.says("Connection", "marker", "Accepted", limit=RESUME_SECONDS)
    await world.operator.settled()
    others = [write for write in calls.writes() if "marker" not in write and write != "create events"]
    assert others == [], "the API server was away, and for that alone something was written"
    await world.source("warehouse", password="r0tated")
    await world.receives("local", warehouse={**DB, "password": "r0tated"}, limit=RESUME_SECONDS)


async def test_metrics_and_probes_tell_of_an_outage(world: World) -> None:
    await _delivered(world)
    async with world.vault_sealed():
        await world.source("warehouse", password="r0tated")
        await world.says("Connection", "warehouse", "VaultUnavailable")
        _, text = await asyncio.to_thread(world.operator.get, "/metrics")
        assert "jetbridge_vault_up 0.0" in text
        assert (await asyncio.to_thread(world.operator.get, "/readyz"))[0] == 200, "it still works on what it can"
        assert (await asyncio.to_thread(world.operator.get, "/healthz"))[0] == 200

    async def up() -> None:
        _, text = await asyncio.to_thread(world.operator.get, "/metrics")
        assert "jetbridge_vault_up 1.0" in text

    await eventually(up, "the metric says that Vault is back", RESUME_SECONDS)


async def test_a_lost_policy_is_told_and_nothing_is_lost(world: World) -> None:
    await world.apply(link("lake", "local"), deployment("local"))
    await _delivered(world)
    policy = (await world.vault.call("GET", "sys/policies/acl/jetbridge"))["data"]["policy"]
    await world.vault.call(
        "PUT", "sys/policies/acl/jetbridge", {"policy": 'path "nothing" { capabilities = ["read"] }'}
    )
    try:
        await world.source("warehouse", password="r0tated")
        await world.says("Connection", "warehouse", "VaultDenied")
        await world.keeps("local", **GOOD)
    finally:
        await world.vault.call("PUT", "sys/policies/acl/jetbridge", {"policy": policy})
    await world.receives("local", warehouse={**DB, "password": "r0tated"}, limit=RESUME_SECONDS)
