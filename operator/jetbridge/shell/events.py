"""Kubernetes Events, for people who `kubectl describe`. They are told on transitions only and never hold up work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from jetbridge.api.common import API_VERSION
from jetbridge.core.graph import Key
from jetbridge.shell.cluster import Cluster, ClusterError
from jetbridge.shell.reconcile import timestamp

log = logging.getLogger(__name__)
_WAITING = 1000
_MAX_NOTE = 1000


class EventRecorder:
    """Queues events and posts them one by one; when too many wait, new ones are dropped."""

    def __init__(self, cluster: Cluster, now: Callable[[], float]) -> None:
        self._cluster = cluster
        self._now = now
        self._queue: asyncio.Queue[tuple[str, Mapping[str, Any]]] = asyncio.Queue(_WAITING)

    def event(self, key: Key, uid: str, normal: bool, reason: str, message: str) -> None:
        """Takes an event for posting."""
        at = timestamp(self._now())
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{key.name[:200]}.", "namespace": key.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": key.kind,
                "namespace": key.namespace,
                "name": key.name,
                "uid": uid,
            },
            "type": "Normal" if normal else "Warning",
            "reason": reason,
            "message": message[:_MAX_NOTE],
            "source": {"component": "jetbridge"},
            "reportingComponent": "jetbridge",
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }
        try:
            self._queue.put_nowait((key.namespace, body))
        except asyncio.QueueFull:
            log.debug("an event was dropped: too many wait")

    async def run(self) -> None:
        """Posts until cancelled."""
        while True:
            namespace, body = await self._queue.get()
            try:
                await self._cluster.create_event(namespace, body)
            except ClusterError as error:
                log.debug("an event was not posted: %s", error)
