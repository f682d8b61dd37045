"""Connections that are hard to carry: named ones, and hypothesis strategies. Shared by unit and oracle tests."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import strategies as st

from jetbridge.core.airflow import (
    AirflowConnection,
    NotRepresentable,
    RenderedUri,
    canonical,
    normalise_conn_type,
    render_uri,
)
from jetbridge.core.jsonvalue import JsonValue

PEM = (
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC/+8=\n"
    + "Zm9v/YmFy+YmF6\n" * 20
    + "-----END PRIVATE KEY-----\n"
)

NASTY_TEXTS = (
    "",
    " ",
    "  padded  ",
    "\n",
    "line\nbreak\r\n",
    "\ttab",
    "\x00",
    "\x7f",
    "\x1f",
    "\u2028",
    "\ufeff",
    "\u00a0",
    "a/b",
    "a//b",
    "/",
    "?",
    "#",
    "@",
    ":",
    "a:b@c",
    "p@ss:w/rd?x#y",
    "%",
    "%20",
    "%zz",
    "100%",
    "a+b",
    "a b",
    "&",
    "=",
    "a=b&c=d",
    "'",
    '"',
    "\\",
    "\\n",
    "{",
    "}",
    "{}",
    '{"a": 1}',
    "[",
    "]",
    "[::1]",
    "::1",
    "fe80::1%eth0",
    "$HOME",
    "$(VAR)",
    "`id`",
    "é",
    "中文",
    "🙂",
    "\u202e",
    "İ",
    "ß",
    "K",
    "℀",
    "UPPER",
    "MixedCase",
    "Ünder",
    "db.Example.COM",
    "http://host",
    "https://Host.example.com/Path",
    "HTTP://x",
    "http://a://b",
    "://",
    "http://",
    "null",
    "true",
    "1",
    "-1",
    "1e5",
    "NaN",
    "Infinity",
    '"quoted"',
    "__extra__",
    "a.b",
    "x" * 3000,
    PEM,
)

EVERYTHING = AirflowConnection(
    conn_type="google_cloud_platform",
    description="für Menschen: a/b",
    host="DB.Example.com",
    login="user@example.com",
    password="p@ss:w/rd?x#y%20 '\"\\\n",
    schema="Main/Two",
    port=65535,
    extra={
        "sasl.password": "a",
        "nested": {"b": [1, 2.5, None, True, {"c": "é"}]},
        "__extra__": "x",
        "": "empty",
        "Z": PEM,
    },
)

NAMED: dict[str, AirflowConnection] = {
    "only a type": AirflowConnection(conn_type="http"),
    "everything": EVERYTHING,
    "type with underscores": AirflowConnection(conn_type="google_cloud_platform", host="h"),
    "type with hyphens": AirflowConnection(conn_type="google-cloud-platform", host="h"),
    "postgresql": AirflowConnection(conn_type="postgresql", host="h"),
    "type with capitals": AirflowConnection(conn_type="Jenkins", host="h"),
    "type with a digit first": AirflowConnection(conn_type="3par", host="h"),
    "type with a plus": AirflowConnection(conn_type="mssql+odbc", host="h"),
    "raw delimiters in a password": AirflowConnection(conn_type="http", login="u", password="a/b#c?d@e:f", host="h"),
    "percent in a password": AirflowConnection(conn_type="http", login="u", password="100%20%", host="h"),
    "PEM key as password": AirflowConnection(conn_type="ssh", login="u", password=PEM, host="h"),
    "PEM key in extra": AirflowConnection(conn_type="ssh", host="h", extra={"private_key": PEM}),
    "host with capitals": AirflowConnection(conn_type="snowflake", host="AB12345.EU-west-1"),
    "host with a protocol": AirflowConnection(conn_type="http", host="https://Example.com", port=8443),
    "host with a protocol and a path": AirflowConnection(conn_type="http", host="https://Example.com:80/A/b?c=D#e"),
    "host with the type as protocol": AirflowConnection(conn_type="http", host="http://example.com"),
    "host with two protocols": AirflowConnection(conn_type="http", host="a://b://c"),
    "host is a list": AirflowConnection(conn_type="mongo", host="A:27017,b:27017", port=1),
    "host is IPv6": AirflowConnection(conn_type="http", host="fe80::1%eth0", port=80),
    "host is IPv6 in brackets": AirflowConnection(conn_type="http", host="[::1]", port=80),
    "host is a path": AirflowConnection(conn_type="sqlite", host="/Data/my db.sqlite"),
    "port alone": AirflowConnection(conn_type="http", port=1),
    "schema alone": AirflowConnection(conn_type="http", schema="Https"),
    "login alone": AirflowConnection(conn_type="aws", login="AKIA"),
    "password alone": AirflowConnection(conn_type="http", password="token"),
    "login and password alone": AirflowConnection(conn_type="aws", login="AKIA", password="a+b/c="),
    "empty login": AirflowConnection(conn_type="http", login="", host="h"),
    "empty login beside a password": AirflowConnection(conn_type="http", login="", password="p", host="h"),
    "empty password": AirflowConnection(conn_type="http", login="u", password="", host="h"),
    "empty host and schema": AirflowConnection(conn_type="http", host="", schema=""),
    "all empty": AirflowConnection("http", "", "", "", "", "", None, {}),
    "description": AirflowConnection(conn_type="http", description="two\nlines", host="h", schema="s"),
    "extra with texts": AirflowConnection(
        conn_type="aws", extra={"region_name": "eu-west-1", "role arn": "a&b=c+d%e é"}
    ),
    "extra with numbers as texts": AirflowConnection(
        conn_type="aws", extra={"a": "1", "b": "true", "c": "null", "d": " 2"}
    ),
    "extra with text that is JSON": AirflowConnection(conn_type="aws", extra={"a": '{"b": 1}', "c": '"d"', "e": "NaN"}),
    "extra with numbers": AirflowConnection(
        conn_type="aws", extra={"a": 1, "b": True, "c": None, "d": -0.5, "e": 1e300}
    ),
    "extra nested": AirflowConnection(conn_type="aws", extra={"config_kwargs": {"retries": {"max": [3, {"x": "y"}]}}}),
    "extra with __extra__": AirflowConnection(conn_type="aws", extra={"__extra__": "x", "a": "b"}),
    "extra with __extra__ alone": AirflowConnection(conn_type="aws", extra={"__extra__": '{"a": 1}'}),
    "extra with dots": AirflowConnection(conn_type="kafka", extra={"sasl.password": "a", "ssl.ca.location": "/a"}),
    "extra with empty key and value": AirflowConnection(conn_type="http", extra={"": "", "a": ""}),
    "extra with an empty text": AirflowConnection(conn_type="http", schema="s", extra={"a": ""}),
    "extra with empty objects": AirflowConnection(conn_type="http", extra={"a": {}, "b": []}),
    "extra with a URL": AirflowConnection(conn_type="aws", extra={"endpoint_url": "http://s3:4566/?a=b&c=://"}),
    "extra with a large number": AirflowConnection(conn_type="http", extra={"a": 10**3000}),
}
NAMED |= {
    f"text {index} everywhere": AirflowConnection("http", t, t, t, t, t, 80, {"k": t, "n": [t], t: t})
    for index, t in enumerate(NASTY_TEXTS)
}
NAMED |= {
    f"text {index} flat": AirflowConnection("http", host=t, extra={"k": t}) for index, t in enumerate(NASTY_TEXTS)
}

characters = st.characters(exclude_categories=["Cs"])
texts = st.one_of(
    st.text(characters, max_size=12),
    st.text("abYZ09/:@?#%&=+ \n\t\"'\\{}[]._-~é🙂\x00", max_size=16),
    st.sampled_from(NASTY_TEXTS),
)
conn_types = st.one_of(
    st.sampled_from(
        ["postgres", "http", "aws", "google_cloud_platform", "postgresql", "a-b", "Jenkins", "3par", "a.b+c"]
    ),
    st.from_regex(r"[a-z][a-z0-9_.+-]{0,12}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9_.+-]{1,12}", fullmatch=True),
)
json_values: st.SearchStrategy[JsonValue] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts),
    lambda children: st.one_of(st.lists(children, max_size=3), st.dictionaries(texts, children, max_size=3)),
    max_leaves=6,
)
extras: st.SearchStrategy[dict[str, JsonValue]] = st.one_of(
    st.just({}),
    st.dictionaries(texts, texts, max_size=4),
    st.dictionaries(texts, json_values, max_size=4),
)
connections = st.builds(
    AirflowConnection,
    conn_type=conn_types,
    description=st.none() | texts,
    host=st.none() | texts,
    login=st.none() | texts,
    password=st.none() | texts,
    schema=st.none() | texts,
    port=st.none() | st.integers(1, 65535),
    extra=extras,
)


def rendered_or_refused(conn: AirflowConnection) -> RenderedUri | None:
    """The connection as a URI, or None if it is refused, and that only because no scheme can spell its type."""
    problems: tuple[str, ...] = ()
    try:
        return render_uri(conn)
    except NotRepresentable as refused:
        problems = refused.problems
    assert not re.fullmatch(r"[a-z][a-z0-9+._]*", normalise_conn_type(conn.conn_type or ""))
    assert [problem.partition(":")[0] for problem in problems] == ["conn_type"]
    return None


def fields(conn: AirflowConnection) -> dict[str, Any]:
    """The fields as Airflow should hand them back; extra as JSON, so that `1`, `1.0` and `true` differ."""
    conn = canonical(conn)
    return {
        "conn_type": conn.conn_type,
        "description": conn.description,
        "host": conn.host,
        "login": conn.login,
        "password": conn.password,
        "schema": conn.schema,
        "port": conn.port,
        "extra": json.dumps(conn.extra, sort_keys=True),
    }
