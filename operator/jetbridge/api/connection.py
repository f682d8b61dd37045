"""`Connection`: the defaults of one Airflow connection, in the workspace that owns it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from jetbridge.api.common import (
    AGE_COLUMN,
    READY_COLUMNS,
    ApiModel,
    Conditions,
    ObjectName,
    PrinterColumn,
    Rule,
)
from jetbridge.api.fields import ConnectionFields

_DEFAULT_ID = '{object}.metadata.name.replace("-", "_").replace(".", "_")'


# With AIRFLOW_CONN_ before it, it is a key of a Secret: 253 characters.
MAX_ID = 240


def _effective_id(obj: str) -> str:
    default = _DEFAULT_ID.format(object=obj)
    return f"(has({obj}.spec.connectionId) ? {obj}.spec.connectionId : {default})"


def _is_reserved(connection_id: str) -> bool:
    """Whether Airflow gives the id a meaning of its own: its chart sets airflow_db, and ___ parts team and id."""
    return connection_id.lower() == "airflow_db" or "___" in connection_id


ID_IS_IMMUTABLE = Rule(
    rule=f"{_effective_id('self')} == {_effective_id('oldSelf')}",
    message="the connection id is immutable: DAGs ask for it; make a new Connection for a new id",
    field_path=".spec.connectionId",
)


def _default_id_rule() -> Rule:
    default = _DEFAULT_ID.format(object="self")
    return Rule(
        rule=f'has(self.spec.connectionId) || ({default} != "airflow_db" && !{default}.contains("___") '
        f"&& size(self.metadata.name) <= {MAX_ID})",
        message="the name gives an id that is reserved (airflow_db, or with ___) or longer than "
        f"{MAX_ID} characters; set connectionId",
        field_path=".spec.connectionId",
    )


class ConnectionSpec(ConnectionFields):
    """What a Connection says."""

    rules: ClassVar[tuple[Rule, ...]] = (
        *ConnectionFields.rules,
        Rule(
            rule="has(self.type) || has(self.secretRef) || has(self.fieldsFrom)",
            message="type is required unless a source gives a whole connection",
            field_path=".type",
            holds=lambda c: c.type is not None or c.secret_ref is not None or c.fields_from is not None,
        ),
        Rule(
            rule='!has(self.connectionId) || (self.connectionId.lowerAscii() != "airflow_db" '
            '&& !self.connectionId.contains("___"))',
            message="this id is reserved: Airflow's chart sets airflow_db itself, and ___ separates teams from ids",
            field_path=".connectionId",
            holds=lambda c: not _is_reserved(c.connection_id or ""),
        ),
    )

    connection_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_ID,
        pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$",
        description="The id that DAGs ask for; metadata.name with - and . as _ when left out. Immutable.",
    )
    sharing: Literal["Restricted", "LinkedToAll"] | None = Field(
        default=None,
        description="Restricted: only linked deployments receive it (when left out). LinkedToAll: every current and "
        "future deployment of the workspace.",
    )


class VaultEntry(ApiModel):
    """The entry in Vault that holds the sourced fields."""

    path: str = Field(max_length=1024, description="Mount and path of the entry.")
    version: int = Field(ge=0, description="Its version in Vault's KV v2.")
    digest: str = Field(
        max_length=128, description="A keyed digest of the content; it says nothing to whom lacks the key."
    )
    refs: str = Field(
        max_length=64, description="A fingerprint of the references (not the values) that it was taken from."
    )


class SourceVersion(ApiModel):
    """Which state of a source was last taken in."""

    name: ObjectName = Field(description="The source Secret's name.")
    resource_version: str = Field(max_length=64, description="Its resourceVersion then.")


class IngestStatus(ApiModel):
    """What the status of Connection and ConnectionLink share: conditions and what was taken in."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="The generation that this status speaks of."
    )
    connection_id: str | None = Field(default=None, max_length=253, description="The effective id that DAGs ask for.")
    vault: VaultEntry | None = Field(default=None, description="The entry in Vault, when there are sources.")
    sources: list[SourceVersion] | None = Field(
        default=None,
        max_length=64,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        description="The sources as last taken in.",
    )
    delivered: str | None = Field(
        default=None, max_length=32, description="To how many of the deployments it is delivered, as 2/3."
    )
    conditions: Conditions | None = Field(default=None, description="Ready, and Stored when there are sources.")


class ConnectionStatus(IngestStatus):
    """What the operator says of a Connection."""


class Connection(ApiModel):
    """The defaults of one Airflow connection, to be shared with deployments."""

    rules: ClassVar[tuple[Rule, ...]] = (ID_IS_IMMUTABLE, _default_id_rule())
    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn(name="Id", json_path=".status.connectionId", description="What DAGs ask for."),
        PrinterColumn(name="Type", json_path=".spec.type", description="Airflow's conn_type."),
        PrinterColumn(name="Sharing", json_path=".spec.sharing", description="Who receives it; Restricted when empty."),
        PrinterColumn(
            name="Delivered",
            json_path=".status.delivered",
            description="Deployments that have it, of those that should.",
        ),
        PrinterColumn(
            name="Vault", type="integer", json_path=".status.vault.version", description="Version in Vault.", priority=1
        ),
        *READY_COLUMNS,
        AGE_COLUMN,
    )

    spec: ConnectionSpec = Field(description="The defaults and who receives them.")
    status: ConnectionStatus | None = Field(default=None, description="What the operator did and saw.")
