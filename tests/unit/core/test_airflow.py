"""Ids, sizes, JSON and whole connections, without Airflow; `tests/airflow` asks Airflow itself."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetbridge.core.airflow import (
    MAX_CONNECTION_ID_LENGTH,
    MAX_ENTRY_BYTES,
    MAX_EXTRA_DEPTH,
    AirflowConnection,
    ConnectionSyntaxError,
    IdReason,
    NotRepresentable,
    canonical,
    check_connection_id,
    connection_id_warnings,
    default_connection_id,
    entry_size,
    env_name,
    normalise_conn_type,
    parse_connection,
    render_json,
    render_uri,
)
from jetbridge.core.jsonvalue import JsonValue, find_null
from tests.airflow.connections import NAMED, connections, fields

PLANTED = "Hunter2Planted"


# Ids


@pytest.mark.parametrize(
    "connection_id", ["a", "aws_default", "My-Conn.2", "_", "__", "-", "a" * MAX_CONNECTION_ID_LENGTH]
)
def test_id_accepted(connection_id: str) -> None:
    assert check_connection_id(connection_id) is None


@pytest.mark.parametrize(
    ("connection_id", "reason"),
    [
        ("", IdReason.EMPTY),
        ("a" * (MAX_CONNECTION_ID_LENGTH + 1), IdReason.TOO_LONG),
        ("a b", IdReason.BAD_CHARACTER),
        ("a\n", IdReason.BAD_CHARACTER),
        ("é", IdReason.BAD_CHARACTER),
        ("a/b", IdReason.BAD_CHARACTER),
        (".a", IdReason.LEADING_DOT),
        ("..", IdReason.LEADING_DOT),
        ("airflow_db", IdReason.RESERVED),
        ("Airflow_DB", IdReason.RESERVED),
        ("a___b", IdReason.TEAM_SEPARATOR),
        ("____", IdReason.TEAM_SEPARATOR),
    ],
)
def test_id_refused(connection_id: str, reason: IdReason) -> None:
    problem = check_connection_id(connection_id)
    assert problem is not None
    assert problem.reason is reason
    assert problem.message.isascii()
    assert problem.message.isprintable()


@given(st.text(max_size=300))
def test_accepted_id_makes_a_key_of_a_secret(connection_id: str) -> None:
    if check_connection_id(connection_id) is None:
        assert connection_id.isascii()
        assert len(env_name(connection_id)) <= 253


def test_names() -> None:
    assert env_name("my.Conn-1") == "AIRFLOW_CONN_MY.CONN-1"
    assert default_connection_id("aws-default.v2") == "aws_default_v2"


def test_id_warnings_name_the_characters() -> None:
    assert connection_id_warnings("aws_default") == ()
    (warning,) = connection_id_warnings("a.b-c")
    assert "'.' and '-'" in warning
    assert "'.'" not in connection_id_warnings("a-b")[0]


# Sizes


def test_entry_at_the_limit_starts_a_process_and_one_more_byte_does_not() -> None:
    name = "AIRFLOW_CONN_X"
    value = "é" + "x" * (MAX_ENTRY_BYTES - len(name) - 3)
    assert entry_size(name, value) == MAX_ENTRY_BYTES
    command = [sys.executable, "-I", "-S", "-c", "import os; print(len(os.environb[b'AIRFLOW_CONN_X']))"]
    done = subprocess.run(command, env={name: value}, capture_output=True, check=True, timeout=60)
    assert int(done.stdout) == len(value.encode())
    if sys.platform == "linux" and os.sysconf("SC_PAGE_SIZE") == 4096:
        with pytest.raises(OSError, match="too long"):
            subprocess.run(command, env={name: value + "x"}, check=True, timeout=60)


# Rendering JSON


def test_json_is_one_line_of_ascii_with_sorted_keys_and_without_nulls() -> None:
    conn = AirflowConnection(
        conn_type="postgresql",
        host="h",
        login="é",
        password="a\nb",
        port=5432,
        extra={"b": {"d": 1, "c": None}, "a": "x"},
    )
    assert render_json(conn) == (
        '{"conn_type":"postgres","extra":{"a":"x","b":{"c":null,"d":1}},"host":"h","login":"\\u00e9",'
        '"password":"a\\nb","port":5432}'
    )


@given(connections)
def test_json_reads_back(conn: AirflowConnection) -> None:
    text = render_json(conn)
    assert text.isascii()
    assert text.isprintable()
    assert fields(parse_connection(text)) == fields(conn)
    assert fields(parse_connection(f"\n {text}\r\n")) == fields(conn)


@given(connections, st.randoms())
def test_rendering_does_not_depend_on_the_order_of_extra(conn: AirflowConnection, random: Any) -> None:
    keys = list(conn.extra)
    random.shuffle(keys)
    other = AirflowConnection(**{**as_dict(conn), "extra": {key: conn.extra[key] for key in keys}})
    assert render_json(other) == render_json(conn)
    assert outcome(other) == outcome(conn)


def as_dict(conn: AirflowConnection) -> dict[str, Any]:
    return {name: getattr(conn, name) for name in fields(conn)}


def outcome(conn: AirflowConnection) -> object:
    try:
        return render_uri(conn)
    except NotRepresentable as refused:
        return refused.problems


def deep(levels: int) -> JsonValue:
    value: JsonValue = PLANTED
    for _ in range(levels):
        value = {PLANTED: [value]}
    return value


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no type": ({"conn_type": None}, "conn_type"),
    "empty type": ({"conn_type": ""}, "conn_type"),
    "port 0": ({"port": 0}, "port"),
    "port too high": ({"port": 65536}, "port"),
    "negative port": ({"port": -1}, "port"),
    "port is a bool": ({"port": True}, "port"),
    "surrogate in the password": ({"password": PLANTED + "\ud800"}, "password"),
    "surrogate in the type": ({"conn_type": PLANTED + "\udfff"}, "conn_type"),
    "surrogate in extra": ({"extra": {"a": [PLANTED + "\udc80"]}}, "extra.a"),
    "surrogate in a key": ({"extra": {PLANTED + "\udc80": 1}}, "a key of extra"),
    "surrogate in a nested key": ({"extra": {"a": {PLANTED + "\udc80": 1}}}, "extra.a"),
    "NaN": ({"extra": {"a": {"b": [math.nan]}}}, "extra.a"),
    "infinity": ({"extra": {"a": -math.inf}}, "extra.a"),
    "huge number": ({"extra": {"a": 10**5000}}, "extra.a"),
    "too deep": ({"extra": {"a": deep(MAX_EXTRA_DEPTH)}}, "extra.a"),
    "far too deep": ({"extra": {"a": deep(50_000)}}, "extra.a"),
    "key is no text": ({"extra": {"a": {1: PLANTED}}}, "extra.a"),
    "top key is no text": ({"extra": {1: PLANTED}}, "a key of extra"),
    "no JSON": ({"extra": {"a": PLANTED.encode()}}, "extra.a"),
}


@pytest.mark.parametrize(("change", "named"), REFUSED.values(), ids=REFUSED)
def test_refused_in_every_format(change: dict[str, Any], named: str) -> None:
    conn = AirflowConnection(**{"conn_type": "http", "login": PLANTED, **change})
    for render in (render_json, render_uri):
        with pytest.raises(NotRepresentable) as caught:
            render(conn)
        assert [problem.partition(":")[0].partition(" (")[0] for problem in caught.value.problems] == [named]
        check_silent(caught.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(NotRepresentable) as caught:
        render_json(AirflowConnection(port=0, extra={"a": math.nan, "b": math.inf}))
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "conn_type",
        "port",
        "extra.a",
        "extra.b",
    ]


def check_silent(error: BaseException) -> None:
    """Neither the error nor what hangs on to it holds the planted value."""
    assert error.__context__ is None
    assert error.__cause__ is None
    assert PLANTED.lower() not in f"{error!s} {error!r} {error.args!r} {vars(error)!r}".lower()


def test_repr_tells_which_fields_are_set_and_no_value() -> None:
    conn = AirflowConnection(conn_type=PLANTED, password=PLANTED, login="", extra={PLANTED: PLANTED})
    assert repr(conn) == f"{conn!s}" == "AirflowConnection(set: conn_type, login, password, extra)"
    assert repr(AirflowConnection()) == "AirflowConnection(set: nothing)"


def test_repr_of_a_rendered_uri_hides_it() -> None:
    assert PLANTED not in repr(render_uri(AirflowConnection(conn_type="http", host=PLANTED)))


@given(st.text())
def test_normalising_is_idempotent(conn_type: str) -> None:
    once = normalise_conn_type(conn_type)
    assert normalise_conn_type(once) == once


@given(connections)
def test_canonical_is_idempotent(conn: AirflowConnection) -> None:
    assert canonical(canonical(conn)) == canonical(conn)


# Reading whole connections


def test_reads_json_as_airflow_does() -> None:
    text = (
        ' {"conn_type": "a-b", "port": "5432", "password": "", "schema": "", "host": null, "extra": "{\\"a\\": [1]}"}\n'
    )
    assert parse_connection(text) == AirflowConnection(conn_type="a_b", port=5432, schema="", extra={"a": [1]})


@pytest.mark.parametrize("port", ["0", '""', '"0"', "null"])
def test_port_that_airflow_takes_as_none(port: str) -> None:
    assert parse_connection(f'{{"conn_type": "http", "port": {port}}}').port is None


@pytest.mark.parametrize("extra", ["{}", '""', "null", '"{}"'])
def test_extra_that_is_none(extra: str) -> None:
    assert parse_connection(f'{{"conn_type": "http", "extra": {extra}}}').extra == {}


BAD = {
    "empty": ("", "empty"),
    "whitespace": (" \n", "empty"),
    "BOM": ("\ufeff" + '{"conn_type": "http"}', "byte order mark"),
    "list": ('[{"conn_type": "http"}]', "list"),
    "double-encoded": (json.dumps('{"conn_type": "http"}'), "quotes"),
    "quoted URI": (f"'http://{PLANTED}'", "quotes"),
    "no type": ('{"host": "h"}', "conn_type: it is missing"),
    "null type": ('{"conn_type": null}', "conn_type: it is missing"),
    "empty type": ('{"conn_type": ""}', "conn_type: it is missing"),
    "conn_id": ('{"conn_type": "http", "conn_id": "x"}', "'conn_id' is no field"),
    "Astro's names": ('{"conn_type": "http", "conn_password": "x"}', "write password"),
    "misspelt": ('{"conn_type": "http", "passwort": "x"}', "key number 2 is no field .*did you mean password"),
    "unknown": (f'{{"{PLANTED}": "x"}}', "key number 1 is no field"),
    "cut off": (f'{{"conn_type": "{PLANTED}', "Unterminated string at line 1, column 15"),
    "no comma": (f'{{"conn_type": "http"\n"a": "{PLANTED}"}}', "',' delimiter at line 2, column 1"),
    "raw line break": (f'{{"password": "{PLANTED}\n"}}', "Invalid control character at line 1, column 29"),
    "bad escape": (f'{{"password": "\\{PLANTED}"}}', "Invalid .escape"),
    "trailing comma": (f'{{"password": "{PLANTED}",}}', "not a|property name|trailing comma"),
    "trailing text": (f'{{"conn_type": "http"}} {PLANTED}', "Extra data"),
    "single quotes": (f"{{'conn_type': '{PLANTED}'}}", "property name enclosed in double quotes"),
    "repeated": (f'{{"conn_type": "http", "host": "{PLANTED}", "host": ""}}', "twice"),
    "NaN": ('{"conn_type": "http", "extra": {"a": NaN}}', "NaN"),
    "infinity by size": ('{"conn_type": "http", "extra": {"a": 1e999}}', r"extra\.a: .*infinity"),
    "huge number": (f'{{"conn_type": "http", "extra": {{"a": {"1" * 5000}}}}}', "thousands of digits"),
    "too deep": (f'{{"conn_type": "http", "extra": {{"a": {"[" * 80}{"]" * 80}}}}}', r"extra\.a: .*deeper"),
    "far too deep": ('{"extra": ' + "[" * 200_000, "nested too deeply"),
    "number as password": ('{"conn_type": "http", "password": 123}', "password must be a text"),
    "number as host": ('{"conn_type": "http", "host": 123}', "host must be a text"),
    "list as type": ('{"conn_type": []}', "conn_type must be a text"),
    "port is a word": (f'{{"conn_type": "http", "port": "{PLANTED}"}}', "port must be"),
    "port is a fraction": ('{"conn_type": "http", "port": 1.5}', "port must be"),
    "port is true": ('{"conn_type": "http", "port": true}', "port must be"),
    "port with underscores": ('{"conn_type": "http", "port": "5_432"}', "port must be"),
    "port too high": ('{"conn_type": "http", "port": 99999}', "port: it must be"),
    "extra is a list": ('{"conn_type": "http", "extra": []}', "extra must be"),
    "extra is false": ('{"conn_type": "http", "extra": false}', "extra must be"),
    "extra is a text": (f'{{"conn_type": "http", "extra": "{PLANTED}"}}', "extra is no valid JSON"),
    "extra is text of a list": ('{"conn_type": "http", "extra": "[1]"}', "extra must be a JSON object"),
    "surrogate": ('{"conn_type": "http", "password": "\\ud800"}', "password: .*surrogate"),
    "raw surrogate in a URI": ("http://h/\udc80", "schema: .*surrogate"),
    "text": (PLANTED, "neither a JSON object"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_refuses_with_a_reason_and_without_the_text(text: str, message: str) -> None:
    with pytest.raises(ConnectionSyntaxError, match=message) as caught:
        parse_connection(text)
    check_silent(caught.value)


marks = st.sampled_from([*"{}[]\",:/@?#%&=\\\n '", "://", "__extra__", "%E9", "\\ud800", "conn_id", "1e999", "\ufeff"])


@given(conn=st.sampled_from([c for c in NAMED.values() if c.conn_type]), data=st.data())
def test_no_error_holds_a_planted_value(conn: AirflowConnection, data: st.DataObject) -> None:
    """Whatever is wrong with a text, and wherever, the message tells nothing of it."""
    planted = AirflowConnection(
        **{**as_dict(conn), "login": PLANTED, "password": PLANTED, "host": PLANTED, "schema": PLANTED}
    )
    json_text = render_json(planted)
    uri = f"http://{PLANTED}:{PLANTED}@{PLANTED}:80/{PLANTED}?{PLANTED}={PLANTED}&__extra__={PLANTED}"
    text = data.draw(st.sampled_from([json_text, uri, json_text.replace("{", '{"' + PLANTED + '": 1, ')]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(marks) + text[at + data.draw(st.integers(0, 3)) :]
    try:
        parse_connection(text)
    except ConnectionSyntaxError as error:
        check_silent(error)


@given(st.text())
def test_any_text_is_a_connection_or_refused(text: str) -> None:
    try:
        conn = parse_connection(text)
    except ConnectionSyntaxError:
        return
    render_json(conn)


# Null search


def test_find_null() -> None:
    assert find_null({"a": {"b": [1, 2, None]}, "c": None}) == "a.b[2]"
    assert find_null(None) == "the top"
    assert find_null({"a": ["x", 0, False, {}]}) is None
