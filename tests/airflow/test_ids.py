"""Ids that we accept are found by Airflow; those that we refuse are refused for a reason that can be seen."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetbridge.core.airflow import (
    MAX_CONNECTION_ID_LENGTH,
    AirflowConnection,
    IdReason,
    check_connection_id,
    env_name,
    render_json,
)
from tests.airflow.client import Oracle

pytestmark = pytest.mark.airflow

VALUE = render_json(AirflowConnection(conn_type="http", host="found"))

ids = st.one_of(
    st.from_regex(r"[A-Za-z0-9._-]{1,30}", fullmatch=True),
    st.text("aZ_.-0", min_size=1, max_size=8),
    st.text(max_size=6).filter(lambda text: "\x00" not in text),
)


def found(airflow: Oracle, conn_id: str, name: str, **more: str) -> bool:
    views = airflow.resolve(conn_id, {name: VALUE, **more})
    return all(view.get("host") == "found" for view in views.values())


@settings(max_examples=300, deadline=None)
@given(conn_id=ids)
def test_accepted_id_is_found(airflow: Oracle, conn_id: str) -> None:
    if check_connection_id(conn_id) is None:
        assert found(airflow, conn_id, env_name(conn_id))


@pytest.mark.parametrize(
    "conn_id",
    [
        "a",
        "A",
        "aws_default",
        "my-conn",
        "my.conn",
        "-",
        "_",
        "__a",
        "a__",
        "7",
        "a" * MAX_CONNECTION_ID_LENGTH,
        "airflow_db2",
    ],
)
def test_named_id_is_found(airflow: Oracle, conn_id: str) -> None:
    assert check_connection_id(conn_id) is None
    assert found(airflow, conn_id, env_name(conn_id))


def test_ids_that_differ_in_case_are_one(airflow: Oracle) -> None:
    assert found(airflow, "Aws_Default", env_name("aws_default"))


def test_dash_is_not_an_underscore(airflow: Oracle) -> None:
    assert not found(airflow, "a-b", "AIRFLOW_CONN_A_B")


def test_team_separator_is_not_found_with_multi_team(airflow: Oracle) -> None:
    problem = check_connection_id("_team___x")
    assert problem is not None
    assert problem.reason is IdReason.TEAM_SEPARATOR
    name = env_name("_team___x")
    assert name == "AIRFLOW_CONN__TEAM___X"
    teams = found(airflow, "_team___x", name, AIRFLOW__CORE__MULTI_TEAM="True")
    assert teams == airflow.version.startswith("2.")
