"""Source Secrets: which are taken, and what becomes of a value when its source changes or goes."""

from __future__ import annotations

import pytest

from tests.support.kube import encoded
from tests.support.manifests import connection, deployment, link, sourced
from tests.support.world import SOURCE, World

pytestmark = pytest.mark.integration

DB = {"conn_type": "postgres", "host": "db"}


async def _delivered(world: World) -> None:
    await world.source("warehouse", password="s3cret")
    await world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", warehouse={**DB, "password": "s3cret"})


async def test_a_rotated_source_makes_a_new_version_and_touches_nothing_else(world: World) -> None:
    await world.source("other", password="other")
    await world.apply(sourced("other", sharing="LinkedToAll"))
    await world.source("warehouse", password="s3cret")
    await world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", warehouse={**DB, "password": "s3cret"}, other={**DB, "password": "other"})
    before = await world.raw("local")
    await world.source("warehouse", password="r0tated")
    await world.receives("local", warehouse={**DB, "password": "r0tated"}, other={**DB, "password": "other"})
    after = await world.raw("local")
    assert after["AIRFLOW_CONN_OTHER"] == before["AIRFLOW_CONN_OTHER"]
    await world.stored("warehouse", {"password": "r0tated"}, version=2)
    await world.stored("other", {"password": "other"}, version=1)


async def test_a_source_rewritten_with_the_same_values_makes_no_new_version(world: World) -> None:
    await _delivered(world)
    await world.kube.patch("Secret", "warehouse", world.team, {"metadata": {"annotations": {"touched": "yes"}}})
    await world.operator.settled()
    await world.stored("warehouse", {"password": "s3cret"}, version=1)


async def test_a_source_made_after_its_connection_is_taken_in(world: World) -> None:
    await world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"))
    await world.says("Connection", "warehouse", "SourceMissing", mentions="kubectl label --overwrite secret warehouse")
    await world.source("warehouse", password="s3cret")
    await world.receives("local", warehouse={**DB, "password": "s3cret"})


async def test_the_value_of_a_deleted_source_stays(world: World) -> None:
    await _delivered(world)
    await world.drop("warehouse")
    await world.says("Connection", "warehouse", "SourceGoneKept", about="Stored")
    await world.keeps("local", warehouse={**DB, "password": "s3cret"})


async def test_a_plain_field_changed_after_the_source_went_is_joined_with_what_vault_holds(world: World) -> None:
    await _delivered(world)
    await world.drop("warehouse")
    await world.says("Connection", "warehouse", "SourceGoneKept", about="Stored")
    await world.apply(sourced("warehouse", sharing="LinkedToAll", host="new.db"))
    await world.receives("local", warehouse={**DB, "host": "new.db", "password": "s3cret"})


async def test_a_deployment_made_after_the_source_went_receives_from_vault(world: World) -> None:
    await world.source("warehouse", password="s3cret")
    await world.apply(sourced("warehouse", sharing="LinkedToAll"))
    await world.says("Connection", "warehouse", "Stored")
    await world.drop("warehouse")
    await world.says("Connection", "warehouse", "SourceGoneKept", about="Stored")
    await world.apply(deployment("local"))
    await world.receives("local", warehouse={**DB, "password": "s3cret"})


async def test_a_source_made_again_with_another_value_overwrites(world: World) -> None:
    await _delivered(world)
    await world.drop("warehouse")
    await world.says("Connection", "warehouse", "SourceGoneKept", about="Stored")
    await world.source("warehouse", password="n3w")
    await world.receives("local", warehouse={**DB, "password": "n3w"})
    await world.stored("warehouse", {"password": "n3w"}, version=2)


async def test_a_source_without_its_label_is_as_good_as_gone(world: World) -> None:
    await _delivered(world)
    await world.kube.patch("Secret", "warehouse", world.team, {"metadata": {"labels": {"jetbridge.dev/source": None}}})
    await world.says("Connection", "warehouse", "SourceGoneKept", about="Stored")
    await world.keeps("local", warehouse={**DB, "password": "s3cret"})


async def test_a_source_labelled_false_is_as_good_as_gone(world: World) -> None:
    await _delivered(world)
    await world.kube.patch(
        "Secret", "warehouse", world.team, {"metadata": {"labels": {"jetbridge.dev/source": "false"}}}
    )
    await world.says("Connection", "warehouse", "SourceGoneKept", about="Stored")
    await world.keeps("local", warehouse={**DB, "password": "s3cret"})


async def test_an_unlabelled_secret_gives_nothing(world: World) -> None:
    await world.kube.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "warehouse", "namespace": world.team},
            "data": encoded({"password": "s3cret"}),
        }
    )
    await world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"))
    await world.says("Connection", "warehouse", "SourceMissing")
    await world.keeps("local")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("kubernetes.io/basic-auth", {"username": "etl", "password": "s3cret"}),
        ("kubernetes.io/ssh-auth", {"ssh-privatekey": "key", "password": "s3cret", "login": "etl"}),
    ],
)
async def test_typed_secrets_are_taken(world: World, kind: str, data: dict[str, str]) -> None:
    await world.source("warehouse", kind=kind, **data)
    await world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", warehouse={**DB, "login": "etl", "password": "s3cret"})


async def test_a_secret_of_another_type_is_refused(world: World) -> None:
    await world.source("warehouse", kind="example.com/anything", password="s3cret")
    await world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"))
    await world.says("Connection", "warehouse", "SourceRefused", mentions="example.com/anything")
    await world.keeps("local")


async def test_the_token_of_a_service_account_is_refused(world: World) -> None:
    await world.kube.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/service-account-token",
            "metadata": {
                "name": "token",
                "namespace": world.team,
                "labels": SOURCE,
                "annotations": {"kubernetes.io/service-account.name": "default"},
            },
            "data": encoded({"token": "ey…"}),
        }
    )
    field = {"field": "password", "secretKeyRef": {"name": "token", "key": "token"}}
    await world.apply(connection("thief", sharing="LinkedToAll", fieldsFrom=[field]), deployment("local"))
    await world.says("Connection", "thief", "SourceRefused")
    await world.keeps("local")


async def test_a_rendered_secret_is_no_source(world: World) -> None:
    await _delivered(world)
    field = {"field": "password", "secretKeyRef": {"name": "local-connections", "key": "AIRFLOW_CONN_WAREHOUSE"}}
    await world.apply(connection("thief", fieldsFrom=[field]), link("thief", "local"))
    await world.says("Connection", "thief", "SourceRefused", mentions="rendered by Jetbridge")
    await world.keeps("local", warehouse={**DB, "password": "s3cret"})


async def test_a_rendered_secret_that_somebody_labelled_as_a_source_is_none(world: World) -> None:
    await _delivered(world)
    await world.kube.patch("Secret", "local-connections", world.team, {"metadata": {"labels": SOURCE}})
    field = {"field": "password", "secretKeyRef": {"name": "local-connections", "key": "AIRFLOW_CONN_WAREHOUSE"}}
    await world.apply(connection("thief", fieldsFrom=[field]), link("thief", "local"))
    await world.says("Connection", "thief", "SourceRefused")


async def test_sources_named_no_more_leave_no_entry(world: World) -> None:
    await _delivered(world)
    await world.stored("warehouse", {"password": "s3cret"}, version=1)
    plain = connection("warehouse", sharing="LinkedToAll")
    await world.apply(plain)
    await world.receives("local", warehouse=DB)
    await world.stored("warehouse", None, version=1)


async def test_another_source_named_replaces_the_value(world: World) -> None:
    await _delivered(world)
    await world.source("second", password="2nd")
    await world.apply(connection("warehouse", sharing="LinkedToAll", secretRef={"name": "second"}))
    await world.receives("local", warehouse={**DB, "password": "2nd"})
    await world.stored("warehouse", {"password": "2nd"}, version=2)


async def test_another_source_that_is_not_there_never_gets_the_old_value(world: World) -> None:
    """The stored value belongs to the references that it was taken from; the last good entry stays whole."""
    await _delivered(world)
    await world.apply(connection("warehouse", sharing="LinkedToAll", host="new.db", secretRef={"name": "absent"}))
    await world.says("Connection", "warehouse", "SourceMissing")
    await world.keeps("local", warehouse={**DB, "password": "s3cret"})
