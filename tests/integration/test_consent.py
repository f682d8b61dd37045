"""Whose deployments may use a workspace: its own namespace's, and those that its Workspace admits."""

from __future__ import annotations

import json

import pytest

from tests.support.manifests import connection, deployment, link, sourced, workspace
from tests.support.world import World

pytestmark = pytest.mark.integration

DB = {"conn_type": "postgres", "host": "db"}


async def _share_with_prod(world: World) -> None:
    await world.source("warehouse", password="s3cret")
    await world.apply(
        sourced("warehouse"), connection("aws", sharing="LinkedToAll"), deployment("prod"), link("warehouse", "prod")
    )


async def _is_delivered(world: World) -> None:
    await world.receives("prod", warehouse={**DB, "password": "s3cret"}, aws=DB)


async def test_an_admitted_namespace_receives(world: World) -> None:
    await world.apply(workspace())
    await _share_with_prod(world)
    await _is_delivered(world)


async def test_without_a_workspace_other_namespaces_are_not_admitted(world: World) -> None:
    await _share_with_prod(world)
    await world.says("AirflowDeployment", "prod", "NotAdmitted")
    await world.says("ConnectionLink", "warehouse-prod", "NotAdmitted")
    await world.keeps("prod")


async def test_a_refused_deployment_learns_nothing_of_the_workspace(world: World) -> None:
    await world.apply(workspace(team="data"))
    await _share_with_prod(world)
    refused = await world.says("AirflowDeployment", "prod", "NotAdmitted")
    await world.operator.settled()
    for name in ("warehouse", "aws"):
        assert name not in json.dumps(refused), f"the refused deployment reads of {name}"
    assert "connections" not in refused
    assert "problems" not in refused


async def test_a_refusing_and_an_absent_workspace_give_the_same_answer(world: World) -> None:
    await world.apply(workspace(team="data"))
    await world.apply(deployment("prod"), deployment("staging", "prod"))
    refused = await world.says("AirflowDeployment", "prod", "NotAdmitted")
    absent = await world.says("AirflowDeployment", "staging", "NotAdmitted")

    def said(status: dict[str, list[dict[str, str]]]) -> str:
        text = status["conditions"][0]["message"]
        for namespace in sorted(world.namespaces):
            text = text.replace(namespace, "…")
        return text

    assert said(refused) == said(absent)


async def test_consent_given_later_delivers(world: World) -> None:
    await _share_with_prod(world)
    await world.says("AirflowDeployment", "prod", "NotAdmitted")
    await world.apply(workspace())
    await _is_delivered(world)
    await world.says("ConnectionLink", "warehouse-prod", "Delivered")


async def test_an_admitted_deployment_of_an_empty_workspace_is_fine(world: World) -> None:
    await world.apply(workspace(), deployment("prod"))
    await world.says("AirflowDeployment", "prod", "Delivered")


async def test_consent_withdrawn_by_an_edit_takes_everything_out(world: World) -> None:
    await world.apply(workspace())
    await _share_with_prod(world)
    await _is_delivered(world)
    await world.apply(workspace(team="data"))
    await world.receives("prod")
    await world.says("ConnectionLink", "warehouse-prod", "NotAdmitted")


async def test_consent_withdrawn_by_deleting_the_workspace_takes_everything_out(world: World) -> None:
    await world.apply(workspace())
    await _share_with_prod(world)
    await _is_delivered(world)
    await world.delete("Workspace", "default")
    await world.receives("prod")
    await world.says("AirflowDeployment", "prod", "NotAdmitted")


async def test_consent_follows_the_labels_of_the_namespace(world: World) -> None:
    await world.label_namespace("prod", team="data")
    await world.apply(workspace(team="data"))
    await _share_with_prod(world)
    await _is_delivered(world)
    await world.label_namespace("prod", team=None)
    await world.receives("prod")
    await world.says("AirflowDeployment", "prod", "NotAdmitted")
    await world.label_namespace("prod", team="data")
    await _is_delivered(world)


async def test_the_own_namespace_needs_no_consent(world: World) -> None:
    await world.apply(workspace(team="nobody"), connection("aws", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", aws=DB)


async def test_a_workspace_counts_the_deployments_that_use_it(world: World) -> None:
    await world.apply(workspace(), deployment("prod"), deployment("staging"), deployment("local"))
    await world.operator.settled()
    status = await world.says("Workspace", "default", "Accepted")
    assert status["deployments"] == 2
