"""An Airflow connection as data, and which values Airflow hands back unchanged.

The rules were measured with Airflow 2.11.2 and 3.3.2; `tests/airflow` measures them again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from jetbridge.core.jsonvalue import JsonValue

TEXT_FIELDS = ("conn_type", "description", "host", "login", "password", "schema")
FIELDS = (*TEXT_FIELDS, "port", "extra")

MIN_PORT, MAX_PORT = 1, 65_535

MAX_EXTRA_DEPTH = 64
"""Levels of objects and lists in a value of `extra`. Airflow walks them recursively; real ones need three or four."""

_MAX_NUMBER_BITS = 13_000
"""Python refuses to read or write a number of more than 4,300 digits, so Airflow would lose the connection."""

_PLAIN_KEY_LENGTH = 60

_SURROGATE = re.compile(r"[\ud800-\udfff]")


class NotRepresentable(ValueError):
    """Airflow would not hand the connection back as it is. `problems` name fields and remedies, never a value."""

    def __init__(self, problems: list[str] | tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class ConnectionSyntaxError(ValueError):
    """A text is no connection. The message says what is wrong and where; it holds nothing of the text."""


@dataclass(frozen=True, slots=True, repr=False)
class AirflowConnection:
    """What Airflow knows of a connection. None means not set; an empty `extra` means none.

    Any field may be a secret, so `repr` tells which are set and nothing else.
    """

    conn_type: str | None = None
    description: str | None = None
    host: str | None = None
    login: str | None = None
    password: str | None = None
    schema: str | None = None
    port: int | None = None
    extra: Mapping[str, JsonValue] = field(default_factory=dict)

    def __repr__(self) -> str:
        given = [name for name in FIELDS if getattr(self, name) is not None and (name != "extra" or self.extra)]
        return f"AirflowConnection(set: {', '.join(given) or 'nothing'})"


def normalise_conn_type(conn_type: str) -> str:
    """The spelling that Airflow makes of a conn_type: `postgresql` is `postgres`, and `-` becomes `_`. Case is kept.

    Source: Airflow does so for JSON and URIs alike. Idempotent.
    """
    return "postgres" if conn_type == "postgresql" else conn_type.replace("-", "_")


def canonical(conn: AirflowConnection) -> AirflowConnection:
    """The connection as Airflow will see it: conn_type normalised, an empty password is none.

    Source: Airflow's server side (all of 2.x, scheduler and api-server of 3.x) stores no empty password and answers
    None, while the task SDK of 3.x would answer the empty text. Left out, it is None everywhere.
    """
    return replace(
        conn,
        conn_type=normalise_conn_type(conn.conn_type) if conn.conn_type else None,
        password=conn.password or None,
    )


def value_problems(conn: AirflowConnection) -> list[str]:
    """What keeps the values from reaching Airflow unchanged in any format; empty when nothing does.

    Refused: no conn_type (Airflow accepts it, and then finds no hook); a port outside 1..65535 (0 becomes None, more is
    no port); lone surrogates (Airflow can't encode them, and loses the connection); NaN and infinity (no JSON outside
    Python); huge numbers; nesting beyond `MAX_EXTRA_DEPTH`.
    """
    problems = []
    if not conn.conn_type:
        problems.append(
            "conn_type: it is missing, and Airflow finds no hook without; say what kind of connection this is"
        )
    for name in TEXT_FIELDS:
        text = getattr(conn, name)
        if text is not None and _has_surrogate(text):
            problems.append(f"{name}: it holds half of a surrogate pair, which is no character; give valid Unicode")
    if conn.port is not None and not (type(conn.port) is int and MIN_PORT <= conn.port <= MAX_PORT):
        problems.append(f"port: it must be a whole number from {MIN_PORT} to {MAX_PORT}")
    for key in sorted(conn.extra, key=repr):
        problems += [
            f"{extra_name(key)}: {problem}" for problem in dict.fromkeys(_extra_problems(key, conn.extra[key]))
        ]
    return problems


def extra_name(key: str) -> str:
    """How a message calls a key of extra. One that does not look like a name may be a misplaced value: not shown."""
    if isinstance(key, str) and 0 < len(key) <= _PLAIN_KEY_LENGTH and key.isascii() and _is_name(key):
        return f"extra.{key}"
    return f"a key of extra ({len(key)} characters)" if isinstance(key, str) else "a key of extra"


def _is_name(key: str) -> bool:
    return all(c.isalnum() or c in "_.-" for c in key)


def _extra_problems(key: str, value: JsonValue) -> Iterator[str]:
    stack: list[tuple[int, object]] = [(1, key), (1, value)] if isinstance(key, str) else [(1, {key: value})]
    while stack:
        depth, item = stack.pop()
        if isinstance(item, str):
            if _has_surrogate(item):
                yield "it holds half of a surrogate pair, which is no character; give valid Unicode"
        elif isinstance(item, bool) or item is None:
            continue
        elif isinstance(item, int):
            if item.bit_length() > _MAX_NUMBER_BITS:
                yield "it holds a number of thousands of digits, which Python does not read; give it as text"
        elif isinstance(item, float):
            if not math.isfinite(item):
                yield "it holds NaN or infinity, which JSON does not know; give it as text or leave it out"
        elif isinstance(item, dict | list):
            if depth >= MAX_EXTRA_DEPTH:
                yield f"it is nested deeper than {MAX_EXTRA_DEPTH} levels; make it flatter, or give it as text"
                continue
            if isinstance(item, dict):
                if not all(isinstance(k, str) for k in item):
                    yield "it holds a key that is no text; JSON keys are text"
                stack += ((depth + 1, k) for k in item if isinstance(k, str))
                stack += ((depth + 1, v) for v in item.values())
            else:
                stack += ((depth + 1, v) for v in item)
        else:
            yield "it holds something that JSON does not know"


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and _SURROGATE.search(text) is not None
