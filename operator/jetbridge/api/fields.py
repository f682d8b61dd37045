"""The fields of an Airflow connection as a resource states them: plain values and where secret ones come from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field, JsonValue

from jetbridge.api.common import ApiModel, LocalRef, ObjectName, Rule, SecretKey

MAX_FIELDS_FROM = 64
PLAIN_FIELDS = ("type", "description", "host", "port", "schema", "login")

# `username` is what basic-auth Secrets call the login; `connection` is a whole URI or JSON.
SourcedField = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^(connection|login|password|host|port|schema|extra|extra\.[-._a-zA-Z0-9]+)$",
    ),
]
UnsetField = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^(description|login|password|host|port|schema|extra|extra\..+)$",
    ),
]


class SecretKeyRef(ApiModel):
    """One key of a Secret of this namespace that is labelled `jetbridge.dev/source: "true"`."""

    name: ObjectName = Field(description="The Secret's name.")
    key: SecretKey | None = Field(default=None, description="The key in the Secret; the field's name when left out.")


class FieldFrom(ApiModel):
    """Takes one field's value from a source."""

    field: SourcedField = Field(
        description="The field: login, password, host, port, schema, extra (a JSON object), extra.<key>, or "
        "connection (a whole URI or JSON)."
    )
    secret_key_ref: SecretKeyRef = Field(description="The key of a source Secret.")


def _same_field_rule() -> Rule:
    names = ("host", "port", "schema", "login", "extra")
    clashes = " || ".join(f'(f.field == "{name}" && has(self.{name}))' for name in names)
    return Rule(
        rule=f"!has(self.fieldsFrom) || !self.fieldsFrom.exists(f, {clashes})",
        message="a field stands both plain and in fieldsFrom; keep one of the two",
        field_path=".fieldsFrom",
        holds=lambda c: not any(f.field in names and c.states(f.field) for f in c.fields_from or ()),
    )


def _not_json(value: JsonValue, path: str) -> Iterator[str]:
    """Paths in `extra` whose value does not survive the way to the cluster, and why."""
    if value is None:
        yield f"{path} is null, which kubectl apply drops silently: leave the key out"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{path} is not a number that JSON can hold"
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _not_json(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _not_json(inner, f"{path}[{index}]")


class ConnectionFields(ApiModel):
    """Fields of an Airflow connection: plain ones, and references to the secret ones."""

    rules: ClassVar[tuple[Rule, ...]] = (_same_field_rule(),)

    type: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9_.+-]+$",
        description="Airflow's conn_type, for example postgres or aws.",
    )
    description: str | None = Field(default=None, max_length=4096, description="A note for people; Airflow shows it.")
    host: str | None = Field(default=None, max_length=4096, description="Host, or what the type puts there.")
    port: int | None = Field(default=None, ge=1, le=65535, description="Port.")
    schema_: str | None = Field(default=None, alias="schema", max_length=4096, description="Schema, or database.")
    login: str | None = Field(default=None, max_length=4096, description="User name.")
    extra: dict[str, JsonValue] | None = Field(
        default=None,
        max_length=256,
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
        description="Airflow's extra: any JSON object without nulls. No secrets here: use fieldsFrom.",
    )
    secret_ref: LocalRef | None = Field(
        default=None,
        description="A Secret of this namespace, labelled jetbridge.dev/source=true, whose keys are fields: login (or "
        "username), password, host, port, schema, extra (a JSON object), extra.<key>, or connection (a whole URI or JSON).",
    )
    fields_from: list[FieldFrom] | None = Field(
        default=None,
        max_length=MAX_FIELDS_FROM,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["field"]},
        description="Single fields taken from sources.",
    )

    def states(self, field: str) -> bool:
        """Whether the field, by its name on the wire, has a plain value here. `extra.<key>` is one key of extra."""
        outer, dot, key = field.partition(".")
        if dot:
            return outer == "extra" and key in (self.extra or {})
        return getattr(self, "schema_" if field == "schema" else field, None) is not None

    def refusals(self) -> Iterator[str]:
        """What the API server can't see, because it does not look into `extra`."""
        yield from super().refusals()
        yield from _not_json(self.extra or {}, "extra")
        for source in self.fields_from or ():
            if source.field.startswith("extra.") and self.states(source.field):
                yield f"{source.field} stands both plain and in fieldsFrom; keep one of the two"
