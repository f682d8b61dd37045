"""Orders of events that happen seldom, made to happen."""

from __future__ import annotations

from typing import Any

import pytest

from jetbridge.shell.feed import Feed, Raw
from tests.support.manifests import deployment, sourced
from tests.support.world import World

pytestmark = pytest.mark.integration

DB = {"conn_type": "postgres", "host": "db"}


async def test_an_edit_that_our_write_meets_before_the_watch_shows_it_is_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status is written on the condition that the object is as it was seen; the watch then brings what it is."""
    await world.source("warehouse", password="s3cret")
    await world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", warehouse={**DB, "password": "s3cret"})
    await world.operator.settled()
    held: list[tuple[Feed, str, str | None, Raw]] = []
    feed_event = Feed.event

    def event(feed: Feed, plural: str, kind: str | None, raw: Raw) -> None:
        if plural == "connections":
            held.append((feed, plural, kind, raw))
        else:
            feed_event(feed, plural, kind, raw)

    monkeypatch.setattr(Feed, "event", event)
    await world.apply(sourced("warehouse", sharing="LinkedToAll", host="new.db"))
    await world.source("warehouse", password="r0tated")
    await world.receives("local", warehouse={**DB, "password": "r0tated"})
    monkeypatch.undo()

    def release(_: Any) -> None:
        for late in held:
            feed_event(*late)

    await world.operator.ask(release)
    assert held, "the watch was held back"
    await world.receives("local", warehouse={**DB, "host": "new.db", "password": "r0tated"})


async def test_a_deletion_seen_before_the_answer_to_our_write_is_not_undone_by_it(world: World) -> None:
    """Objects made and deleted in quick succession leave nothing behind."""
    names = [f"short{n}" for n in range(10)]
    await world.apply(deployment("local"))
    for name in names:
        await world.source(name, password=name)
        await world.apply(sourced(name, sharing="LinkedToAll"))
        await world.delete("Connection", name)
    await world.receives("local")
    for name in names:
        await world.gone("Connection", name)
    await world.operator.settled()

    def known(context: Any) -> list[str]:
        return [str(view.meta) for view in context.state.connections]

    assert await world.operator.ask(known) == []
    await world.keeps("local")
