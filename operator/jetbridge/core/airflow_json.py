"""Reads a connection written in JSON, as Airflow does, but refuses what Airflow swallows.

Airflow hides every error here: the user sees "conn_id isn't defined" and no reason. So the reason is given early.
"""

from __future__ import annotations

import difflib
import json
from typing import Any, NoReturn

from jetbridge.core.airflow_model import (
    FIELDS,
    TEXT_FIELDS,
    AirflowConnection,
    ConnectionSyntaxError,
    canonical,
)
from jetbridge.core.jsonvalue import JsonValue

_NAMED_KEYS = {
    "conn_id": "the id is given elsewhere; leave it out",
    "connection_id": "the id is given elsewhere; leave it out",
    "id": "the id is given elsewhere; leave it out",
    "name": "the id is given elsewhere; leave it out",
    "key": "the id is given elsewhere; leave it out",
    "conn_host": "write host",
    "conn_login": "write login",
    "conn_password": "write password",
    "conn_schema": "write schema",
    "conn_port": "write port",
    "conn_extra": "write extra",
    "type": "write conn_type",
    "connection_type": "write conn_type",
    "user": "write login",
    "username": "write login",
    "hostname": "write host",
    "database": "write schema",
    "db": "write schema",
    "dbname": "write schema",
    "extra_dejson": "write extra",
    "extras": "write extra",
    "uri": "give the URI itself instead of JSON",
    "conn_uri": "give the URI itself instead of JSON",
    "url": "give the URI itself instead of JSON",
    "is_encrypted": "leave it out",
    "is_extra_encrypted": "leave it out",
    "team_name": "leave it out",
}
"""Keys that people and tools write by mistake. Only these are named: any other key could be a misplaced secret."""

_JSON_MESSAGES = (
    "Expecting value",
    "Expecting ',' delimiter",
    "Expecting ':' delimiter",
    "Expecting property name enclosed in double quotes",
    "Illegal trailing comma",
    "Invalid control character",
    "Invalid \\escape",
    "Invalid \\uXXXX escape",
    "Unterminated string",
    "Extra data",
)
"""What Python's reader says. Matched from the start, since some messages go on with a part of the text."""


def read_json(text: str) -> AirflowConnection:
    """The connection that Airflow makes of a text that begins with `{`.

    Raises:
        ConnectionSyntaxError: not JSON, an unknown or repeated key, or a field of a wrong type.
    """
    given = read_object(text, "the connection")
    for position, key in enumerate(given, 1):
        if key not in FIELDS:
            _unknown_key(key, position)
    texts = {name: _text(given, name) for name in TEXT_FIELDS}
    return canonical(AirflowConnection(**texts, port=_port(given.get("port")), extra=_extra(given.get("extra"))))


def read_object(text: str, what: str) -> dict[str, JsonValue]:
    """A JSON object without NaN, infinity and repeated keys. `what` is how messages call it.

    Raises:
        ConnectionSyntaxError: it is none; the message gives line and column.
    """
    value: JsonValue = None
    problem = ""
    try:
        value = json.loads(text, object_pairs_hook=_no_repeats, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        problem = f"{_safe_message(error.msg)} at line {error.lineno}, column {error.colno}"
    except ConnectionSyntaxError as error:
        problem = str(error)
    except RecursionError:
        problem = "it is nested too deeply"
    except ValueError:
        problem = "it holds a number of thousands of digits; give it as text"
    # Raised here and not above: an exception in flight would hang on to the whole text as its context.
    if problem:
        raise ConnectionSyntaxError(f"{what} is no valid JSON: {problem}")
    if not isinstance(value, dict):
        raise ConnectionSyntaxError(f"{what} must be a JSON object, {{…}}")
    return value


def _safe_message(message: str) -> str:
    return next((known for known in _JSON_MESSAGES if message.startswith(known)), "Syntax error")


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ConnectionSyntaxError("a key stands twice in one object; keep one of them")
    return out


def _no_constant(_: str) -> NoReturn:
    raise ConnectionSyntaxError("NaN and Infinity are no JSON; give them as text or leave them out")


def _unknown_key(key: str, position: int) -> NoReturn:
    known = ", ".join(FIELDS)
    if key.lower() in _NAMED_KEYS:
        raise ConnectionSyntaxError(
            f"the key {key.lower()!r} is no field of a connection, and Airflow drops the whole connection for it: "
            f"{_NAMED_KEYS[key.lower()]}. The fields are: {known}"
        )
    near = difflib.get_close_matches(key.lower(), FIELDS, n=1) if len(key) <= 30 else []
    hint = f"; did you mean {near[0]}?" if near else "."
    raise ConnectionSyntaxError(
        f"key number {position} is no field of a connection, and Airflow drops the whole connection for it{hint} "
        f"The fields are: {known}"
    )


def _text(given: dict[str, JsonValue], name: str) -> str | None:
    value = given.get(name)
    if value is None or isinstance(value, str):
        return value
    raise ConnectionSyntaxError(f'{name} must be a text, in quotes: "{name}": "…"')


def _port(value: JsonValue) -> int | None:
    """Airflow takes a number or its digits as text, and makes None of 0 and of an empty text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5:
        value = int(value)
    if value is None or value == "" or (type(value) is int and value == 0):
        return None
    if type(value) is not int:
        raise ConnectionSyntaxError("port must be a whole number from 1 to 65535")
    return value


def _extra(value: JsonValue) -> dict[str, JsonValue]:
    """Airflow takes an object, or a text that holds one in JSON."""
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        return read_object(value, "extra")
    if isinstance(value, dict):
        return value
    raise ConnectionSyntaxError("extra must be a JSON object, or a text that holds one")
