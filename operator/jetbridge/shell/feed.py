"""From kopf's watch-streams to the stores.

kopf reports what changes, and after a re-list what exists; what was deleted meanwhile it never reports, and when a listing is
complete it tells nobody. Both matter here: absence is only known from a complete listing. So each stream is observed as well:
when kopf marks the end of a listing, what was known before it and is not in it is gone. This is the one place that touches
kopf's internals; kopf is pinned to a minor version for it, and `install` fails loudly if they are no longer there.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import kopf
from kopf._cogs.clients import watching
from kopf._cogs.structs import references
from kubernetes.aio import client as k8s

from jetbridge.api.common import GROUP, VERSION
from jetbridge.core.views import (
    SOURCE_LABEL,
    ConnectionView,
    DeploymentView,
    LinkView,
    NamespaceView,
    SourceView,
    View,
    WorkspaceView,
    namespace_view,
    secret_view,
)
from jetbridge.runtime.store import Listing
from jetbridge.runtime.workers import describe_error
from jetbridge.shell.context import PARSERS, Context
from jetbridge.shell.kube import decode_data

log = logging.getLogger(__name__)
Raw = Mapping[str, Any]
# kopf re-lists at once when a watch expires, and we start from its listing.
_PLURALS = {
    "connections": "Connection",
    "connectionlinks": "ConnectionLink",
    "airflowdeployments": "AirflowDeployment",
    "workspaces": "Workspace",
}
_VIEWS: Mapping[str, type] = {
    "connections": ConnectionView,
    "connectionlinks": LinkView,
    "airflowdeployments": DeploymentView,
    "workspaces": WorkspaceView,
    "secrets": SourceView,  # RenderedView is kept in the same store
    "namespaces": NamespaceView,
}
WATCHED = tuple(_VIEWS)


class _Forever:
    """Pauses between tries of a request, in seconds, without an end: an API server that is away comes back."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.2, 0.5, 1.0, 2.0), itertools.repeat(3.0))


class FeedSettings(kopf.OperatorSettings):
    """kopf's settings, and the feed that its streams go to."""

    feed: Feed


class Feed:
    """Takes events and listings into the stores of a context."""

    def __init__(self, context: Context) -> None:
        self._ctx = context
        watched = context.state.watched
        namespaces: list[str | None] = [None] if watched is None else [*sorted(watched)]
        self._missing = {(p, ns) for p in WATCHED if p != "namespaces" for ns in namespaces} | {("namespaces", None)}
        self._listings: dict[tuple[str, str | None], tuple[Listing, list[tuple[str, str, str]]]] = {}
        self._alive: dict[tuple[str, str | None], float] = {}
        self.synced = asyncio.Event()

    @property
    def missing(self) -> str:
        """Which listings are still under way, for people."""
        return ", ".join(sorted({plural for plural, _ in self._missing}))

    def event(self, plural: str, kind: str | None, raw: Raw) -> None:
        """One watch event. `kind` is None for an object of a listing. An object that can't be read stops no other."""
        try:
            self._event(plural, kind, raw)
        except Exception as error:
            meta = raw.get("metadata") or {}
            where = f"{meta.get('namespace', '')}/{meta.get('name', '')}"
            log.error("an event of %s %s can't be taken in: %s", plural, where, describe_error(error))

    def alive(self, plural: str, namespace: str | None) -> None:
        """A sign of life of a stream."""
        self._alive[(plural, namespace)] = self._ctx.clock()

    def silence(self) -> float:
        """For how many seconds the quietest stream has given no sign of life; a healthy one gives one about every minute."""
        return max((self._ctx.clock() - at for at in self._alive.values()), default=0.0)

    def _event(self, plural: str, kind: str | None, raw: Raw) -> None:
        view = self._view(plural, raw)
        if view is None:
            # A Secret that lost both labels; what it was before is gone for us.
            if plural == "secrets":
                self._forget_secret(raw)
            return
        if kind == "DELETED":
            self._ctx.observe_removal(view, raw["metadata"].get("resourceVersion", ""))
        else:
            self._ctx.observe(view)

    def begin(self, plural: str, namespace: str | None) -> None:
        """A listing begins."""
        state = self._ctx.state
        listing = state.store_of(_VIEWS[plural]).begin_listing(
            lambda view: namespace is None or view.meta.namespace == namespace
        )
        self._listings[(plural, namespace)] = (listing, [])

    def listed(self, plural: str, namespace: str | None, raw: Raw) -> None:
        """One object of the listing that is under way."""
        meta = raw["metadata"]
        self._listings[(plural, namespace)][1].append((meta.get("namespace", ""), meta["name"], meta["uid"]))
        self.event(plural, None, raw)

    def end(self, plural: str, namespace: str | None) -> None:
        """The listing is complete: what it lacks is gone."""
        listing, seen = self._listings.pop((plural, namespace))
        for change in self._ctx.state.store_of(_VIEWS[plural]).end_listing(listing, seen):
            self._ctx.removed(change)
        self._missing.discard((plural, namespace))
        if not self._missing and not self.synced.is_set():
            log.info("all listings are complete")
            self.synced.set()

    def _forget_secret(self, raw: Raw) -> None:
        known = self._ctx.state.secrets.get(raw["metadata"]["namespace"], raw["metadata"]["name"])
        if known is not None and known.meta.uid == raw["metadata"]["uid"]:
            self._ctx.observe_removal(known)

    @staticmethod
    def _view(plural: str, raw: Raw) -> View | None:
        if plural == "secrets":
            return secret_view(raw, decode_data(raw))
        if plural == "namespaces":
            return namespace_view(raw)
        return PARSERS[_PLURALS[plural]](dict(raw))


def _observing(
    original: Callable[..., AsyncIterator[Any]],
) -> Callable[..., AsyncIterator[Any]]:
    """Wraps kopf's `continuous_watch`, one listing and the watch that follows it: the same events, and the feed hears of it."""

    async def stream(
        *, settings: kopf.OperatorSettings, resource: references.Resource, namespace: str | None, **rest: Any
    ) -> AsyncIterator[Any]:
        plural = resource.plural
        feed: Feed | None = getattr(settings, "feed", None) if plural in WATCHED else None
        if feed is not None:
            # Before the request: what is known now and not in its answer is gone.
            feed.begin(plural, namespace)
        async for item in original(settings=settings, resource=resource, namespace=namespace, **rest):
            if feed is not None:
                feed.alive(plural, namespace)
                if item is watching.Bookmark.LISTED:
                    feed.end(plural, namespace)
                elif item["type"] is None:
                    feed.listed(plural, namespace, item["object"])
                elif item["type"] != "BOOKMARK":
                    feed.event(plural, item["type"], item["object"])
            yield item

    stream.observes_listings = True  # type: ignore[attr-defined]
    return stream


def install() -> None:
    """Observes kopf's streams from now on; once for the process.

    Raises:
        RuntimeError: this kopf is built in another way.
    """
    original = getattr(watching, "continuous_watch", None)
    if original is None or not hasattr(getattr(watching, "Bookmark", None), "LISTED"):
        raise RuntimeError("this version of kopf has no watch-streams that can be observed; install kopf 1.45")
    if not getattr(original, "observes_listings", False):
        watching.continuous_watch = _observing(original)


def registry_for(credentials: Callable[[], Any], cleanup: Callable[[], Awaitable[None]]) -> kopf.OperatorRegistry:
    """kopf's handlers: events only. `credentials` gives the client configuration, read anew at every login.

    `cleanup` ends our own tasks: kopf would wait for them, as for all that are younger than itself, for five seconds.
    """
    registry = kopf.OperatorRegistry()

    @kopf.on.cleanup(registry=registry)
    async def end(**_: Any) -> None:
        await cleanup()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return connection_info(await credentials())

    def handle(plural: str, *selector: str) -> None:
        @kopf.on.event(*selector, registry=registry, id=f"feed-{plural}")
        async def on_event(**_: Any) -> None:
            """Makes kopf watch the kind. The stream itself feeds the store: kopf's handlers may run after a later listing."""

    for plural in _PLURALS:
        handle(plural, GROUP, VERSION, plural)
    handle("secrets", "", "v1", "secrets")
    handle("namespaces", "", "v1", "namespaces")
    return registry


def settings_for(feed: Feed) -> FeedSettings:
    """kopf's settings: no writes of its own, no scanning, patience with an API server that is away."""
    settings = FeedSettings()
    settings.feed = feed
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.networking.error_backoffs = _Forever()
    settings.networking.connect_timeout = 5.0
    settings.watching.label_selectors["secrets"] = SOURCE_LABEL
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = 300
    settings.queueing.idle_timeout = 1.0
    return settings


def connection_info(configuration: k8s.Configuration) -> kopf.ConnectionInfo:
    """The client's credentials in kopf's form."""
    token = configuration.api_key.get("BearerToken") or configuration.api_key.get("authorization") or ""
    scheme, _, value = token.rpartition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        scheme=(scheme or "Bearer") if value else None,
        token=value or None,
        default_namespace="default",
    )
