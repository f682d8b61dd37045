"""Fields of a connection as values with an origin, and how layers of them merge.

A layer maps field names to values: type, description, host, port, schema, login, password, and `extra.<key>` for each
top-level key of `extra`. With `extra` taken apart so, merging is plain assignment (design, section 2, point 4).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from jetbridge.api.fields import ConnectionFields
from jetbridge.core.airflow import AirflowConnection
from jetbridge.core.jsonvalue import JsonValue, numbers_survive
from jetbridge.core.secret_value import MASK

EXTRA = "extra."
SOURCED_TEXT_FIELDS = ("type", "description", "host", "schema", "login", "password")


@dataclass(frozen=True, slots=True)
class FieldValue:
    """A value and where it came from. What comes from a source is masked, whatever the field."""

    value: JsonValue = field(repr=False)
    origin: str
    sourced: bool

    def shown(self) -> JsonValue:
        """The value as a person may see it."""
        return MASK if self.sourced else self.value


Layer = Mapping[str, FieldValue]
Fields = Mapping[str, JsonValue]


def plain_fields(spec: ConnectionFields) -> dict[str, JsonValue]:
    """The values that stand in the resource itself."""
    out: dict[str, JsonValue] = {}
    for name in ("type", "description", "host", "port", "login"):
        value = getattr(spec, name)
        if value is not None:
            out[name] = value
    if spec.schema_ is not None:
        out["schema"] = spec.schema_
    for key, value in (spec.extra or {}).items():
        out[EXTRA + key] = value
    return out


def make_layer(
    plain: Fields, plain_origin: str, sourced: Fields, sourced_origin: Mapping[str, str]
) -> dict[str, FieldValue]:
    """One layer: a plain value beats what a whole Secret gives; the same field in fieldsFrom was refused before."""
    layer = {name: FieldValue(value, sourced_origin.get(name, ""), True) for name, value in sourced.items()}
    layer.update({name: FieldValue(value, plain_origin, False) for name, value in plain.items()})
    return layer


def merge(outer: Layer, inner: Layer, unset: tuple[str, ...] = ()) -> dict[str, FieldValue]:
    """Puts an inner layer over an outer one, after removing what it unsets. `unset: [extra]` removes every extra key."""
    kept = {
        name: value
        for name, value in outer.items()
        if name not in unset and not ("extra" in unset and name.startswith(EXTRA))
    }
    return {**kept, **inner}


def to_airflow(fields: Fields) -> AirflowConnection:
    """The merged fields as Airflow's connection."""

    def text(name: str) -> str | None:
        value = fields.get(name)
        return value if isinstance(value, str) else None

    port = fields.get("port")
    return AirflowConnection(
        conn_type=text("type"),
        description=text("description"),
        host=text("host"),
        login=text("login"),
        password=text("password"),
        schema=text("schema"),
        port=port if isinstance(port, int) else None,
        extra={name[len(EXTRA) :]: value for name, value in fields.items() if name.startswith(EXTRA)},
    )


def from_airflow(connection: AirflowConnection) -> dict[str, JsonValue]:
    """The fields that a whole connection sets."""
    values: Fields = {
        "type": connection.conn_type,
        "description": connection.description,
        "host": connection.host,
        "login": connection.login,
        "password": connection.password,
        "schema": connection.schema,
        "port": connection.port,
    }
    out: dict[str, JsonValue] = {name: value for name, value in values.items() if value is not None}
    out.update({EXTRA + key: value for key, value in connection.extra.items()})
    return out


def pack(fields: Fields) -> dict[str, JsonValue]:
    """The fields in the form of the entry in Vault: `extra` is one object again.

    Vault reads numbers as 64-bit floats: where that would change one, `extra` is the object's JSON text.
    """
    out: dict[str, JsonValue] = {n: v for n, v in fields.items() if not n.startswith(EXTRA)}
    extra = {n[len(EXTRA) :]: v for n, v in fields.items() if n.startswith(EXTRA)}
    if extra:
        out["extra"] = extra if numbers_survive(extra) else json.dumps(extra, sort_keys=True)
    return out


def _read_object(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def unpack(entry: Mapping[str, JsonValue]) -> dict[str, JsonValue] | None:
    """The inverse of `pack`; None when the entry does not have that form (somebody edited it)."""
    out: dict[str, JsonValue] = {}
    for name, value in entry.items():
        if name == "extra":
            extra = _read_object(value) if isinstance(value, str) else value
            if not isinstance(extra, dict) or not extra:
                return None
            out.update({EXTRA + key: item for key, item in extra.items()})
        elif name == "port":
            if not isinstance(value, int) or isinstance(value, bool):
                return None
            out[name] = value
        elif name in SOURCED_TEXT_FIELDS:
            if not isinstance(value, str):
                return None
            out[name] = value
        else:
            return None
    return out
