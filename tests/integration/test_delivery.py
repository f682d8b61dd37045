"""From applied resources to the Secret that an Airflow pod loads, and the entry in Vault."""

from __future__ import annotations

import pytest

from tests.support.kube import Refused
from tests.support.manifests import connection, deployment, link, sourced, workspace
from tests.support.world import World

pytestmark = pytest.mark.integration

DB = {"conn_type": "postgres", "host": "db"}


async def test_a_linked_connection_arrives_with_what_its_source_gives(world: World) -> None:
    await world.source("warehouse", login="etl", password="s3cret")
    await world.apply(sourced("warehouse", port=5432), deployment("local"), link("warehouse", "local"))
    await world.receives("local", warehouse={**DB, "port": 5432, "login": "etl", "password": "s3cret"})


async def test_everybody_is_told_of_a_delivery(world: World) -> None:
    await world.source("warehouse", password="s3cret")
    await world.apply(sourced("warehouse"), deployment("local"), link("warehouse", "local"))
    of_link = await world.says("ConnectionLink", "warehouse-local", "Delivered")
    of_deployment = await world.says("AirflowDeployment", "local", "Delivered")
    assert (of_link["delivered"], of_deployment["delivered"]) == ("1/1", "1/1")
    await world.operator.settled()
    of_connection = await world.says("Connection", "warehouse", "Stored")
    assert of_connection["delivered"] == "1/1"
    (listed,) = of_deployment["connections"]
    assert listed["id"] == "warehouse"
    assert listed["via"] == "link warehouse-local"
    assert listed["vault"] == [f"secret/jetbridge/{world.team}/connections/warehouse@1"]


async def test_the_entry_in_vault_holds_exactly_the_sourced_fields_and_says_whose_it_is(world: World) -> None:
    await world.source("warehouse", login="etl", password="s3cret", extra__role="reader")
    await world.apply(sourced("warehouse", port=5432, extra={"sslmode": "require"}))
    await world.stored("warehouse", {"login": "etl", "password": "s3cret", "extra": {"role": "reader"}}, version=1)
    await world.says("Connection", "warehouse", "Stored")
    entry = await world.entry("warehouse")
    made = await world.kube.get("Connection", "warehouse", world.team)
    system = await world.kube.get("Namespace", "kube-system", "")
    home = await world.kube.get("Namespace", world.team, "")
    assert entry is not None
    assert made is not None
    assert system is not None
    assert home is not None
    assert entry.custom_metadata == {
        "manager": "jetbridge",
        "cluster": system["metadata"]["uid"],
        "namespace_uid": home["metadata"]["uid"],
        "object_uid": made["metadata"]["uid"],
        "refs": made["status"]["vault"]["refs"],
    }


async def test_a_connection_without_sources_needs_no_vault_entry(world: World) -> None:
    await world.apply(connection("plain", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", plain=DB)
    await world.says("Connection", "plain", "Accepted")
    assert await world.vault.paths(world.team) == []


async def test_single_fields_come_from_keys_of_any_name(world: World) -> None:
    await world.source("bag", pw="s3cret", pem="-----BEGIN", other="no field")
    await world.apply(
        connection(
            "warehouse",
            sharing="LinkedToAll",
            fieldsFrom=[
                {"field": "password", "secretKeyRef": {"name": "bag", "key": "pw"}},
                {"field": "extra.private_key_content", "secretKeyRef": {"name": "bag", "key": "pem"}},
            ],
        ),
        deployment("local"),
    )
    await world.receives(
        "local", warehouse={**DB, "password": "s3cret", "extra": {"private_key_content": "-----BEGIN"}}
    )
    await world.stored("warehouse", {"password": "s3cret", "extra": {"private_key_content": "-----BEGIN"}}, version=1)


async def test_an_override_beats_a_default_field_by_field(world: World) -> None:
    await world.source("warehouse", login="etl", password="default")
    await world.source("production", password="override")
    await world.apply(
        workspace(),
        sourced("warehouse", port=5432),
        deployment("prod"),
        deployment("staging"),
        link("warehouse", "prod", host="prod.db", secretRef={"name": "production"}),
        link("warehouse", "staging"),
    )
    common = {"conn_type": "postgres", "port": 5432, "login": "etl"}
    await world.receives("prod", warehouse={**common, "host": "prod.db", "password": "override"})
    await world.receives("staging", warehouse={**common, "host": "db", "password": "default"})
    await world.stored("warehouse-prod", {"password": "override"}, version=1, collection="links")


async def test_a_plain_override_beats_a_sourced_default(world: World) -> None:
    await world.source("warehouse", host="from.source", password="s3cret")
    await world.apply(sourced("warehouse"), deployment("local"), link("warehouse", "local", host="from.link"))
    await world.receives("local", warehouse={**DB, "host": "from.link", "password": "s3cret"})


async def test_unset_takes_a_field_away(world: World) -> None:
    await world.source("warehouse", login="etl", password="s3cret", extra__token="t")
    await world.apply(
        sourced("warehouse", schema="public", extra={"sslmode": "require"}),
        deployment("local"),
        link("warehouse", "local", unset=["schema", "password", "extra.token"]),
    )
    await world.receives("local", warehouse={**DB, "login": "etl", "extra": {"sslmode": "require"}})


async def test_extra_is_merged_by_its_top_level_keys(world: World) -> None:
    await world.source("warehouse", extra='{"token": "t", "nested": {"a": 1}}')
    await world.apply(
        sourced("warehouse", extra={"sslmode": "require", "keepalives": 1}),
        deployment("local"),
        link("warehouse", "local", extra={"keepalives": 0, "nested": {"b": 2}}),
    )
    extra = {"token": "t", "sslmode": "require", "keepalives": 0, "nested": {"b": 2}}
    await world.receives("local", warehouse={**DB, "extra": extra})


async def test_linked_to_all_reaches_a_deployment_that_is_created_later(world: World) -> None:
    await world.source("aws", password="s3cret")
    await world.apply(workspace(), sourced("aws", sharing="LinkedToAll"))
    await world.says("Connection", "aws", "Stored")
    await world.apply(deployment("prod"))
    await world.receives("prod", aws={**DB, "password": "s3cret"})
    await world.apply(deployment("staging"))
    await world.receives("staging", aws={**DB, "password": "s3cret"})


async def test_a_deployment_without_connections_gets_an_empty_secret(world: World) -> None:
    await world.apply(deployment("local"))
    await world.receives("local")


async def test_switching_restricted_and_linked_to_all_keeps_overrides(world: World) -> None:
    await world.apply(
        workspace(),
        connection("warehouse"),
        deployment("prod"),
        deployment("staging"),
        link("warehouse", "prod", host="prod.db"),
    )
    await world.receives("prod", warehouse={**DB, "host": "prod.db"})
    await world.receives("staging")
    await world.apply(connection("warehouse", sharing="LinkedToAll"))
    await world.receives("staging", warehouse=DB)
    await world.keeps("prod", warehouse={**DB, "host": "prod.db"})
    await world.apply(connection("warehouse", sharing="Restricted"))
    await world.receives("staging")
    await world.keeps("prod", warehouse={**DB, "host": "prod.db"})


async def test_of_several_links_the_oldest_applies_and_the_next_takes_over(world: World) -> None:
    await world.apply(connection("warehouse"), deployment("local"), link("warehouse", "local", name="z", host="older"))
    await world.next_second()
    await world.apply(link("warehouse", "local", name="a", host="newer"))
    told = await world.says("ConnectionLink", "a", "Superseded", mentions="link z")
    assert told["conditions"][0]["status"] == "True", "being superseded is no failure"
    await world.keeps("local", warehouse={**DB, "host": "older"})
    await world.delete("ConnectionLink", "z")
    await world.receives("local", warehouse={**DB, "host": "newer"})
    await world.says("ConnectionLink", "a", "Delivered")


async def test_of_ids_that_differ_in_case_the_oldest_wins_and_the_next_takes_over(world: World) -> None:
    await world.apply(
        deployment("local"), connection("z", connectionId="Warehouse", host="older"), link("z", "local", name="lz")
    )
    await world.next_second()
    await world.apply(connection("a", connectionId="warehouse", host="newer"), link("a", "local", name="la"))
    await world.says("ConnectionLink", "la", "NameTaken", mentions="Connection z")
    await world.keeps("local", warehouse={**DB, "host": "older"})
    await world.delete("ConnectionLink", "lz")
    await world.receives("local", warehouse={**DB, "host": "newer"})
    await world.says("ConnectionLink", "la", "Delivered")


async def test_a_link_by_name_beats_linked_to_all(world: World) -> None:
    await world.apply(connection("all", connectionId="warehouse", host="all", sharing="LinkedToAll"))
    await world.next_second()
    await world.apply(
        connection("named", connectionId="WAREHOUSE", host="named"), deployment("local"), link("named", "local")
    )
    await world.receives("local", warehouse={**DB, "host": "named"})


async def test_the_workspace_that_is_listed_first_wins(world: World) -> None:
    second = connection("warehouse", host="staging", sharing="LinkedToAll")
    second["metadata"]["namespace"] = "$staging"
    consent = workspace()
    consent["metadata"]["namespace"] = "$staging"
    await world.apply(workspace(), consent, connection("warehouse", host="team", sharing="LinkedToAll"), second)
    await world.apply(deployment("prod", "staging", "team"))
    await world.receives("prod", warehouse={**DB, "host": "staging"})
    await world.apply(deployment("prod", "team", "staging"))
    await world.receives("prod", warehouse={**DB, "host": "team"})


async def test_uri_format(world: World) -> None:
    await world.source("warehouse", login="etl", password="p@ss/w%rd")
    await world.apply(sourced("warehouse", port=5432, schema="public"), deployment("local", format="URI"))
    await world.apply(link("warehouse", "local"))
    await world.has_raw("local", AIRFLOW_CONN_WAREHOUSE="postgres://etl:p%40ss%2Fw%25rd@db:5432/public")


async def test_switching_the_format_renders_anew(world: World) -> None:
    await world.apply(connection("plain", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", plain=DB)
    await world.apply(deployment("local", format="URI"))
    await world.has_raw("local", AIRFLOW_CONN_PLAIN="postgres://db")


async def test_a_changed_secret_name_moves_the_secret(world: World) -> None:
    await world.apply(connection("plain", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", plain=DB)
    await world.apply(deployment("local", secretName="elsewhere"))
    await world.receives("local", "elsewhere", plain=DB)
    await world.vanished("Secret", "local-connections", world.team)


async def test_a_plain_field_changed_arrives(world: World) -> None:
    await world.source("warehouse", password="s3cret")
    await world.apply(sourced("warehouse"), deployment("local"), link("warehouse", "local"))
    await world.receives("local", warehouse={**DB, "password": "s3cret"})
    await world.apply(sourced("warehouse", host="new.db"))
    await world.receives("local", warehouse={**DB, "host": "new.db", "password": "s3cret"})
    await world.stored("warehouse", {"password": "s3cret"}, version=1)


async def test_a_link_removed_takes_its_connection_out(world: World) -> None:
    await world.apply(connection("one"), connection("two"), deployment("local"), link("one", "local"))
    await world.apply(link("two", "local"))
    await world.receives("local", one=DB, two=DB)
    await world.delete("ConnectionLink", "one-local")
    await world.receives("local", two=DB)


async def test_sharing_restricted_takes_the_connection_out(world: World) -> None:
    await world.apply(connection("plain", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", plain=DB)
    await world.apply(connection("plain"))
    await world.receives("local")


async def test_one_bad_connection_does_not_hold_up_the_others(world: World) -> None:
    await world.source("good", password="s3cret")
    await world.source("bad", port="no number")
    await world.apply(
        sourced("good", sharing="LinkedToAll"),
        sourced("bad", sharing="LinkedToAll"),
        sourced("absent", sharing="LinkedToAll"),
        deployment("local"),
    )
    await world.receives("local", good={**DB, "password": "s3cret"})
    status = await world.says("AirflowDeployment", "local", "SourceMissing")
    assert {p["id"]: p["reason"] for p in status["problems"]} == {"bad": "SourceInvalid", "absent": "SourceMissing"}
    assert status["delivered"] == "1/3"
    await world.says("Connection", "bad", "SourceInvalid", mentions="key 'port'")


async def test_what_was_good_stays_whole_when_a_source_becomes_invalid(world: World) -> None:
    await world.source("warehouse", password="s3cret", port="5432")
    await world.apply(sourced("warehouse", sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", warehouse={**DB, "password": "s3cret", "port": 5432})
    before = await world.raw("local")
    await world.source("warehouse", password="n3w", port="no number")
    await world.apply(sourced("warehouse", sharing="LinkedToAll", host="new.db"))
    await world.says("AirflowDeployment", "local", "SourceInvalid")
    assert await world.raw("local") == before, "the last good entry stays byte for byte"
    await world.stored("warehouse", {"password": "s3cret", "port": 5432}, version=1)
    await world.source("warehouse", password="n3w", port="5433")
    await world.receives("local", warehouse={**DB, "host": "new.db", "password": "n3w", "port": 5433})


async def test_a_source_too_large_for_an_environment_is_refused_and_others_are_delivered(world: World) -> None:
    await world.source("large", password="x" * 131_072)
    await world.apply(
        connection("plain", sharing="LinkedToAll"), sourced("large", sharing="LinkedToAll"), deployment("local")
    )
    await world.receives("local", plain=DB)
    await world.says("Connection", "large", "SourceInvalid", mentions="131071")
    await world.says("AirflowDeployment", "local", "SourceInvalid", mentions="131071")


async def test_an_entry_too_large_for_an_environment_is_refused_and_others_are_delivered(world: World) -> None:
    """Each layer would fit; both together do not."""
    await world.source("large", password="x" * 70_000)
    await world.source("larger", login="x" * 70_000)
    await world.apply(
        connection("plain", sharing="LinkedToAll"),
        sourced("large"),
        deployment("local"),
        link("large", "local", secretRef={"name": "larger"}),
    )
    await world.receives("local", plain=DB)
    await world.says("AirflowDeployment", "local", "NotRepresentable", mentions="131071")


async def test_what_does_not_fit_into_one_secret_is_told_and_the_rest_is_delivered(world: World) -> None:
    names = [f"large{n}" for n in range(9)]
    for name in names:
        await world.source(name, password="x" * 125_000)
        await world.apply(sourced(name, sharing="LinkedToAll"))
        await world.says("Connection", name, "Stored")
    await world.apply(deployment("local"))
    status = await world.says("AirflowDeployment", "local", "TooLarge")
    assert status["delivered"] == "8/9"
    assert len(await world.raw("local")) == 8


@pytest.mark.parametrize("reserved", ["airflow_db", "AIRFLOW_DB", "a___b", ".hidden"])
async def test_a_reserved_id_is_refused(quiet_world: World, reserved: str) -> None:
    with pytest.raises(Refused, match="connectionId"):
        await quiet_world.apply(connection("reserved", connectionId=reserved))


async def test_an_object_that_breaks_a_rule_keeps_what_it_gave(world: World) -> None:
    """What only the reconciler sees: the API server does not look into `extra`."""
    await world.apply(connection("plain", extra={"a": "b"}, sharing="LinkedToAll"), deployment("local"))
    await world.receives("local", plain={**DB, "extra": {"a": "b"}})
    await world.apply(connection("plain", host="new", extra={"a": {"b": None}}, sharing="LinkedToAll"))
    await world.says("Connection", "plain", "InvalidSpec", mentions="null")
    await world.says("AirflowDeployment", "local", "InvalidSpec")
    await world.keeps("local", plain={**DB, "extra": {"a": "b"}})
