"""`ConnectionLink`: gives one connection to one deployment, with overrides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from jetbridge.api.common import (
    AGE_COLUMN,
    READY_COLUMNS,
    ApiModel,
    DeploymentRef,
    LocalRef,
    PrinterColumn,
    Rule,
)
from jetbridge.api.connection import IngestStatus
from jetbridge.api.fields import ConnectionFields, UnsetField


def _set_and_unset_rule() -> Rule:
    # Not extra: to unset it and to set it replaces it, where setting it alone merges.
    names = ("description", "host", "port", "schema", "login")
    clashes = " || ".join(f'(u == "{name}" && has(self.{name}))' for name in names)
    return Rule(
        rule=f"!has(self.unset) || !self.unset.exists(u, {clashes} || "
        '(u != "extra" && has(self.fieldsFrom) && self.fieldsFrom.exists(f, f.field == u)))',
        message="a field is both set and unset; keep one of the two",
        field_path=".unset",
        holds=lambda o: (
            not any(
                (name in names and o.states(name))
                or (name != "extra" and any(f.field == name for f in o.fields_from or ()))
                for name in o.unset or ()
            )
        ),
    )


class Overrides(ConnectionFields):
    """What differs for the linked deployments: any field but the id."""

    rules: ClassVar[tuple[Rule, ...]] = (*ConnectionFields.rules, _set_and_unset_rule())

    unset: list[UnsetField] | None = Field(
        default=None,
        max_length=64,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Fields that the defaults give and this link removes: description, login, password, host, port, schema, "
        "extra, extra.<key>.",
    )

    def refusals(self) -> Iterator[str]:
        """Adds the keys of `extra` that are both set and unset."""
        yield from super().refusals()
        for name in self.unset or ():
            if name.startswith("extra.") and self.states(name):
                yield f"{name} is both set and unset; keep one of the two"


class ConnectionLinkSpec(ApiModel):
    """What a ConnectionLink says."""

    mode: Literal["Share"] = Field(
        description="Share gives the connection. Required, so that a mistyped field can never share silently."
    )
    connection_ref: LocalRef = Field(description="The Connection, in this namespace.")
    deployment_ref: DeploymentRef = Field(description="The AirflowDeployment that receives it.")
    overrides: Overrides | None = Field(default=None, description="What differs there.")


class ConnectionLinkStatus(IngestStatus):
    """What the operator says of a ConnectionLink."""


class ConnectionLink(ApiModel):
    """Gives one connection to one deployment, with overrides."""

    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn(name="Mode", json_path=".spec.mode", description="Share.", priority=1),
        PrinterColumn(name="Connection", json_path=".spec.connectionRef.name", description="What is shared."),
        PrinterColumn(name="Deployment", json_path=".spec.deploymentRef.name", description="With whom."),
        PrinterColumn(name="In", json_path=".spec.deploymentRef.namespace", description="The deployment's namespace."),
        PrinterColumn(
            name="Delivered",
            json_path=".status.delivered",
            description="Deployments that have it, of those that should.",
        ),
        *READY_COLUMNS,
        AGE_COLUMN,
    )

    spec: ConnectionLinkSpec = Field(description="What is shared, with whom, and what differs.")
    status: ConnectionLinkStatus | None = Field(default=None, description="What the operator did and saw.")
