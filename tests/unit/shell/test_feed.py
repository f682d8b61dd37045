"""From kopf's streams to the stores: what a listing lacks is gone, and a kopf of another build is told loudly."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import kopf
import pytest
from kopf._cogs.clients import watching
from kubernetes.aio import client as k8s

from jetbridge.shell import feed as module
from jetbridge.shell.feed import WATCHED, Feed, connection_info, install, registry_for, settings_for
from tests.fakes import objects
from tests.unit.shell.harness import PLANTED, Harness

LISTED = watching.Bookmark.LISTED
Stream = Callable[..., AsyncIterator[Any]]


def listed(*raws: dict[str, Any]) -> list[Any]:
    """What kopf yields for a listing."""
    return [*({"type": None, "object": raw} for raw in raws), LISTED]


def event(kind: str, raw: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": raw}


class Streams:
    """A feed behind a kopf whose streams are told by the test."""

    def __init__(self, harness: Harness) -> None:
        self.world = harness
        self.items: list[Any] = []
        self.before: Callable[[], None] = lambda: None

        async def original(**_: Any) -> AsyncIterator[Any]:
            self.before()
            for item in self.items:
                yield item

        self.stream: Stream = module._observing(original)

    async def play(
        self, plural: str, items: list[Any], *, namespace: str | None = None, feed: bool = True
    ) -> list[Any]:
        """Plays a stream and hands its events to the handlers, as kopf does; gives what came through."""
        self.items = items
        settings = settings_for(self.world.feed) if feed else kopf.OperatorSettings()
        through = []
        async for item in self.stream(
            settings=settings, resource=SimpleNamespace(plural=plural), namespace=namespace, other="argument"
        ):
            through.append(item)
            if item is not LISTED and item["type"] is not None and feed:
                self.world.feed.event(plural, item["type"], item["object"])
        return through


@pytest.fixture
def streams() -> Streams:
    return Streams(Harness().start())


def names(streams: Streams) -> set[str]:
    return {c.meta.name for c in streams.world.context.state.connections}


def a(name: str, version: int, **more: Any) -> dict[str, Any]:
    return objects.connection("team-a", name, resourceVersion=str(version), uid=f"uid-{name}", **more)


async def test_everything_comes_through_unchanged(streams: Streams) -> None:
    items = [*listed(a("x", 1)), event("MODIFIED", a("x", 2))]
    assert await streams.play("connections", items) == items


async def test_a_listing_and_events_fill_the_store(streams: Streams) -> None:
    await streams.play("connections", [*listed(a("x", 1), a("y", 2)), event("ADDED", a("z", 3))])
    assert names(streams) == {"x", "y", "z"}


async def test_a_deletion_that_was_missed_is_found_by_the_next_listing(streams: Streams) -> None:
    await streams.play("connections", listed(a("x", 1), a("y", 2)))
    await streams.play("connections", listed(a("y", 2)))
    assert names(streams) == {"y"}


async def test_an_empty_listing_clears_the_store(streams: Streams) -> None:
    await streams.play("connections", listed(a("x", 1)))
    await streams.play("connections", listed())
    assert names(streams) == set()


async def test_a_listing_that_broke_off_proves_nothing(streams: Streams) -> None:
    await streams.play("connections", listed(a("x", 1), a("y", 2)))
    await streams.play("connections", listed(a("y", 2))[:-1])
    assert names(streams) == {"x", "y"}


async def test_what_a_broken_listing_showed_is_not_taken_for_the_next_one(streams: Streams) -> None:
    """x was in the first half of a listing that broke off, and was gone when the next one was made."""
    await streams.play("connections", listed(a("x", 1), a("y", 2)))
    await streams.play("connections", listed(a("x", 1))[:-1])
    await streams.play("connections", listed(a("y", 2)))
    assert names(streams) == {"y"}


async def test_what_was_learnt_after_the_request_is_not_taken_for_gone(streams: Streams) -> None:
    """We wrote it while the listing was on its way."""
    streams.before = lambda: streams.world.feed.event("connections", "ADDED", a("new", 9))
    await streams.play("connections", listed(a("x", 1)))
    assert names(streams) == {"x", "new"}


async def test_a_listing_of_one_namespace_says_nothing_of_others() -> None:
    world = Harness(watched=frozenset({"team-a", "team-b"})).start()
    streams = Streams(world)
    other = objects.connection("team-b", "x", resourceVersion="5")
    await streams.play("connections", listed(other), namespace="team-b")
    await streams.play("connections", listed(), namespace="team-a")
    assert names(streams) == {"x"}


async def test_a_removal_asks_for_what_it_affects(streams: Streams) -> None:
    shared = a("x", 1, spec={"type": "x", "sharing": "LinkedToAll"})
    await streams.play("airflowdeployments", listed(objects.deployment("team-a", "prod")))
    await streams.play("connections", listed(shared))
    queue = streams.world.queue
    while queue.depth():
        queue.done(await queue.get())
    await streams.play("connections", listed())
    due = set()
    while queue.depth():
        key = await queue.get()
        due.add(str(key))
        queue.done(key)
    assert due == {"Connection team-a/x", "AirflowDeployment team-a/prod"}


async def test_a_deleted_event_removes(streams: Streams) -> None:
    await streams.play("connections", [*listed(a("x", 1)), event("DELETED", a("x", 2))])
    assert names(streams) == set()


async def test_a_secret_that_lost_its_label_is_gone(streams: Streams) -> None:
    source = objects.source("team-a", "creds", resourceVersion="1")
    await streams.play("secrets", listed(source))
    assert len(streams.world.context.state.secrets) == 1
    bare = objects.source("team-a", "creds", labelled=False, resourceVersion="2")
    await streams.play("secrets", [event("MODIFIED", bare)])
    assert len(streams.world.context.state.secrets) == 0


async def test_kinds_of_others_and_settings_of_others_are_left_alone(streams: Streams) -> None:
    items = listed({"anything": "x"})
    assert await streams.play("pods", items) == items
    assert await streams.play("connections", listed(a("x", 1)), feed=False) == listed(a("x", 1))
    assert names(streams) == set()


async def test_it_is_ready_after_every_listing(streams: Streams) -> None:
    feed = Feed(streams.world.context)
    streams.world.feed = feed
    for number, plural in enumerate(WATCHED):
        assert not feed.synced.is_set()
        assert plural in feed.missing
        await streams.play(plural, listed())
        assert plural not in feed.missing, number
    assert feed.synced.is_set()


async def test_with_namespaces_it_waits_for_the_listing_of_each() -> None:
    world = Harness(watched=frozenset({"team-a", "team-b"})).start()
    feed = Feed(world.context)
    for plural in WATCHED:
        for namespace in [None] if plural == "namespaces" else ["team-a"]:
            feed.begin(plural, namespace)
            feed.end(plural, namespace)
    assert not feed.synced.is_set()
    assert "namespaces" not in feed.missing


# kopf


def test_install_observes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "continuous_watch", original := _unobserved())
    install()
    first = watching.continuous_watch
    assert first is not original
    install()
    assert watching.continuous_watch is first, "it is observed twice"


def _unobserved() -> Stream:
    async def stream(**_: Any) -> AsyncIterator[Any]:
        yield LISTED

    return stream


@pytest.mark.parametrize("missing", ["continuous_watch", "Bookmark"])
def test_install_fails_loudly_when_kopf_is_built_in_another_way(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.delattr(watching, missing)
    with pytest.raises(RuntimeError, match=r"install kopf 1\.45"):
        install()


def test_kopf_calls_what_is_observed_by_name() -> None:
    """What `install` replaces is what kopf's endless stream looks up, with the arguments that we read."""
    assert "continuous_watch" in watching.infinite_watch.__code__.co_names
    arguments = inspect.signature(watching.continuous_watch).parameters
    assert {"settings", "resource", "namespace"} <= arguments.keys()


def test_handlers_are_events_only() -> None:
    """With others kopf would write annotations."""

    async def nothing(*_: Any) -> None:
        """Does nothing."""

    registry = registry_for(nothing, nothing)
    assert len(registry._watching.get_all_handlers()) == len(WATCHED)
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()
    assert not registry._indexing.get_all_handlers()


def test_kopf_writes_nothing_of_its_own() -> None:
    settings = settings_for(Harness().start().feed)
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    pauses = iter(settings.networking.error_backoffs)  # type: ignore[arg-type]
    assert len([next(pauses) for _ in range(1000)]) == 1000, "it gives up some day"


@pytest.mark.parametrize(
    ("token", "scheme", "value"), [("Bearer abc", "Bearer", "abc"), ("abc", "Bearer", "abc"), ("", None, None)]
)
def test_credentials_in_kopfs_form(token: str, scheme: str | None, value: str | None) -> None:
    configuration = k8s.Configuration(host="https://api:6443")
    if token:
        configuration.api_key["BearerToken"] = token
    info = connection_info(configuration)
    assert (info.server, info.scheme, info.token) == ("https://api:6443", scheme, value)


async def test_a_feed_logs_no_value(streams: Streams, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await streams.play("secrets", listed(objects.source("team-a", "creds", {"password": PLANTED})))
        await streams.play("connections", listed(a("x", 1, spec={"type": "x", "port": PLANTED})))
    assert PLANTED not in caplog.text
