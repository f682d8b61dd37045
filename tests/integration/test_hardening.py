"""What one workspace writes harms no other: objects that can hardly be read, values that Vault refuses, forged Secrets, and a
`secretName` that is taken."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.support.kube import Object, encoded
from tests.support.manifests import connection, deployment, link, sourced, workspace
from tests.support.waiting import eventually
from tests.support.world import ENV, World

pytestmark = pytest.mark.integration

DB = {"conn_type": "postgres", "host": "db"}
QUICK_SECONDS = 3.0
DEEP = 2_000
MANY_NUMBERS = 10_500  # Vault takes lists of 10,000


async def _create_unvalidated(world: World, name: str, spec: str) -> None:
    """Creates a Connection of the workspace from JSON text, with nothing between it and the API server."""
    meta = json.dumps({"name": name, "namespace": world.team})
    text = f'{{"apiVersion":"jetbridge.dev/v1alpha1","kind":"Connection","metadata":{meta},"spec":{spec}}}'
    await asyncio.to_thread(world.stack.kubectl, "create", "--validate=false", "-f", "-", stdin=text)


async def _vault_up(world: World) -> None:
    _, text = await asyncio.to_thread(world.operator.get, "/metrics")
    assert "jetbridge_vault_up 1.0" in text


# Objects that can hardly be read


def _deep(levels: int, sharing: str = "LinkedToAll") -> str:
    nested = '{"a":' * levels + "1" + "}" * levels
    return f'{{"type":"x","sharing":"{sharing}","extra":{nested}}}'


@pytest.mark.parametrize("sharing", ["LinkedToAll", "Restricted"])
async def test_a_connection_nested_thousands_deep_harms_nobody(world: World, sharing: str) -> None:
    await world.source("warehouse", password="s3cret")
    await world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"), link("deep", "local"))
    await world.receives("local", warehouse={**DB, "password": "s3cret"})
    await _create_unvalidated(world, "deep", _deep(DEEP, sharing))
    await world.says("Connection", "deep", "InvalidSpec")
    await world.says("AirflowDeployment", "local", "InvalidSpec")
    await world.source("warehouse", password="r0tated")
    await world.apply(connection("plain", sharing="LinkedToAll"))
    await world.receives("local", warehouse={**DB, "password": "r0tated"}, plain=DB)
    assert (await asyncio.to_thread(world.operator.get, "/healthz"))[0] == 200
    assert world.operator.running


async def test_a_connection_nested_deeper_than_airflow_takes_says_so(world: World) -> None:
    await world.apply(connection("plain", sharing="LinkedToAll"), deployment("local"))
    await _create_unvalidated(world, "deep", _deep(100))
    status = await world.says("AirflowDeployment", "local", "NotRepresentable", mentions="nested deeper")
    assert [p["id"] for p in status["problems"]] == ["deep"]
    await world.keeps("local", plain=DB)


async def test_an_operator_starts_beside_a_connection_nested_thousands_deep(quiet_world: World) -> None:
    """The listing holds it, and everything after it in the listing counts."""
    world = quiet_world
    await _create_unvalidated(world, "a-deep-one", _deep(DEEP))
    await world.source("warehouse", password="s3cret")
    await world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"))
    await world.start_operator()
    await world.receives("local", warehouse={**DB, "password": "s3cret"})


async def test_a_connection_nested_thousands_deep_can_be_mended_and_deleted(world: World) -> None:
    await world.apply(deployment("local"))
    await _create_unvalidated(world, "deep", _deep(DEEP))
    await world.apply(connection("marker", sharing="LinkedToAll"))
    await world.receives("local", marker=DB)
    await world.patch("Connection", "deep", spec={"extra": {"a": 1}})
    await world.receives("local", marker=DB, deep={"conn_type": "x", "extra": {"a": 1}})
    await world.delete("Connection", "deep")
    await world.receives("local", marker=DB)


# A value that Vault refuses


async def test_a_value_that_vault_refuses_concerns_nobody_else(world: World) -> None:
    await world.source("warehouse", password="s3cret")
    await world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", warehouse={**DB, "password": "s3cret"})
    await world.source("odd", extra=json.dumps({"numbers": [1] * MANY_NUMBERS}))
    await world.apply(sourced("odd", sharing="LinkedToAll"))
    status = await world.says("Connection", "odd", "VaultRefused")
    assert status["delivered"] == "0/1"
    await world.says("AirflowDeployment", "local", "VaultRefused")
    await _vault_up(world)
    for password in ("r0tated", "r0tated-again"):
        await world.source("warehouse", password=password)
        await world.receives("local", warehouse={**DB, "password": password}, limit=QUICK_SECONDS)
        await _vault_up(world)
    await world.stored("warehouse", {"password": "r0tated-again"}, version=3)


async def test_a_value_that_vault_refused_arrives_once_it_is_mended(world: World) -> None:
    await world.source("odd", extra=json.dumps({"numbers": [1] * MANY_NUMBERS}))
    await world.apply(sourced("odd", sharing="LinkedToAll"), deployment("local"))
    await world.says("Connection", "odd", "VaultRefused")
    await world.source("odd", extra=json.dumps({"numbers": [1, 2]}))
    await world.receives("local", odd={**DB, "extra": {"numbers": [1, 2]}})
    await world.says("Connection", "odd", "Stored")
    await world.says("AirflowDeployment", "local", "Delivered")


# The older Secret of a deployment whose new name is taken


async def test_a_withdrawal_leaves_the_older_secret_though_the_new_name_is_taken(world: World) -> None:
    await world.source("goes", password="s3cret")
    await world.apply(
        sourced("goes", sharing="LinkedToAll"), connection("stays", sharing="LinkedToAll"), deployment("local")
    )
    await world.receives("local", goes={**DB, "password": "s3cret"}, stays=DB)
    foreign = await world.kube.create(_secret(world, "taken", {"mine": "1"}))
    await world.apply(deployment("local", secretName="taken"))
    await world.says("AirflowDeployment", "local", "SecretNameTaken")
    assert (await world.connections("local", "local-connections")).keys() == {"goes", "stays"}
    await world.delete("Connection", "goes")
    await world.receives("local", "local-connections", stays=DB)
    await world.operator.settled()
    assert await world.kube.get("Secret", "taken", world.team) == foreign, "the foreign Secret was touched"
    await world.drop("taken")
    await world.gone("Connection", "goes")
    await world.receives("local", "taken", limit=30.0, stays=DB)
    await world.vanished("Secret", "local-connections", world.team)


async def test_consent_withdrawn_empties_the_older_secret_though_the_new_name_is_taken(world: World) -> None:
    await world.apply(workspace(), connection("aws", sharing="LinkedToAll"), deployment("prod"))
    await world.receives("prod", aws=DB)
    await world.kube.create(_secret(world, "taken", {"mine": "1"}, namespace=world.prod))
    await world.apply(deployment("prod", secretName="taken"))
    await world.says("AirflowDeployment", "prod", "SecretNameTaken")
    await world.delete("Workspace", "default")
    await world.receives("prod", "prod-connections")


# Forged Secrets


def _secret(world: World, name: str, data: dict[str, str], **metadata: Any) -> Object:
    meta = {"name": name, "namespace": world.team, **metadata}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": encoded(data)}


def _forged(world: World, name: str, owner: str, uid: str, **annotations: str) -> Object:
    """A Secret that looks like one of ours: labels, owner, and perhaps an annotation."""
    reference = {"apiVersion": "jetbridge.dev/v1alpha1", "kind": "AirflowDeployment", "name": owner, "uid": uid}
    return _secret(
        world,
        name,
        {f"{ENV}WAREHOUSE": "mine"},
        labels={"jetbridge.dev/rendered": "true", "jetbridge.dev/source": "false"},
        annotations=annotations,
        ownerReferences=[reference],
    )


async def test_a_labelled_secret_of_a_deployment_that_does_not_exist_stays(world: World) -> None:
    forged = await world.kube.create(_forged(world, "forged", "nobody", "00000000-0000-0000-0000-000000000000"))
    await world.apply(connection("aws", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", aws=DB)
    await world.operator.settled()
    assert await world.kube.get("Secret", "forged", world.team) == forged
    await world.stop_operator()
    await world.start_operator()
    await world.operator.settled()
    assert await world.kube.get("Secret", "forged", world.team) == forged


async def test_a_secret_forged_from_a_real_one_outlives_rename_withdrawal_and_deletion(world: World) -> None:
    """Owner, labels and annotation are copied from the real one; only the value is another."""
    await world.source("warehouse", password="s3cret")
    await world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", warehouse={**DB, "password": "s3cret"})
    real = await world.secret("local")
    assert real is not None
    uid = real["metadata"]["ownerReferences"][0]["uid"]
    forged = await world.kube.create(_forged(world, "forged", "local", uid, **real["metadata"]["annotations"]))
    await world.apply(deployment("local", secretName="renamed"))
    await world.receives("local", "renamed", warehouse={**DB, "password": "s3cret"})
    await world.vanished("Secret", "local-connections", world.team)
    await world.delete("Connection", "warehouse")
    await world.receives("local", "renamed")
    await world.delete("AirflowDeployment", "local")
    await world.vanished("Secret", "renamed", world.team)
    await world.operator.settled()
    assert await world.kube.get("Secret", "forged", world.team) == forged


@pytest.mark.parametrize("part", range(5), ids=["workspace", "identity", "recipe", "value", "since"])
async def test_a_forged_part_of_the_annotation_is_restored(world: World, part: int) -> None:
    await world.source("warehouse", password="s3cret")
    await world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", warehouse={**DB, "password": "s3cret"})
    await world.operator.settled()
    before = await _record(world)
    key_id = before[3].partition(":")[0]
    forged = f"{key_id}:{'A' * 22}" if part == 3 else "forged"
    records = {f"{ENV}WAREHOUSE": [forged if n == part else text for n, text in enumerate(before)]}
    text = json.dumps({"v": 1, "entries": records})
    change = {"metadata": {"annotations": {"jetbridge.dev/content": text}}}
    await world.kube.patch("Secret", "local-connections", world.team, change)

    async def check() -> None:
        now = await _record(world)
        assert forged not in now
        assert now[:3] == before[:3]

    await eventually(check, "the annotation is restored", QUICK_SECONDS)
    await world.keeps("local", warehouse={**DB, "password": "s3cret"})


async def _record(world: World) -> list[str]:
    """What the annotation says of the connection: workspace, identity, recipe, value, since."""
    secret = await world.secret("local")
    assert secret is not None
    content = json.loads(secret["metadata"]["annotations"]["jetbridge.dev/content"])
    record: list[str] = content["entries"][f"{ENV}WAREHOUSE"]
    return record
