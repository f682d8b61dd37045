"""What we render in JSON comes back from Airflow field for field."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings

from jetbridge.core.airflow import MAX_EXTRA_DEPTH, AirflowConnection, NotRepresentable, render_json
from jetbridge.core.jsonvalue import JsonValue
from tests.airflow.client import Oracle, View
from tests.airflow.connections import EVERYTHING, NAMED, connections, fields

pytestmark = pytest.mark.airflow


def comparable(view: View) -> View:
    """A view in the form of `fields`."""
    return {**view, "extra": json.dumps(view["extra"], sort_keys=True)} if "extra" in view else view


@pytest.mark.parametrize("conn", NAMED.values(), ids=NAMED)
def test_named_connection_comes_back(airflow: Oracle, conn: AirflowConnection) -> None:
    for view, got in airflow.read(render_json(conn)).items():
        assert comparable(got) == fields(conn), view


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conn=connections)
@example(conn=EVERYTHING)
def test_any_connection_comes_back(airflow: Oracle, conn: AirflowConnection) -> None:
    for view, got in airflow.read(render_json(conn)).items():
        assert comparable(got) == fields(conn), view


def test_deepest_extra_comes_back(airflow: Oracle) -> None:
    value: JsonValue = "bottom"
    for level in range(MAX_EXTRA_DEPTH - 1):
        value = [value] if level % 2 else {"a": value}
    conn = AirflowConnection(conn_type="http", extra={"a": value})
    for view, got in airflow.read(render_json(conn)).items():
        assert comparable(got) == fields(conn), view
    with pytest.raises(NotRepresentable, match=r"extra\.a: .*deeper"):
        render_json(AirflowConnection(conn_type="http", extra={"a": [value]}))


def test_comes_back_from_the_environment_of_a_process(airflow_python: Path) -> None:
    """Not set by Airflow's own process, but handed to it, as Kubernetes does; the id has what shells don't take."""
    with Oracle(airflow_python, {"AIRFLOW_CONN_A.B-C": render_json(EVERYTHING)}) as airflow:
        for view, got in airflow.resolve("a.b-C", {}).items():
            assert comparable(got) == fields(EVERYTHING), view


# What we refuse or change, and what Airflow would do.


@pytest.mark.parametrize(
    ("value", "want"),
    [
        ('{"conn_type": "postgresql"}', ("conn_type", "postgres")),
        ('{"conn_type": "a-b-C"}', ("conn_type", "a_b_C")),
        ('{"conn_type": "http", "port": "5432"}', ("port", 5432)),
        ('{"conn_type": "http", "port": 0}', ("port", None)),
        ('{"conn_type": "http", "port": ""}', ("port", None)),
        ('{"conn_type": "http", "port": 99999}', ("port", 99999)),
        ('{"conn_type": "http", "extra": "{\\"a\\": 1}"}', ("extra", {"a": 1})),
        ("{}", ("conn_type", None)),
        ("\ufeff{}", ("conn_type", "")),
        ('[{"conn_type": "http"}]', ("conn_type", "")),
        ('"{}"', ("conn_type", "")),
    ],
)
def test_what_airflow_makes_of_other_json(airflow: Oracle, value: str, want: tuple[str, object]) -> None:
    field, expected = want
    for view, got in airflow.read(value).items():
        assert got[field] == expected, view


def test_empty_password_is_none_on_the_server(airflow: Oracle) -> None:
    views = airflow.read('{"conn_type": "http", "password": ""}')
    assert views["server"]["password"] is None
    assert views.get("task", {"password": ""})["password"] == ""


def test_nan_is_taken_by_airflow_and_refused_by_us(airflow: Oracle) -> None:
    for view, got in airflow.read('{"conn_type": "http", "extra": {"a": NaN}}').items():
        assert math.isnan(got["extra"]["a"]), view
    with pytest.raises(NotRepresentable, match=r"extra\.a: .*NaN"):
        render_json(AirflowConnection(conn_type="http", extra={"a": math.nan}))


@pytest.mark.parametrize(
    "value",
    [
        '{"conn_type": "http", "password": 123}',
        '{"conn_type": "http", "password": "\\ud800"}',
        '{"conn_type": "http", "login": "\\ud800"}',
        '{"conn_type": "http", "conn_id": "x"}',
        '{"conn_type": "http", "extra": {"a": ' + "1" * 5000 + "}}",
        '{"conn_type": "http", "port": "x"}',
        '{"conn_type": "http", "host": ',
        "   ",
    ],
)
def test_what_airflow_loses(airflow: Oracle, value: str) -> None:
    assert "error" in airflow.read(value)["server"]
