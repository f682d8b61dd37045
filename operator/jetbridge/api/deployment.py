"""`AirflowDeployment`: registers one Airflow installation that receives connections."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from jetbridge.api.common import (
    AGE_COLUMN,
    READY_COLUMNS,
    ApiModel,
    Conditions,
    NamespaceName,
    ObjectName,
    PrinterColumn,
)

MAX_LISTED_CONNECTIONS = 200
MAX_LISTED_PROBLEMS = 50
MAX_LISTED_BYTES = 256 * 1024

FieldOrigin = Annotated[str, Field(max_length=640)]
EntryVersion = Annotated[str, Field(max_length=1100)]  # VaultEntry's path, @ and a version


class WorkspaceRef(ApiModel):
    """A namespace that holds connections."""

    namespace: NamespaceName = Field(description="The workspace's namespace.")


class EnvDelivery(ApiModel):
    """A Secret of AIRFLOW_CONN_* keys, for envFrom."""

    secret_name: ObjectName | None = Field(
        default=None, description="The Secret's name; <deployment>-connections when left out."
    )
    format: Literal["JSON", "URI"] | None = Field(
        default=None,
        description="JSON keeps every value (when left out); URI is for old readers: it loses descriptions, and refuses "
        "what would come back changed.",
    )


class Deliver(ApiModel):
    """How the connections reach Airflow."""

    env: EnvDelivery | None = Field(default=None, description="As environment variables.")


class AirflowDeploymentSpec(ApiModel):
    """What an AirflowDeployment says."""

    workspaces: list[WorkspaceRef] | None = Field(
        default=None,
        min_length=1,
        max_length=32,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["namespace"]},
        description="Where its connections come from; its own namespace when left out. For an id in several the first wins.",
    )
    deliver: Deliver | None = Field(default=None, description="How they are delivered; env when left out.")


class DeliveredConnection(ApiModel):
    """One connection that the deployment has."""

    id: str = Field(max_length=253, description="What DAGs ask for.")
    connection: str = Field(max_length=320, description="The Connection, as namespace/name.")
    via: str = Field(max_length=320, description="LinkedToAll, or the link that shares it.")
    fields: dict[str, FieldOrigin] | None = Field(
        default=None,
        max_length=64,
        description="Fields that do not come plain from the Connection: each with where it comes from.",
    )
    vault: list[EntryVersion] | None = Field(
        default=None, max_length=4, description="The entries in Vault behind it, as path@version."
    )
    since: str = Field(
        max_length=32, json_schema_extra={"format": "date-time"}, description="Since when it has this content."
    )


class Problem(ApiModel):
    """A connection that the deployment should have and does not, or has in an older state."""

    id: str = Field(max_length=253, description="What DAGs ask for.")
    connection: str = Field(max_length=320, description="The Connection, as namespace/name.")
    reason: str = Field(max_length=64, description="Why, in one word.")
    message: str = Field(max_length=1024, description="Why, and what to do.")


class AirflowDeploymentStatus(ApiModel):
    """What the operator says of an AirflowDeployment."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="The generation that this status speaks of."
    )
    secret_name: str | None = Field(default=None, max_length=253, description="The Secret to use with envFrom.")
    delivered: str | None = Field(
        default=None, max_length=32, description="How many of its connections are delivered, as 3/4."
    )
    connections: list[DeliveredConnection] | None = Field(
        default=None,
        max_length=MAX_LISTED_CONNECTIONS,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="What it has; the first 200 by id.",
    )
    problems: list[Problem] | None = Field(
        default=None,
        max_length=MAX_LISTED_PROBLEMS,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        description="What it lacks, or has in an older state, and why; the first 50 by id.",
    )
    conditions: Conditions | None = Field(default=None, description="Ready.")


class AirflowDeployment(ApiModel):
    """One Airflow installation that receives connections."""

    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn(name="Secret", json_path=".status.secretName", description="The Secret for envFrom."),
        PrinterColumn(
            name="Delivered", json_path=".status.delivered", description="Connections it has, of those it should."
        ),
        *READY_COLUMNS,
        AGE_COLUMN,
    )

    spec: AirflowDeploymentSpec | None = Field(
        default=None, description="Where connections come from, and how they arrive."
    )
    status: AirflowDeploymentStatus | None = Field(default=None, description="What the operator did and saw.")
