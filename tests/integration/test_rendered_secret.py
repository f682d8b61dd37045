"""The rendered Secret: ours alone, whatever others do to it; and a Secret of others in its place is left alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.support.kube import Object, encoded
from tests.support.manifests import connection, deployment, sourced
from tests.support.waiting import eventually
from tests.support.world import World

pytestmark = pytest.mark.integration

DB = {"conn_type": "postgres", "host": "db"}
NAME = "local-connections"


async def _delivered(world: World) -> Object:
    await world.source("warehouse", password="s3cret")
    await world.apply(
        sourced("warehouse", sharing="LinkedToAll"), connection("aws", sharing="LinkedToAll"), deployment("local")
    )
    await world.receives("local", warehouse={**DB, "password": "s3cret"}, aws=DB)
    await world.operator.settled()
    secret = await world.secret("local")
    assert secret is not None
    return secret


async def _edit(world: World) -> None:
    await world.kube.patch("Secret", NAME, world.team, {"data": encoded({"AIRFLOW_CONN_AWS": "aws://evil"})})


async def _remove_a_key(world: World) -> None:
    await world.kube.patch("Secret", NAME, world.team, {"data": {"AIRFLOW_CONN_AWS": None}})


async def _add_a_key_by_another_manager(world: World) -> None:
    await world.kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": NAME, "namespace": world.team},
            "data": encoded({"AIRFLOW_CONN_PLANTED": "postgres://evil"}),
        },
        manager="somebody",
    )


async def _take_over_a_key_by_another_manager(world: World) -> None:
    await world.kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": NAME, "namespace": world.team},
            "data": encoded({"AIRFLOW_CONN_AWS": "postgres://evil"}),
        },
        manager="somebody",
    )


async def _remove_our_label(world: World) -> None:
    await world.kube.patch("Secret", NAME, world.team, {"metadata": {"labels": {"jetbridge.dev/rendered": None}}})


async def _remove_both_labels(world: World) -> None:
    labels = {"jetbridge.dev/rendered": None, "jetbridge.dev/source": None}
    await world.kube.patch("Secret", NAME, world.team, {"metadata": {"labels": labels}})


async def _remove_the_label_that_is_watched(world: World) -> None:
    await world.kube.patch("Secret", NAME, world.team, {"metadata": {"labels": {"jetbridge.dev/source": None}}})


async def _remove_the_annotation(world: World) -> None:
    await world.kube.patch("Secret", NAME, world.team, {"metadata": {"annotations": None}})


async def _garble_the_annotation(world: World) -> None:
    await world.kube.patch("Secret", NAME, world.team, {"metadata": {"annotations": {"jetbridge.dev/content": "{"}}})


async def _delete(world: World) -> None:
    await world.kube.delete("Secret", NAME, world.team)


async def _edit_and_make_immutable(world: World) -> None:
    change = {"immutable": True, "data": encoded({"AIRFLOW_CONN_AWS": "aws://evil"})}
    await world.kube.patch("Secret", NAME, world.team, change)


@pytest.mark.parametrize(
    "drift",
    [
        _edit,
        _remove_a_key,
        _add_a_key_by_another_manager,
        _take_over_a_key_by_another_manager,
        _remove_our_label,
        _remove_both_labels,
        _remove_the_label_that_is_watched,
        _remove_the_annotation,
        _garble_the_annotation,
        _delete,
        _edit_and_make_immutable,
    ],
    ids=lambda drift: drift.__name__.strip("_"),
)
async def test_drift_is_restored_at_once(world: World, drift: Callable[[World], Awaitable[None]]) -> None:
    before = await _delivered(world)
    await drift(world)

    async def check() -> None:
        now = await world.secret("local")
        assert now is not None, "it is gone"
        assert now.get("data") == before["data"]
        assert now["metadata"].get("labels") == before["metadata"]["labels"]
        content = now["metadata"].get("annotations", {}).get("jetbridge.dev/content", "")
        assert content.startswith('{"v":1,"entries":{"AIRFLOW_CONN_AWS":')
        assert [o["uid"] for o in now["metadata"]["ownerReferences"]] == [
            o["uid"] for o in before["metadata"]["ownerReferences"]
        ]

    await eventually(check, "the rendered Secret is as it was", limit=3.0)


async def test_an_immutable_secret_is_made_anew_when_its_content_changes(world: World) -> None:
    before = await _delivered(world)
    await world.kube.patch("Secret", NAME, world.team, {"immutable": True})
    await world.source("warehouse", password="r0tated")
    await world.receives("local", warehouse={**DB, "password": "r0tated"}, aws=DB)
    after = await world.secret("local")
    assert after is not None
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


async def test_annotations_and_labels_of_others_cause_no_write(world: World) -> None:
    await _delivered(world)
    calls = world.api_calls()
    metadata = {"annotations": {"argocd.argoproj.io/tracking-id": "x"}, "labels": {"seen-by": "a-scanner"}}
    await world.kube.patch("Secret", NAME, world.team, {"metadata": metadata})
    await world.operator.settled()
    assert calls.writes() == []


async def test_what_others_wrote_is_not_kept_in_a_later_write(world: World) -> None:
    await _delivered(world)
    await world.kube.patch("Secret", NAME, world.team, {"metadata": {"annotations": {"argocd.argoproj.io/x": "y"}}})
    await world.source("warehouse", password="r0tated")
    await world.receives("local", warehouse={**DB, "password": "r0tated"}, aws=DB)
    secret = await world.secret("local")
    assert secret is not None
    assert set(secret["metadata"]["annotations"]) == {"jetbridge.dev/content"}


async def test_a_foreign_secret_in_the_way_is_left_alone_and_the_delivery_follows_once_it_goes(world: World) -> None:
    foreign = await world.kube.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": NAME, "namespace": world.team},
            "data": encoded({"mine": "1"}),
        }
    )
    await world.apply(connection("aws", sharing="LinkedToAll"), deployment("local"))
    await world.says("AirflowDeployment", "local", "SecretNameTaken", mentions="secretName")
    await world.operator.settled()
    assert await world.secret("local") == foreign, "the foreign Secret was touched"
    await world.drop(NAME)
    await world.receives("local", aws=DB)
    await world.says("AirflowDeployment", "local", "Delivered")


async def test_a_secret_of_another_deployment_in_the_way_is_left_alone(world: World) -> None:
    await world.apply(connection("aws", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", aws=DB)
    second = deployment("second", secretName=NAME, format="URI")
    await world.apply(second)
    await world.says("AirflowDeployment", "second", "SecretNameTaken")
    await world.keeps("local", aws=DB)
