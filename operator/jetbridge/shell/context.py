"""What the reconcilers share."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from jetbridge.api.kinds import BY_KIND
from jetbridge.core.conditions import find
from jetbridge.core.graph import Key, affected, asks_for_other, key_of
from jetbridge.core.views import (
    ConnectionView,
    DeploymentView,
    LinkView,
    View,
    WorkspaceView,
    connection_view,
    deployment_view,
    link_view,
    secret_view,
    workspace_view,
)
from jetbridge.runtime.queue import KeyedQueue
from jetbridge.runtime.store import Change
from jetbridge.shell.cluster import Cluster, Conflict, Missing, Raw
from jetbridge.shell.kube import decode_data
from jetbridge.shell.memory import Memory
from jetbridge.shell.settings import OperatorSettings
from jetbridge.shell.state import ClusterState
from jetbridge.shell.vault.gate import VaultGate

Reported = ConnectionView | LinkView | DeploymentView | WorkspaceView


class Recorder(Protocol):
    """Takes events for people; never waits and never fails."""

    def event(self, key: Key, uid: str, normal: bool, reason: str, message: str) -> None: ...


class Counters(Protocol):
    """What the reconcilers count."""

    def withdrawn(self, entries: int) -> None: ...
    def ingested(self, reason: str) -> None: ...


@dataclass(slots=True)
class Context:
    """The world of a reconcile. `clock` is monotonic seconds, `now` the time of day in seconds since the epoch."""

    settings: OperatorSettings
    state: ClusterState
    memory: Memory
    cluster: Cluster
    vault: VaultGate
    queue: KeyedQueue[Key]
    recorder: Recorder
    counters: Counters
    cluster_uid: str
    clock: Callable[[], float]
    now: Callable[[], float]
    rng: random.Random = field(default_factory=random.Random)

    def observe(self, view: View, *, own_write: bool = False) -> None:
        """Takes in a version of an object and asks for what it affects.

        Our own writes affect nothing by themselves, but the answer to one may be the first to show what somebody else wrote
        a moment before: the watch then comes too late with it.
        """
        change = self.state.upsert(view)
        if change is not None and (not own_write or asks_for_other(change.old, change.new)):
            for key in affected(change.old, change.new, self.state):
                self.queue.add(key)

    def observe_removal(self, view: View, resource_version: str = "") -> None:
        """Takes in the deletion of an object and asks for what it affects."""
        change = self.state.remove(view, resource_version)
        if change is not None:
            self.removed(change)

    def removed(self, change: Change[View]) -> None:
        """Forgets what is gone, and asks for what its removal affects."""
        if isinstance(change.old, ConnectionView | LinkView):
            self.memory.forget_owner(change.old.meta.uid)
        for key in affected(change.old, None, self.state):
            self.queue.add(key)

    def take_secret(self, raw: Raw, *, own_write: bool) -> None:
        """Takes in a Secret that the API server gave to us. What we wrote had preconditions, and shows nothing of others."""
        view = secret_view(raw, decode_data(raw))
        if view is None:
            return
        if own_write:
            self.state.upsert(view)
        else:
            self.observe(view)

    async def report(self, view: Reported, status: Mapping[str, Any]) -> None:
        """Writes a status if it says something new, and tells of a turn of Ready."""
        if says(view.status, status):
            return
        key = key_of(view)
        before, after = find(view.status, "Ready"), find(status, "Ready")
        try:
            raw = await self.cluster.apply_status(BY_KIND[key.kind], view.meta, status)
        except (Missing, Conflict):
            return
        self.observe(PARSERS[key.kind](raw), own_write=True)
        if after is not None and (before is None or _turn(before) != _turn(after)):
            self.recorder.event(
                key, view.meta.uid, after["status"] == "True", str(after["reason"]), str(after["message"])
            )


def says(written: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    """Whether a status says what it should; conditions that others put there are theirs."""
    kinds = {c["type"] for c in status.get("conditions", ())}
    ours = [c for c in written.get("conditions") or () if isinstance(c, Mapping) and c.get("type") in {*kinds, *_OURS}]
    rest = {k: v for k, v in written.items() if k != "conditions"}
    return rest == {k: v for k, v in status.items() if k != "conditions"} and ours == list(status.get("conditions", ()))


_OURS = ("Ready", "Stored")


def _turn(condition: Mapping[str, Any]) -> tuple[object, object]:
    return condition.get("status"), condition.get("reason")


PARSERS: Mapping[str, Callable[[Raw], Reported]] = {
    "Connection": connection_view,
    "ConnectionLink": link_view,
    "AirflowDeployment": deployment_view,
    "Workspace": workspace_view,
}
