"""The URI form of a connection, written and read.

A URI carries less than JSON, so what was written is read back at once, and every difference is refused or named. It is
the form of last resort; JSON is the usual one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from jetbridge.core.airflow_json import read_object
from jetbridge.core.airflow_model import (
    FIELDS,
    MAX_PORT,
    AirflowConnection,
    ConnectionSyntaxError,
    NotRepresentable,
    canonical,
    normalise_conn_type,
    value_problems,
)
from jetbridge.core.jsonvalue import JsonValue

EXTRA_KEY: Final = "__extra__"
"""The query key whose value Airflow takes as the whole of `extra`, in JSON."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_ANY_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ASCII_CAPITAL = re.compile(r"[A-Z]")


@dataclass(frozen=True, slots=True)
class RenderedUri:
    """A URI, and what of the connection it does not carry; each warning begins with the field's name."""

    value: str = field(repr=False)
    warnings: tuple[str, ...] = ()


def render_uri(conn: AirflowConnection) -> RenderedUri:
    """The connection as a URI that every Airflow from 2.11 on reads back as it is, but for what `warnings` name.

    Warned about: a description is lost; a login (beside a password), host or schema that is not set arrives as an empty
    text. `extra` travels key by key if all of its values are plain texts, else as JSON in `__extra__`.

    Raises:
        NotRepresentable: some value would arrive changed.
    """
    conn = canonical(conn)
    problems = value_problems(conn)
    scheme = (conn.conn_type or "").replace("_", "-")
    if not _SCHEME.fullmatch(scheme) and not any(problem.startswith("conn_type:") for problem in problems):
        problems.append(
            "conn_type: a URI carries only lower-case letters, digits, '_', '+' and '.', with a letter first; "
            "use the JSON format"
        )
    if problems:
        raise NotRepresentable(problems)
    value = f"{scheme}://{_authority(conn)}{_path_and_query(conn)}"
    return RenderedUri(value, _compare(conn, read_uri(value)))


def _authority(conn: AirflowConnection) -> str:
    out = ""
    if conn.login is not None or conn.password is not None:
        password = f":{_quoted(conn.password)}" if conn.password is not None else ""
        out = f"{_quoted(conn.login or '')}{password}@"
    if conn.host is not None:
        out += _quoted_host(conn.host)
    if conn.port is not None:
        out += f":{conn.port}"
    return out


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _quoted_host(host: str) -> str:
    """The host, with its first capital as an escape: Airflow's reader folds capitals only up to the first escape.

    Escaping `/` and `:` as well makes it take a host with a protocol or a path as one piece.
    """
    capital = _ASCII_CAPITAL.search(host)
    if not capital:
        return _quoted(host)
    at = capital.start()
    return f"{_quoted(host[:at])}%{ord(host[at]):02X}{_quoted(host[at + 1 :])}"


def _path_and_query(conn: AirflowConnection) -> str:
    path = f"/{_quoted(conn.schema)}" if conn.schema else ""
    if not conn.extra:
        return path
    flat = _flat(conn.extra)
    items = flat if flat is not None else {EXTRA_KEY: json.dumps(conn.extra, sort_keys=True, separators=(",", ":"))}
    return f"{path or '/'}?" + "&".join(f"{_quoted(key)}={_quoted(value)}" for key, value in sorted(items.items()))


def _flat(extra: Mapping[str, JsonValue]) -> dict[str, str] | None:
    """Extra as query parameters, or None if some value would not arrive as that text.

    Source: Airflow 3.3 reads each parameter as JSON if it can (`1`, `true` and `"x"` change their type), 2.11 and the
    task SDK leave it a text. A parameter that only looks like the beginning of JSON may end in an error.
    """
    out: dict[str, str] = {}
    for key, value in extra.items():
        if key == EXTRA_KEY or not isinstance(value, str) or _may_be_json(value):
            return None
        out[key] = value
    return out


def _may_be_json(text: str) -> bool:
    return text.lstrip()[:1] in tuple('{["-0123456789') or text.strip() in ("true", "false", "null", "NaN", "Infinity")


def _compare(sent: AirflowConnection, got: AirflowConnection) -> tuple[str, ...]:
    warnings, problems = [], []
    for name in FIELDS:
        before, after = getattr(sent, name), getattr(got, name)
        if name == "extra":
            before, after = (json.dumps(extra, sort_keys=True) for extra in (before, after))
        if before == after:
            continue
        if name == "description":
            warnings.append("description: a URI can't carry it, so Airflow will not see it; use the JSON format")
        elif before is None and after == "":
            warnings.append(f"{name}: it is not set, but from a URI Airflow reads an empty text; use the JSON format")
        else:
            problems.append(f"{name}: a URI would hand it to Airflow changed; use the JSON format")
    if problems:
        raise NotRepresentable(problems)
    return tuple(warnings)


def read_uri(text: str) -> AirflowConnection:
    """The connection that Airflow makes of a URI: host and schema are empty texts when the URI has none.

    The parameters of the query stay texts, as 2.11 and the task SDK of 3.3 read them. Refused, beyond what Airflow
    refuses, is what it reads as something that nobody meant: a raw `#`, control characters, an `@` behind the
    authority, a second `://` in the wrong place, parameters that repeat or are hidden by `__extra__`, escapes that are
    no UTF-8.

    Raises:
        ConnectionSyntaxError: with what is wrong and what to write; never with a part of the text.
    """
    scheme, protocol, rest = _take_apart(text.strip())
    parts = _split("//" + rest)
    _check_misplaced_at(parts)
    host = _host(parts)
    if protocol and not host:
        raise ConnectionSyntaxError("there is no host behind the second protocol")
    login, password = parts.username, parts.password
    return AirflowConnection(
        conn_type=normalise_conn_type(scheme.lower()),
        host=f"{protocol.lower()}://{host}" if protocol else host,
        login=_decoded(login, "login") if login is not None else None,
        password=_decoded(password, "password") or None if password is not None else None,
        schema=_decoded(parts.path[1:], "schema"),
        port=_port(parts),
        extra=_query(parts.query),
    )


def _take_apart(text: str) -> tuple[str, str, str]:
    """Scheme, protocol of the host (or nothing), and all that follows. `http://https://host` is such a host."""
    if _CONTROL.search(text):
        raise ConnectionSyntaxError("the URI holds a control character, such as a line break; write %0A, or use JSON")
    if "#" in text:
        raise ConnectionSyntaxError("the URI holds a '#', and Airflow ignores what follows it; write %23")
    found = _ANY_SCHEME.fullmatch(text)
    if not found:
        scheme, mark, _ = text.partition("://")
        if mark and "_" in scheme:
            raise ConnectionSyntaxError("the URI's scheme holds an '_'; write '-', which Airflow turns into '_'")
        if mark:
            raise ConnectionSyntaxError("the URI's scheme takes letters, digits, '+', '-' and '.', with a letter first")
        raise ConnectionSyntaxError(
            "it is neither a JSON object, {…}, nor a URI: conn-type://login:password@host:port/schema"
        )
    scheme, rest = found[1], found[2]
    if "://" not in rest:
        return scheme, "", rest
    inner = _ANY_SCHEME.fullmatch(rest)
    # Airflow cuts the scheme out by replacing its text wherever it stands, so it must not stand in the protocol too.
    if not inner or "://" in inner[2] or scheme != scheme.lower() or inner[1].endswith(scheme):
        raise ConnectionSyntaxError(
            "a second '://' may stand only right behind the first, as in http://https://host; elsewhere write %3A%2F%2F"
        )
    return scheme, inner[1], inner[2]


def _split(url: str) -> SplitResult:
    with suppress(ValueError):
        return urlsplit(url)
    raise ConnectionSyntaxError("the URI's host is not valid; escape what is no letter or digit, for example [ as %5B")


def _check_misplaced_at(parts: SplitResult) -> None:
    """A raw `/` or `?` in a login or password ends the authority there, and the rest lands in schema or extra."""
    hidden = "@" in parts.query and "@" not in parts.netloc and not parts.path
    if "@" in parts.path or hidden:
        raise ConnectionSyntaxError(
            "an '@' stands behind the host; write %40 there, or, if it ends the password, escape the password: "
            "/ is %2F, ? is %3F"
        )


def _host(parts: SplitResult) -> str:
    """Airflow folds capitals as Python's `hostname` does, but not if the host holds an escaped `/`."""
    host = _decoded(parts.hostname or "", "host")
    if "/" in host:
        host = _decoded(parts.netloc.rpartition("@")[2].partition(":")[0], "host")
    return host


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ConnectionSyntaxError(
            f"the port must be a number from 1 to {MAX_PORT}; if there is none, a ':', '/', '?' or '@' stands in the "
            "password: escape it as %3A, %2F, %3F, %40"
        )
    return port


def _decoded(text: str, what: str) -> str:
    with suppress(ValueError):
        return unquote(text, errors="strict")
    raise ConnectionSyntaxError(f"{what}: its % escapes are no UTF-8")


def _query(query: str) -> dict[str, JsonValue]:
    pairs: list[tuple[str, str]] | None = None
    with suppress(ValueError):
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
    if pairs is None:
        raise ConnectionSyntaxError("extra: its % escapes are no UTF-8")
    items = dict(pairs)
    if len(items) != len(pairs):
        raise ConnectionSyntaxError("extra: a parameter stands twice, and Airflow would take the last one; keep one")
    if EXTRA_KEY not in items:
        return dict(items)
    if len(items) > 1:
        raise ConnectionSyntaxError(f"extra: beside {EXTRA_KEY} Airflow ignores every parameter; move them into it")
    return read_object(items[EXTRA_KEY], f"extra ({EXTRA_KEY})") if items[EXTRA_KEY] else {}
