"""Entries in Vault: the table of the design (section 3), and entries of others, which are never touched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.support.manifests import connection, deployment, link, sourced
from tests.support.world import World

pytestmark = pytest.mark.integration

DB = {"conn_type": "postgres", "host": "db"}
GOOD: dict[str, Any] = {"warehouse": {**DB, "password": "s3cret"}}
Meddle = Callable[[World], Awaitable[None]]


@pytest.fixture
async def world(quiet_world: World) -> World:
    """A world whose operator looks at every entry each second, with one connection delivered."""
    await quiet_world.start_operator(vault_check_interval=1)
    await quiet_world.source("warehouse", password="s3cret")
    await quiet_world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"))
    await quiet_world.receives("local", **GOOD)
    return quiet_world


async def _edit(world: World) -> None:
    await world.vault.put(world.path("warehouse"), password="edited")


async def _soft_delete(world: World) -> None:
    await world.vault.soft_delete(world.path("warehouse"))


async def _destroy(world: World) -> None:
    await world.vault.destroy(world.path("warehouse"), 1)


async def _forget(world: World) -> None:
    await world.vault.forget(world.path("warehouse"))


def named(meddle: Meddle) -> str:
    """The id of a case."""
    return meddle.__name__.strip("_")


@pytest.mark.parametrize(
    ("meddle", "version"),
    [(_edit, 3), (_soft_delete, 2), (_destroy, 2), (_forget, 1)],
    ids=["edited", "soft_deleted", "destroyed", "metadata_deleted"],
)
async def test_with_its_source_there_an_entry_is_put_again(world: World, meddle: Meddle, version: int) -> None:
    before = await world.entry("warehouse")
    assert before is not None
    await meddle(world)
    await world.stored("warehouse", {"password": "s3cret"}, version=version)
    entry = await world.entry("warehouse")
    assert entry is not None
    assert entry.custom_metadata == before.custom_metadata
    await world.keeps("local", **GOOD)


@pytest.mark.parametrize(
    ("meddle", "reason"),
    [(_edit, "StoredValueChanged"), (_soft_delete, "SourceLost"), (_destroy, "SourceLost"), (_forget, "SourceLost")],
    ids=["edited", "soft_deleted", "destroyed", "metadata_deleted"],
)
async def test_with_its_source_gone_a_changed_entry_is_told_and_the_last_good_stays(
    world: World, meddle: Meddle, reason: str
) -> None:
    before = await world.raw("local")
    await world.drop("warehouse")
    await world.says("Connection", "warehouse", "SourceGoneKept", about="Stored")
    await meddle(world)
    await world.says("Connection", "warehouse", reason)
    await world.says("AirflowDeployment", "local", reason)
    await world.operator.settled()
    assert await world.raw("local") == before, "the last good entry stays byte for byte"
    entry = await world.entry("warehouse")
    assert entry is None or entry.content != {"password": "s3cret"}, "the entry was filled from the rendered Secret"


@pytest.mark.parametrize("meddle", [_edit, _soft_delete, _destroy, _forget], ids=named)
async def test_a_source_that_comes_back_mends_a_changed_entry(world: World, meddle: Meddle) -> None:
    await world.drop("warehouse")
    await world.says("Connection", "warehouse", "SourceGoneKept", about="Stored")
    await meddle(world)
    await world.says_not("Connection", "warehouse", "Stored")
    await world.source("warehouse", password="n3w")
    await world.receives("local", warehouse={**DB, "password": "n3w"})
    await world.says("Connection", "warehouse", "Stored")


@pytest.mark.parametrize("meddle", [_edit, _soft_delete, _destroy, _forget], ids=named)
async def test_a_new_host_is_never_joined_with_a_changed_entry(world: World, meddle: Meddle) -> None:
    before = await world.raw("local")
    await world.drop("warehouse")
    await world.says("Connection", "warehouse", "SourceGoneKept", about="Stored")
    await meddle(world)
    await world.says_not("AirflowDeployment", "local", "Delivered")
    await world.apply(sourced("warehouse", sharing="LinkedToAll", host="new.db"))
    await world.operator.settled()
    assert await world.raw("local") == before


async def test_an_entry_rolled_back_to_our_content_by_somebody_is_taken_as_ours(world: World) -> None:
    await world.drop("warehouse")
    await world.says("Connection", "warehouse", "SourceGoneKept", about="Stored")
    await _edit(world)
    await world.says("Connection", "warehouse", "StoredValueChanged")
    await world.vault.put(world.path("warehouse"), password="s3cret")
    await world.says("Connection", "warehouse", "SourceGoneKept", about="Stored")
    await world.keeps("local", **GOOD)


async def test_versions_without_our_mark_are_foreign(world: World) -> None:
    await world.vault.set_metadata(world.path("warehouse"))
    await world.says("Connection", "warehouse", "ForeignEntry")
    await world.keeps("local", **GOOD)


FOREIGN = {
    "of_another_cluster": {"manager": "jetbridge", "cluster": "another", "namespace_uid": "1", "object_uid": "2"},
    "of_another_manager": {"manager": "terraform"},
    "without_metadata": {},
}


@pytest.mark.parametrize("metadata", FOREIGN.values(), ids=FOREIGN)
async def test_a_foreign_entry_in_the_way_is_refused_and_not_touched(world: World, metadata: dict[str, str]) -> None:
    path = world.path("lake")
    await world.vault.put(path, password="theirs")
    if metadata:
        await world.vault.set_metadata(path, **metadata)
    before = await world.entry("lake")
    await world.source("lake", password="ours")
    await world.apply(sourced("lake", sharing="LinkedToAll"))
    await world.says("Connection", "lake", "ForeignEntry", mentions=f"secret/jetbridge/{path}")
    await world.says("AirflowDeployment", "local", "ForeignEntry")
    await world.keeps("local", **GOOD)
    assert await world.entry("lake") == before


async def test_an_entry_of_a_namespace_of_the_same_name_with_another_uid_is_foreign(world: World) -> None:
    system = await world.kube.get("Namespace", "kube-system", "")
    assert system is not None
    path = world.path("lake")
    await world.vault.put(path, password="theirs")
    await world.vault.set_metadata(
        path,
        manager="jetbridge",
        cluster=system["metadata"]["uid"],
        namespace_uid="of-a-namespace-that-was",
        object_uid="1",
    )
    before = await world.entry("lake")
    await world.source("lake", password="ours")
    await world.apply(sourced("lake"))
    await world.says("Connection", "lake", "ForeignEntry")
    assert await world.entry("lake") == before


async def test_a_deleted_entry_of_a_namespace_that_was_before_holds_up_nobody(world: World) -> None:
    system = await world.kube.get("Namespace", "kube-system", "")
    assert system is not None
    path = world.path("lake")
    await world.vault.put(path, password="before")
    await world.vault.set_metadata(
        path, manager="jetbridge", cluster=system["metadata"]["uid"], namespace_uid="of-a-namespace-that-was"
    )
    await world.vault.soft_delete(path)
    await world.source("lake", password="ours")
    await world.apply(sourced("lake", sharing="LinkedToAll"))
    await world.receives("local", **GOOD, lake={**DB, "password": "ours"})
    await world.stored("lake", {"password": "ours"}, version=2)


async def test_a_foreign_entry_is_left_when_its_connection_is_deleted(world: World) -> None:
    path = world.path("lake")
    await world.vault.put(path, password="theirs")
    before = await world.entry("lake")
    await world.source("lake", password="ours")
    await world.apply(sourced("lake"))
    await world.says("Connection", "lake", "ForeignEntry")
    await world.delete("Connection", "lake")
    await world.gone("Connection", "lake")
    assert await world.entry("lake") == before


async def test_once_a_foreign_entry_goes_the_delivery_follows(world: World) -> None:
    path = world.path("lake")
    await world.vault.put(path, password="theirs")
    await world.source("lake", password="ours")
    await world.apply(sourced("lake", sharing="LinkedToAll"))
    await world.says("Connection", "lake", "ForeignEntry")
    await world.vault.forget(path)
    await world.receives("local", **GOOD, lake={**DB, "password": "ours"})


async def test_an_entry_that_turns_foreign_keeps_what_was_delivered(world: World) -> None:
    await world.vault.set_metadata(world.path("warehouse"), manager="terraform")
    await world.says("Connection", "warehouse", "ForeignEntry")
    await world.keeps("local", **GOOD)
    await world.stored("warehouse", {"password": "s3cret"}, version=1)


async def test_the_entry_of_a_connection_made_again_is_taken_over(world: World) -> None:
    await world.delete("Connection", "warehouse")
    await world.gone("Connection", "warehouse")
    await world.stored("warehouse", None, version=1)
    await world.apply(sourced("warehouse", sharing="LinkedToAll"))
    await world.receives("local", **GOOD)
    await world.stored("warehouse", {"password": "s3cret"}, version=2)


async def test_links_have_entries_of_their_own(world: World) -> None:
    await world.source("override", password="for local")
    await world.apply(connection("lake"), link("lake", "local", secretRef={"name": "override"}))
    await world.receives("local", **GOOD, lake={**DB, "password": "for local"})
    await world.vault.put(world.path("lake-local", "links"), password="edited")
    await world.stored("lake-local", {"password": "for local"}, version=3, collection="links")
