"""How a connection is delivered to Airflow: its id, the environment variable's name, its value, and what limits them.

Airflow looks an id up as `AIRFLOW_CONN_` + the id in capitals, strips the value, takes one that begins with `{` as JSON
and any other as a URI. It hides every mistake in a value ("conn_id isn't defined"), so no wrong value may leave us, and
what comes in as a whole connection is read more strictly than Airflow does.

JSON is the usual form, since it carries everything. Modules: `airflow_model` (the connection as data, and which values
survive), `airflow_json` (reading JSON), `airflow_uri` (writing and reading URIs). Import from here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from jetbridge.core.airflow_json import read_json
from jetbridge.core.airflow_model import (
    MAX_EXTRA_DEPTH,
    AirflowConnection,
    ConnectionSyntaxError,
    NotRepresentable,
    canonical,
    normalise_conn_type,
    value_problems,
)
from jetbridge.core.airflow_uri import RenderedUri, read_uri, render_uri

__all__ = [
    "ENV_PREFIX",
    "MAX_CONNECTION_ID_LENGTH",
    "MAX_ENTRY_BYTES",
    "MAX_EXTRA_DEPTH",
    "MAX_SECRET_BYTES",
    "AirflowConnection",
    "ConnectionSyntaxError",
    "IdProblem",
    "IdReason",
    "NotRepresentable",
    "RenderedUri",
    "canonical",
    "check_connection_id",
    "connection_id_warnings",
    "default_connection_id",
    "entry_size",
    "env_name",
    "normalise_conn_type",
    "parse_connection",
    "read_uri",
    "render_json",
    "render_uri",
]

ENV_PREFIX: Final = "AIRFLOW_CONN_"

MAX_CONNECTION_ID_LENGTH: Final = 240
"""A key of a Secret has at most 253 characters, of which `AIRFLOW_CONN_` takes 13."""

MAX_ENTRY_BYTES: Final = 131_071
"""The most that `entry_size` may be. Linux takes 131,072 bytes (MAX_ARG_STRLEN) for one variable with its final NUL;
with more, no process of the pod starts (E2BIG)."""

MAX_SECRET_BYTES: Final = 1_048_576
"""The most that all values of one Secret may have together; Kubernetes does not count the keys."""

_RESERVED_ID = "airflow_db"
_TEAM_SEPARATOR = "___"
_ID_CHARACTERS = re.compile(r"[A-Za-z0-9._-]+")


class IdReason(StrEnum):
    """Why a connection id can't be delivered."""

    EMPTY = "Empty"
    TOO_LONG = "TooLong"
    BAD_CHARACTER = "BadCharacter"
    LEADING_DOT = "LeadingDot"
    RESERVED = "Reserved"
    TEAM_SEPARATOR = "TeamSeparator"


@dataclass(frozen=True, slots=True)
class IdProblem:
    """Why a connection id can't be delivered, and what to do, for people."""

    reason: IdReason
    message: str


def env_name(connection_id: str) -> str:
    """The environment variable in which Airflow looks for an id. Ids that differ only in case share it."""
    return ENV_PREFIX + connection_id.upper()


def default_connection_id(name: str) -> str:
    """The id of a Connection that gives none: its name with `-` and `.` as `_`."""
    return name.replace("-", "_").replace(".", "_")


def check_connection_id(connection_id: str) -> IdProblem | None:
    """What keeps an id from being delivered in an environment variable from a Secret, or None.

    Sources: a Secret's key takes `[-._a-zA-Z0-9]`; the official chart sets `AIRFLOW_CONN_AIRFLOW_DB` itself; Airflow 3
    with multi_team finds no id with `___`, and takes such a variable for one of a team; an id that begins with a dot is
    no safe segment of a path in Vault.
    """
    if not connection_id:
        return IdProblem(IdReason.EMPTY, "the connection id is empty; give it at least one character")
    if len(connection_id) > MAX_CONNECTION_ID_LENGTH:
        return IdProblem(
            IdReason.TOO_LONG,
            f"the connection id has {len(connection_id)} characters; a Secret's key leaves room for "
            f"{MAX_CONNECTION_ID_LENGTH}",
        )
    if not _ID_CHARACTERS.fullmatch(connection_id):
        bad = "".join(sorted({c for c in connection_id if not _ID_CHARACTERS.fullmatch(c)}))
        return IdProblem(
            IdReason.BAD_CHARACTER,
            f"the connection id holds {bad!a}; a Secret's key takes only ASCII letters, digits, '_', '-' and '.'",
        )
    if connection_id.startswith("."):
        return IdProblem(IdReason.LEADING_DOT, "the connection id begins with a dot; begin with a letter, digit or '_'")
    if connection_id.lower() == _RESERVED_ID:
        return IdProblem(
            IdReason.RESERVED,
            f"the connection id {_RESERVED_ID} is reserved: Airflow's Helm chart sets it itself; choose another",
        )
    if _TEAM_SEPARATOR in connection_id:
        return IdProblem(
            IdReason.TEAM_SEPARATOR,
            "the connection id holds '___', which separates a team from an id in Airflow 3; use fewer underscores",
        )
    return None


def connection_id_warnings(connection_id: str) -> tuple[str, ...]:
    """What may go wrong with an id that is accepted.

    Source: dash, which is `sh` in Debian's images, drops variables whose names are no shell names.
    """
    found = [c for c in ".-" if c in connection_id]
    if not found:
        return ()
    marks = " and ".join(f"'{c}'" for c in found)
    message = (
        f"the connection id holds {marks}: Airflow finds it, but a shell such as dash does not hand the variable on to "
        "what it starts (subprocess with shell=True); '_' is safe"
    )
    return (message,)


def render_json(conn: AirflowConnection) -> str:
    """The connection in Airflow's JSON: one line of ASCII, keys in one order, without what is not set.

    Airflow 2.11 and 3.3 hand back `canonical(conn)` field for field.

    Raises:
        NotRepresentable: Airflow would not hand some value back unchanged, see `airflow_model.value_problems`.
    """
    conn = canonical(conn)
    if problems := value_problems(conn):
        raise NotRepresentable(problems)
    given = {
        "conn_type": conn.conn_type,
        "description": conn.description,
        "host": conn.host,
        "login": conn.login,
        "password": conn.password,
        "schema": conn.schema,
        "port": conn.port,
        "extra": conn.extra or None,
    }
    return json.dumps({k: v for k, v in given.items() if v is not None}, sort_keys=True, separators=(",", ":"))


def parse_connection(text: str) -> AirflowConnection:
    """A whole connection, in JSON or as a URI, as Airflow reads it from an environment variable.

    What a URI does not have (a host, a schema, …) is not set here, where Airflow says empty text: there is no telling
    them apart in a URI, and an empty text would override what is set elsewhere. `read_uri` gives Airflow's own answer.

    Raises:
        ConnectionSyntaxError: Airflow would refuse it, or make something of it that nobody meant. The message holds
            nothing of the text.
    """
    text = text.strip()
    if not text:
        raise ConnectionSyntaxError("it is empty")
    if text[0] == "\ufeff":
        raise ConnectionSyntaxError("it begins with a byte order mark, which Airflow takes for a URI; save it without")
    if text[0] == "[":
        raise ConnectionSyntaxError("it is a JSON list; give the one connection in it, as {…}")
    if text[0] in "\"'":
        raise ConnectionSyntaxError("it is in quotes, so it is neither JSON nor a URI to Airflow; take them away")
    conn = read_json(text) if text[0] == "{" else _without_empty(read_uri(text))
    if problems := value_problems(conn):
        raise ConnectionSyntaxError("; ".join(problems))
    return conn


def _without_empty(conn: AirflowConnection) -> AirflowConnection:
    return replace(conn, host=conn.host or None, login=conn.login or None, schema=conn.schema or None)


def entry_size(name: str, value: str) -> int:
    """The bytes of `NAME=value` in an environment, without the final NUL; see `MAX_ENTRY_BYTES`."""
    return len(name.encode()) + 1 + len(value.encode())
