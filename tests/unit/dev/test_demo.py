"""What the demo tells and checks, on the quickstart's own manifests: no server is needed."""

from __future__ import annotations

import base64
import copy
import io
from typing import Any

import pytest
from rich.console import Console

from dev import demo_checks, demo_tables
from dev.demo_checks import PROD, STAGING, STATUS_API, WAREHOUSE, WORKSPACE
from dev.demo_examples import Examples, not_ready
from dev.demo_vault import VaultEntry
from dev.demo_world import Delivered, ObjectRef, World, masked
from jetbridge.core.plan import render
from jetbridge.core.sources import refs_fingerprint
from jetbridge.core.views import connection_view, link_view

CLUSTER = "cluster-uid"
OWN = ("quickstart-first-password", "quickstart-prod-password")
Objects = dict[ObjectRef, dict[str, Any]]


def quickstart() -> Objects:
    """The quickstart as an API server would have it once all is delivered."""
    objects: Objects = {}
    for number, document in enumerate(copy.deepcopy(Examples().documents)):
        meta = document["metadata"]
        meta |= {"uid": f"uid-{number}", "resourceVersion": str(number + 1), "generation": 1}
        meta["creationTimestamp"] = f"2026-01-01T00:00:{number:02}Z"
        if "stringData" in document:
            document["data"] = {key: encoded(value) for key, value in document.pop("stringData").items()}
        condition = {"type": "Ready", "status": "True", "observedGeneration": 1}
        document["status"] = {"conditions": [condition]}
        objects[(document["kind"], meta.get("namespace", ""), meta["name"])] = document
    for kind, name, collection in (
        ("Connection", "warehouse", "connections"),
        ("ConnectionLink", "warehouse-prod", "links"),
    ):
        raw = objects[(kind, WORKSPACE, name)]
        fields = (connection_view(raw) if kind == "Connection" else link_view(raw)).fields
        assert fields is not None
        path = f"secret/jetbridge/{WORKSPACE}/{collection}/{name}"
        raw["status"]["vault"] = {"path": path, "version": 1, "digest": "k:d", "refs": refs_fingerprint(fields)}
    for namespace, name in (PROD, STAGING):
        rendered = {
            item.entry.env_name: render(item.fields, "JSON")[0] for item in World(objects).delivered(namespace, name)
        }
        secret = f"{name}-connections"
        objects[("Secret", namespace, secret)] = {
            "metadata": {
                "name": secret,
                "namespace": namespace,
                "uid": secret,
                "resourceVersion": "99",
                "labels": {"jetbridge.dev/rendered": "true"},
            },
            "data": {key: encoded(value) for key, value in rendered.items()},
        }
    return objects


def encoded(text: str) -> str:
    """As in a Secret."""
    return base64.b64encode(text.encode()).decode()


def all_items(world: World) -> list[Delivered]:
    """Both deployments' connections."""
    return [*world.delivered(*PROD), *world.delivered(*STAGING)]


def entries(world: World) -> list[VaultEntry]:
    """Vault as it should be."""
    found = []
    for kind, name, collection, content in (
        ("Connection", "warehouse", "connections", {"login": "etl", "password": OWN[0]}),
        ("ConnectionLink", "warehouse-prod", "links", {"password": OWN[1]}),
    ):
        custom = {
            "manager": "jetbridge",
            "cluster": CLUSTER,
            "namespace_uid": world.get("Namespace", "", WORKSPACE)["metadata"]["uid"],
            "object_uid": world.get(kind, WORKSPACE, name)["metadata"]["uid"],
            "refs": world.get(kind, WORKSPACE, name)["status"]["vault"]["refs"],
        }
        path = f"secret/jetbridge/{WORKSPACE}/{collection}/{name}"
        found.append(VaultEntry(kind, WORKSPACE, name, path, 1, custom, content))
    return found


def unseen(world: World) -> list[str]:
    """The claims about delivery that do not hold."""
    return [check.claim for check in demo_checks.delivery(world, all_items(world)) if not check.seen]


def test_the_quickstart_as_delivered_passes() -> None:
    """Every claim holds in a world that is as it should be."""
    world = World(quickstart())
    assert unseen(world) == []
    assert all(check.seen for check in demo_checks.in_vault(world, entries(world), CLUSTER))
    assert all(check.seen for check in demo_checks.nothing_shown(world, {"log": "all is well"}, OWN))
    assert not_ready(world, Examples().refs("Connection", "ConnectionLink", "AirflowDeployment", "Workspace")) == {}


@pytest.mark.parametrize(
    ("deployment", "key", "text", "claim"),
    [
        (PROD, WAREHOUSE, '{"conn_type":"postgres","host":"dev.db.internal"}', "prod's warehouse"),
        (STAGING, WAREHOUSE, '{"conn_type":"postgres","host":"prod.db.internal"}', "staging's warehouse"),
        (STAGING, STATUS_API, "no JSON", "LinkedToAll"),
        (PROD, "AIRFLOW_CONN_FOREIGN", "{}", "exactly the two"),
    ],
)
def test_what_is_not_there_is_named(deployment: tuple[str, str], key: str, text: str, claim: str) -> None:
    """A wrong Secret fails the very claim."""
    objects = quickstart()
    objects[("Secret", deployment[0], f"{deployment[1]}-connections")]["data"][key] = encoded(text)
    assert any(claim in one for one in unseen(World(objects)))


def test_nothing_delivered_fails_without_a_traceback() -> None:
    """Empty worlds are judged as well."""
    assert len(unseen(World({}))) == 5
    assert not any(check.seen for check in demo_checks.in_vault(World({}), [], CLUSTER))


def test_vault_must_hold_exactly_the_source_and_say_whose_it_is() -> None:
    """One more field, or another owner, is seen."""
    world = World(quickstart())
    first, second = entries(world)
    more = VaultEntry(
        first.kind, WORKSPACE, first.name, first.path, 1, first.custom_metadata, {**first.content, "host": "x"}
    )
    foreign = VaultEntry(second.kind, WORKSPACE, second.name, second.path, 1, {}, second.content)
    found = [check.seen for check in demo_checks.in_vault(world, [more, foreign], CLUSTER)]
    assert found == [False, True, True, False]


def test_a_value_in_a_status_is_seen() -> None:
    """And in an annotation of a rendered Secret, and in a log."""
    objects = quickstart()
    objects[("Connection", WORKSPACE, "warehouse")]["status"]["message"] = f"it is {OWN[0]}"
    objects[("Secret", PROD[0], "prod-connections")]["metadata"]["annotations"] = {"x": OWN[1]}
    found = demo_checks.nothing_shown(World(objects), {"log": f"... {OWN[1]}", "event": ""}, OWN)
    assert [check.seen for check in found] == [False, False, False, True]


def test_tables_show_no_value_of_a_source() -> None:
    """Whatever table it is; plain values are shown, with where they came from."""
    world = World(quickstart())
    out = io.StringIO()
    console = Console(file=out, width=200)
    items = all_items(world)
    for table in (demo_tables.deliveries, demo_tables.fields, demo_tables.secrets):
        table(console, items)
    demo_tables.vault(console, entries(world))
    text = out.getvalue()
    assert not any(value in text for value in (*OWN, "etl"))
    assert "prod.db.internal" in text
    assert "link warehouse-prod: Secret warehouse-prod, key password" in text
    assert "link warehouse-prod: unset" in text
    assert '"login":"***","password":"***"' in text


def test_a_secret_that_is_not_as_planned_is_not_shown() -> None:
    """What stands in it may be anything."""
    objects = quickstart()
    objects[("Secret", PROD[0], "prod-connections")]["data"] = {WAREHOUSE: encoded('{"extra":{"token":"hidden"}}')}
    api, warehouse = World(objects).delivered(*PROD)
    assert (masked(api), masked(warehouse)) == ("missing", "***")


def test_ready_counts_only_at_the_generation_and_says_what_is_wrong() -> None:
    """An old Ready is none."""
    objects = quickstart()
    refs: list[ObjectRef] = [("AirflowDeployment", *PROD), ("AirflowDeployment", *STAGING), ("Connection", "a", "b")]
    objects[refs[0]]["metadata"]["generation"] = 2
    objects[refs[1]]["status"]["conditions"][0] |= {"status": "False", "message": "because"}
    assert not_ready(World(objects), refs) == {refs[0]: "nothing yet", refs[1]: "because", refs[2]: "not there"}
