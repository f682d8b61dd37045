"""A world as it stands, without what differs from run to run: two runs that ended alike give equal pictures."""

from __future__ import annotations

from typing import Any

from tests.support.kube import KINDS, decoded
from tests.support.world import RENDERED_LABEL, World

_DIFFERS = {"lastTransitionTime", "since", "digest", "resourceVersion"}


async def picture(world: World) -> dict[str, Any]:
    """All of our objects with their statuses, the rendered Secrets, and the entries in Vault with their versions."""
    seen: dict[str, Any] = {}
    for namespace in world.namespaces:
        for kind in KINDS:
            for item in await world.kube.list(kind, namespace):
                meta = item["metadata"]
                seen[f"{kind} {namespace}/{meta['name']}"] = {
                    "spec": item.get("spec"),
                    "status": item.get("status"),
                    "finalizers": meta.get("finalizers", []),
                    "deleting": "deletionTimestamp" in meta,
                }
        for secret in await world.kube.list("Secret", namespace):
            meta = secret["metadata"]
            if RENDERED_LABEL in meta.get("labels", {}):
                seen[f"Secret {namespace}/{meta['name']}"] = {
                    "data": decoded(secret),
                    "labels": meta["labels"],
                    "owners": [owner["name"] for owner in meta["ownerReferences"]],
                }
        for path in await world.vault.paths(namespace):
            entry = await world.vault.entry(path)
            assert entry is not None
            seen[f"entry {path}"] = {
                "version": entry.version,
                "content": entry.content,
                "deleted": entry.deleted,
                "metadata": sorted(entry.custom_metadata),
            }
    return {world.named(key): _alike(world, value) for key, value in sorted(seen.items())}


def _alike(world: World, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _alike(world, item) for key, item in value.items() if key not in _DIFFERS}
    if isinstance(value, list | tuple):
        return [_alike(world, item) for item in value]
    return world.named(value) if isinstance(value, str) else value
