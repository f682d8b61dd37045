"""A rotation: a new password in a source, and the time until it is in the rendered Secret."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from dev.apiclient import MERGE_PATCH, Server, secret_path
from dev.arrivals import Arrivals, password_in
from dev.demo_checks import PROD, SOURCE, STAGING, WAREHOUSE, WORKSPACE, Check, rendered
from dev.demo_vault import VaultEntry
from dev.demo_world import World

RENDERED = f"{STAGING[1]}-connections"


@dataclass(frozen=True, slots=True)
class Rotation:
    """What was written, and how long it took to arrive."""

    milliseconds: float
    value: str = field(repr=False)


async def rotate(kubernetes: Server, world: World) -> Rotation:
    """Patch the source with a random password, and watch it arrive in staging."""
    old = str(rendered(world, STAGING)[WAREHOUSE]["password"])
    new = secrets.token_urlsafe(24)
    arrivals = Arrivals(f"Secret {STAGING[0]}/{RENDERED}", lambda secret: password_in(secret, WAREHOUSE))
    async with arrivals.following(kubernetes, STAGING[0], RENDERED):
        await arrivals.arrived(arrivals.expect(old))  # the watch is there
        arrived = arrivals.expect(new)
        began = time.perf_counter()
        await kubernetes.call("PATCH", secret_path(WORKSPACE, SOURCE), {"stringData": {"password": new}}, MERGE_PATCH)
        took = await arrivals.arrived(arrived) - began
    return Rotation(took * 1000, new)


def entry_of_source(entries: list[VaultEntry]) -> VaultEntry | None:
    """The entry of the Connection whose source is rotated."""
    return next((e for e in entries if (e.kind, e.namespace, e.name) == ("Connection", WORKSPACE, "warehouse")), None)


def after(rotation: Rotation, before: World, now: World, old: VaultEntry | None, new: VaultEntry | None) -> list[Check]:
    """The new value where it belongs, a new version in Vault, and nothing written where it does not matter."""
    prod = ("Secret", PROD[0], f"{PROD[1]}-connections")
    versions = [world.get(*prod).get("metadata", {}).get("resourceVersion") for world in (before, now)]
    recorded = (now.get("Connection", WORKSPACE, "warehouse").get("status") or {}).get("vault") or {}
    stored = old is not None and new is not None and new.version == old.version + 1
    return [
        Check("staging's Secret has the new password", rendered(now, STAGING)[WAREHOUSE]["password"] == rotation.value),
        Check(
            "Vault has it as the next version", stored and new is not None and new.content["password"] == rotation.value
        ),
        Check("the Connection's status names that version", new is not None and recorded.get("version") == new.version),
        Check(
            "prod's Secret was not written: its link has a password of its own", versions[0] == versions[1] is not None
        ),
    ]
