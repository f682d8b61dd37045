"""Standard Kubernetes conditions: a transition time changes with the status alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Status = Literal["True", "False", "Unknown"]
MAX_MESSAGE = 2000


def condition(
    previous: Mapping[str, Any],
    kind: str,
    status: Status,
    reason: str,
    message: str,
    *,
    generation: int,
    now: str,
) -> dict[str, Any]:
    """One condition. `previous` is the object's status as it stands; `now` is used if the condition turned."""
    before = find(previous, kind)
    since = before.get("lastTransitionTime") if before is not None and before.get("status") == status else None
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…",
        "lastTransitionTime": since or now,
        "observedGeneration": generation,
    }


def find(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """A condition of a status by its type."""
    for item in status.get("conditions") or ():
        if isinstance(item, Mapping) and item.get("type") == kind:
            return item
    return None
