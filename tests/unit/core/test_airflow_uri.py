"""The URI form, without Airflow; `tests/airflow` asks Airflow itself."""

from __future__ import annotations

import pytest
from hypothesis import given

from jetbridge.core.airflow import (
    AirflowConnection,
    ConnectionSyntaxError,
    NotRepresentable,
    parse_connection,
    read_uri,
    render_uri,
)
from tests.airflow.connections import NAMED, PEM, connections, fields, rendered_or_refused
from tests.airflow.uris import uris

Conn = AirflowConnection

RENDERED = [
    (Conn("postgresql", None, "h", "u", "p", "s", 5432), "postgres://u:p@h:5432/s"),
    (Conn("google_cloud_platform", host="", schema="s"), "google-cloud-platform:///s"),
    (Conn("http", host="h", password="a/b?c#d@e:f%20"), "http://:a%2Fb%3Fc%23d%40e%3Af%2520@h"),
    (Conn("http", host="db.Example.COM"), "http://db.%45xample.COM"),
    (Conn("http", host="https://h.com/a", port=1), "http://https%3A%2F%2Fh.com%2Fa:1"),
    (Conn("http", host="::1"), "http://%3A%3A1"),
    (Conn("http", host="h", extra={"b": "x y", "a": "é"}), "http://h/?a=%C3%A9&b=x%20y"),
    (Conn("http", host="h", schema="s", extra={"a": ""}), "http://h/s?a="),
    (Conn("http", host="h", extra={"b": 1, "a": "x"}), "http://h/?__extra__=%7B%22a%22%3A%22x%22%2C%22b%22%3A1%7D"),
    (Conn("http", host="h", extra={"a": "1"}), "http://h/?__extra__=%7B%22a%22%3A%221%22%7D"),
    (Conn("http", login="", host="h"), "http://@h"),
    (Conn("http", port=80), "http://:80"),
]


@pytest.mark.parametrize(("conn", "uri"), RENDERED, ids=[uri for _, uri in RENDERED])
def test_rendered(conn: AirflowConnection, uri: str) -> None:
    assert render_uri(conn).value == uri


def test_warnings_name_what_is_lost() -> None:
    full = Conn("http", None, "h", "u", "p", "s", 1, {"a": "b"})
    assert render_uri(full).warnings == ()
    bare = render_uri(Conn("http", description="d", password="p"))
    assert [warning.partition(":")[0] for warning in bare.warnings] == ["description", "host", "login", "schema"]
    assert all("use the JSON format" in warning for warning in bare.warnings)


@pytest.mark.parametrize("conn_type", ["Http", "1a", "_a", "a b", "a/b", "a:b", "ü", "+a"])
def test_type_that_no_scheme_can_carry_is_refused(conn_type: str) -> None:
    with pytest.raises(NotRepresentable, match=r"^conn_type: .*use the JSON format"):
        render_uri(Conn(conn_type))


@given(connections)
def test_reads_back_but_for_what_warnings_name(conn: AirflowConnection) -> None:
    rendered = rendered_or_refused(conn)
    if rendered is None:
        return
    assert rendered.value.isascii()
    assert rendered.value.isprintable()
    assert " " not in rendered.value
    named = {warning.partition(":")[0] for warning in rendered.warnings}
    want, got = fields(conn), fields(read_uri(rendered.value))
    assert {name for name in want if want[name] != got[name]} == named
    assert named <= {"description", "host", "login", "schema"}


@given(uris)
def test_what_is_read_can_be_rendered_again(uri: str) -> None:
    try:
        conn = parse_connection(uri)
    except ConnectionSyntaxError:
        return
    assert fields(parse_connection(render_uri(conn).value)) == fields(conn)


def test_absent_parts_are_not_set_but_airflow_says_empty() -> None:
    assert parse_connection("http://") == Conn("http")
    assert read_uri("http://") == Conn("http", host="", schema="")
    assert parse_connection("http://@/") == Conn("http")
    assert read_uri("http://:@h").password is None


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("http://Db.Example.COM", "db.example.com"),
        ("http://d%42.Example.COM", "dB.Example.COM"),
        ("http://A%2FB", "A/B"),
        ("http://u@A%2FB:1", "A/B"),
        ("http://HTTPS://Host", "https://host"),
        ("http://https://u:p@A%2FB:80", "https://A/B"),
        ("http://[FE80::1%25E]:80", "fe80::1%E"),
    ],
)
def test_reads_the_host_as_airflow_does(uri: str, host: str) -> None:
    assert read_uri(uri).host == host


def test_reads_pem_and_nested_extra() -> None:
    conn = Conn("ssh", extra={"private_key": PEM, "nested": {"a": [1, None]}})
    assert parse_connection(render_uri(conn).value) == conn


BAD = {
    "no scheme": ("host", "neither a JSON object"),
    "underscore": ("google_cloud_platform://h", "write '-'"),
    "odd scheme": ("3par://h", "a letter first"),
    "raw /": ("http://u:12/3@h", "%2F"),
    "raw ?": ("http://u:12?3@h", "%3F"),
    "raw / after another @": ("http://u:a@b/c@h", "%2F"),
    "raw #": ("http://u:p#w@h", "%23"),
    "line break": ("http://u:p\n@h", "control character"),
    "NUL": ("http://u:\x00@h", "control character"),
    "port is a word": ("http://u:word", "the port must be"),
    "port too high": ("http://h:65536", "the port must be"),
    "port 0": ("http://h:0", "the port must be"),
    "URL in the query": ("http://h/?a=http://b", "%3A%2F%2F"),
    "protocol in the password": ("http://u:a://b@h", "%3A%2F%2F"),
    "protocol is the type": ("http://http://h", "%3A%2F%2F"),
    "capital in the type before a protocol": ("Http://https://h", "%3A%2F%2F"),
    "protocol ends in the type": ("s://https://h", "%3A%2F%2F"),
    "three protocols": ("a://b://c://d", "%3A%2F%2F"),
    "protocol without host": ("a://b://", "no host"),
    "open bracket": ("http://[h", "host is not valid"),
    "host that folds to a delimiter": ("http://a℀b", "host is not valid"),
    "login no UTF-8": ("http://%E9@h", "login: .*UTF-8"),
    "host no UTF-8": ("http://%E9", "host: .*UTF-8"),
    "schema no UTF-8": ("http://h/%E9", "schema: .*UTF-8"),
    "query no UTF-8": ("http://h/?a=%E9", "extra: .*UTF-8"),
    "parameter twice": ("http://h/?a=1&a=2", "twice"),
    "beside __extra__": ("http://h/?__extra__={}&a=2", "beside __extra__"),
    "__extra__ is no JSON": ("http://h/?__extra__=x", "no valid JSON"),
    "__extra__ is a list": ("http://h/?__extra__=[]", "must be a JSON object"),
}


@pytest.mark.parametrize(("uri", "message"), BAD.values(), ids=BAD)
def test_refused_with_a_reason(uri: str, message: str) -> None:
    with pytest.raises(ConnectionSyntaxError, match=message) as caught:
        parse_connection(uri)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("conn", NAMED.values(), ids=NAMED)
def test_named_connection_is_deterministic(conn: AirflowConnection) -> None:
    def outcome() -> object:
        try:
            return render_uri(conn)
        except NotRepresentable as refused:
            return refused.problems

    assert outcome() == outcome()
