"""A value appears nowhere but in its source, in Vault and in the rendered Secret: whatever goes well or wrong with it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.kube import KINDS
from tests.support.manifests import connection, deployment, link, sourced, workspace
from tests.support.world import RENDERED_LABEL, SOURCE, World

pytestmark = pytest.mark.integration

DB = {"conn_type": "postgres", "host": "db"}


class Plants:
    """Values that occur nowhere by chance."""

    def __init__(self) -> None:
        self._values: list[str] = []

    def new(self, where: str) -> str:
        """A new one."""
        value = f"planted{len(self._values):02}{where}Zq7xV"
        self._values.append(value)
        return value

    def forms(self) -> Iterator[tuple[str, str]]:
        """Each value with each form in which it could be found: as it is, in base64 at any offset, and in a URI."""
        for value in self._values:
            yield value, value
            yield value, quote(value, safe="")
            for offset in range(3):
                encoded = base64.b64encode(b"\0" * offset + value.encode()).decode()
                # What stands beside the value changes the characters at both ends.
                yield value, encoded[4 if offset else 0 : -4]

    def found_in(self, text: str) -> list[str]:
        """Those that the text holds."""
        return sorted({value for value, form in self.forms() if form in text})


async def _plant(world: World, plants: Plants) -> None:
    """Sources of every kind, sound and unsound."""
    new = plants.new
    await world.source(
        "sound",
        login=new("login"),
        password=new("password"),
        host=new("host"),
        port="6543",
        schema=new("schema"),
        extra=json.dumps({"token": new("extra")}),
        extra__single=new("single"),
    )
    await world.source("override", password=new("override"))
    await world.source(
        "uri", connection=f"postgres://{new('user')}:{new('pw')}@{new('urihost')}/{new('db')}?a={new('q')}"
    )
    await world.source("json", connection=json.dumps({"conn_type": "http", "password": new("jsonpw")}))
    await world.source("badextra", extra='{"token": "' + new("badextra"))
    await world.source("listextra", extra=json.dumps([new("listextra")]))
    await world.source("nullextra", extra=json.dumps({new("nullkey"): None}))
    await world.source("badport", port=new("badport"))
    await world.source("baduri", connection=f"{new('baduri')}://[{new('badhost')}:{new('baduriport')}")
    await world.source("badscheme", connection=new("noscheme"))
    await world.source("badjson", connection='{"password": "' + new("badjson"))
    await world.source("badkey", connection=json.dumps({new("jsonkey"): new("jsonvalue")}))
    await world.source("badbytes", password=new("bytes").encode() + b"\xff\xfe")
    await world.source("toolarge", password=new("large") + "x" * 131_072)
    await world.source("wrongtype", kind="example.com/other", password=new("wrongtype"))
    await world.source("nofields", unknown=new("unknown"))
    await world.source("newline", password=new("newline") + "\n")
    await world.source("control", password=new("control") + "\x00", login=new("surrogate"))
    await world.source("notinuri", login=new("notinuri"), extra=json.dumps({"a": {"b": [new("nested")]}}))


UNSOUND = (
    "badextra",
    "listextra",
    "nullextra",
    "badport",
    "baduri",
    "badscheme",
    "badjson",
    "badkey",
    "badbytes",
    "toolarge",
    "wrongtype",
    "nofields",
)
REST = ("sound", "uri", "json", "newline", "control", "notinuri")


async def _everything_else(world: World) -> dict[str, str]:
    """Every object of the namespaces but sources and rendered Secrets, metadata and managed fields included."""
    found = {}
    for namespace in world.namespaces:
        for kind in (*KINDS, "Event", "ConfigMap", "Secret"):
            for item in await world.kube.list(kind, namespace):
                meta = item["metadata"]
                labels = meta.get("labels", {})
                if kind == "Secret" and (RENDERED_LABEL in labels or SOURCE.items() <= labels.items()):
                    del item["data"]  # it holds values; what stands around must not
                found[f"{kind} {namespace}/{meta['name']}"] = json.dumps(item)
    return found


def _of_the_process(world: World) -> dict[str, str]:
    """What the operator's process shows."""
    process = world.stack.operator_running()
    assert process is not None, "it has ended"
    return {
        "the operator's log": Path(process.log).read_text()[process.log_offset :],
        "its arguments": Path(f"/proc/{process.pid}/cmdline").read_text(),
        "its environment": Path(f"/proc/{process.pid}/environ").read_text(),
        "its metrics": world.ask_process("/metrics"),
    }


async def _walk_through(world: World, plants: Plants) -> None:
    """Delivery, refusals, rotation, an outage, tampering, deletion."""
    await _plant(world, plants)
    await world.apply(
        workspace(),
        *(sourced(name, sharing="LinkedToAll") for name in (*UNSOUND, *REST)),
        deployment("local"),
        deployment("prod", format="URI"),
        link("sound", "local", secretRef={"name": "override"}),
    )
    for name in UNSOUND:
        await world.says_not("Connection", name, "Stored")
    for name in REST:
        await world.says("Connection", name, "Stored")
    await world.says("ConnectionLink", "sound-local", "Delivered")
    await world.source("sound", password=plants.new("rotated"), port=plants.new("rotatedport"))
    await world.says("Connection", "sound", "SourceInvalid")
    await world.source("sound", password=plants.new("rotatedagain"))
    await world.says("Connection", "sound", "Stored")
    async with world.vault_sealed():
        await world.source("sound", password=plants.new("sealed"))
        await world.says("Connection", "sound", "VaultUnavailable")
    await world.says("Connection", "sound", "Stored", limit=15)
    await world.drop("json")
    await world.says("Connection", "json", "SourceGoneKept", about="Stored")
    await world.vault.put(
        world.path("json"), password=plants.new("editedinvault"), unknown=plants.new("unknowninvault")
    )
    await world.says("Connection", "json", "StoredValueChanged")
    await world.vault.put(world.path("lake"), password=plants.new("foreign"))
    await world.source("lake", password=plants.new("intheway"))
    await world.apply(sourced("lake", sharing="LinkedToAll"))
    await world.says("Connection", "lake", "ForeignEntry")
    await world.delete("Connection", "uri")
    await world.gone("Connection", "uri")
    await world.apply(deployment("local", secretName="moved"))
    await world.vanished("Secret", "local-connections", world.team)


async def test_a_planted_value_appears_nowhere_else(quiet_world: World) -> None:
    world, plants = quiet_world, Plants()
    await world.start_process(JETBRIDGE_LOG_LEVEL="debug", JETBRIDGE_VAULT_CHECK_INTERVAL="1")
    await _walk_through(world, plants)
    places = {**await _everything_else(world), **await asyncio.to_thread(_of_the_process, world)}
    assert "jetbridge_reconciles_total" in places["its metrics"]
    assert "Vault is back" in places["the operator's log"]
    leaks = {place: found for place, text in places.items() if (found := plants.found_in(text))}
    assert leaks == {}


async def test_the_search_finds_what_is_there(quiet_world: World) -> None:
    """The test above would be worth nothing if it could not see."""
    world, plants = quiet_world, Plants()
    planted = plants.new("password")
    await world.apply(connection("careless", extra={"token": planted}))
    assert plants.found_in((await _everything_else(world))[f"Connection {world.team}/careless"]) == [planted]
    for before in ("", "a", "ab", "abc"):
        assert plants.found_in(base64.b64encode(f"{before}{planted}and more".encode()).decode()) == [planted]
