"""What we render as a URI comes back from Airflow but for what a warning names; and we read URIs as Airflow does."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, event, example, given, settings

from jetbridge.core.airflow import (
    AirflowConnection,
    ConnectionSyntaxError,
    NotRepresentable,
    RenderedUri,
    parse_connection,
    read_uri,
    render_uri,
)
from jetbridge.core.jsonvalue import JsonValue
from tests.airflow.client import Oracle, View
from tests.airflow.connections import EVERYTHING, NAMED, connections, fields, rendered_or_refused
from tests.airflow.test_json import comparable
from tests.airflow.uris import uris

pytestmark = pytest.mark.airflow

REFUSED = {"type with capitals", "type with a digit first"}


def check_rendered(airflow: Oracle, conn: AirflowConnection, rendered: RenderedUri) -> None:
    """What comes back differs in exactly the fields that warnings name."""
    named = {warning.partition(":")[0] for warning in rendered.warnings}
    want = fields(conn)
    for view, got in airflow.read(rendered.value).items():
        assert "error" not in got, view
        different = {name for name, value in comparable(got).items() if value != want[name]}
        assert different == named, view


@pytest.mark.parametrize("name", [name for name in NAMED if name not in REFUSED])
def test_named_connection_comes_back(airflow: Oracle, name: str) -> None:
    check_rendered(airflow, NAMED[name], render_uri(NAMED[name]))


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused_with_a_reason(name: str) -> None:
    with pytest.raises(NotRepresentable, match=r"^conn_type: .*use the JSON format"):
        render_uri(NAMED[name])


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conn=connections)
@example(conn=EVERYTHING)
def test_any_connection_comes_back_or_is_refused(airflow: Oracle, conn: AirflowConnection) -> None:
    rendered = rendered_or_refused(conn)
    event("rendered" if rendered else "refused")
    if rendered:
        check_rendered(airflow, conn, rendered)


def expected(conn: AirflowConnection, view: str, version: str, uri: str) -> View:
    """What we read, as each path of Airflow says it: the server of 3.3 reads parameters as JSON if it can."""
    want = fields(conn)
    if view == "server" and not version.startswith("2.") and "__extra__" not in uri:
        want["extra"] = json.dumps({key: _as_json(value) for key, value in conn.extra.items()}, sort_keys=True)
    return want


def _as_json(text: JsonValue) -> JsonValue:
    assert isinstance(text, str)
    try:
        value: JsonValue = json.loads(text) if text else text
    except json.JSONDecodeError:
        return text
    return value


def check_read(airflow: Oracle, uri: str) -> bool:
    """Whether we read it; if so, Airflow reads it alike. An empty password, which only tasks of 3.3 know, is none."""
    try:
        ours = read_uri(uri)
    except ConnectionSyntaxError:
        return False
    for view, got in airflow.read(uri).items():
        assert "error" not in got, view
        assert {**comparable(got), "password": got["password"] or None} == expected(ours, view, airflow.version, uri), (
            view
        )
    return True


@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(uri=uris)
def test_we_read_as_airflow_does_or_refuse(airflow: Oracle, uri: str) -> None:
    event("read" if check_read(airflow, uri) else "refused")


ACCEPTED = {
    "plain": "postgres://user:pass@host:5432/schema",
    "postgresql": "postgresql://user:pass@host/schema",
    "hyphens": "google-cloud-platform://?project=x&key_path=%2Fkeys%2Fkey.json",
    "capitals": "Postgres://U:P@Db.Example.COM/Main",
    "escapes": "http://us%40er:p%2Fa%3Ass%25@ho%2Fst/sch%2Fema?x=%26%3D",
    "raw @ and : in the password": "http://u:a:b@c@host",
    "no host": "aws://AKIA:secret@",
    "port alone": "http://:80",
    "protocol": "http://https://host:8443/x?a=b",
    "protocol with login": "http://HTTPS://u:p@Host",
    "IPv6": "http://u:p@[::1]:80/x",
    "numbers in the query": "http://h/?n=1&b=true",
    "blank in the query": "http://h/?a=&b",
    "__extra__": "http://h/?__extra__=%7B%22a%22%3A+%7B%22b%22%3A+1%7D%7D",
    "empty __extra__": "http://h/?__extra__=",
    "spaces around": "  http://h  \n",
    "unescaped unicode": "http://ü:é@h/ß?a=ö",
    "percent that is no escape": "http://u:100%@h",
}


@pytest.mark.parametrize("uri", ACCEPTED.values(), ids=ACCEPTED)
def test_reads_as_airflow(airflow: Oracle, uri: str) -> None:
    assert parse_connection(uri).conn_type
    assert check_read(airflow, uri)


# What we refuse although Airflow takes it: (what is wrong, URI, field, what Airflow makes of it).
GARBAGE = [
    ("underscore in the scheme", "google_cloud_platform://h", "conn_type", ""),
    ("no scheme", "just text", "conn_type", ""),
    ("one slash", "http:/host", "schema", "host"),
    ("raw / in the password", "http://u:12/34@host", "host", "u"),
    ("raw ? in the password", "http://u:12?34@host", "host", "u"),
    ("raw #", "http://u:p@host/a#b", "schema", "a"),
    ("URL in the query", "http://h/?endpoint=https://x", "host", ""),
    ("protocol is the type", "http://http://host", "host", ""),
    ("capital in the type before a protocol", "Http://https://h", "host", "http://https"),
    ("line break", "http://u:p@ho\nst", "host", "host"),
    ("escape is no UTF-8", "http://u:%E9@host", "password", "\ufffd"),
    ("parameter twice", "http://h/?a=b&a=c", "extra", {"a": "c"}),
    ("beside __extra__", "http://h/?__extra__=%7B%7D&a=b", "extra", {}),
    ("port 0", "http://h:0", "port", 0),
]


@pytest.mark.parametrize(("uri", "field", "made"), [c[1:] for c in GARBAGE], ids=[c[0] for c in GARBAGE])
def test_garbage_that_airflow_swallows_is_refused(airflow: Oracle, uri: str, field: str, made: object) -> None:
    with pytest.raises(ConnectionSyntaxError):
        parse_connection(uri)
    for view, got in airflow.read(uri).items():
        assert got[field] == made, view


@pytest.mark.parametrize(
    "uri",
    [
        "http://u:p/w@host",
        "http://u:p#w@host",
        "http://u:p?w@host",
        "http://h:99999",
        "http://h:x",
        "a://b://c://d",
        "http://u:p@https://host",
        "http://[host",
    ],
)
def test_airflow_loses_it_and_we_refuse(airflow: Oracle, uri: str) -> None:
    with pytest.raises(ConnectionSyntaxError):
        parse_connection(uri)
    for view, got in airflow.read(uri).items():
        assert "error" in got, view
