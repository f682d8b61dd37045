"""`Workspace`: which other namespaces' deployments may use the connections of this one."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from jetbridge.api.common import (
    AGE_COLUMN,
    READY_COLUMNS,
    ApiModel,
    Conditions,
    LabelSelector,
    PrinterColumn,
    Rule,
)


class AdmittedNamespaces(ApiModel):
    """Which namespaces are admitted."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            rule='(self.from == "Selector") == has(self.selector)',
            message="selector is required with from: Selector, and only then",
            field_path=".selector",
            holds=lambda n: (n.from_ == "Selector") == (n.selector is not None),
        ),
    )

    from_: Literal["Same", "All", "Selector"] = Field(
        alias="from", description="Same: only this namespace. All: every namespace. Selector: those that it selects."
    )
    selector: LabelSelector | None = Field(
        default=None, description="Selects by the labels of namespaces, which are the cluster administrator's."
    )


class AdmittedDeployments(ApiModel):
    """Whose deployments are admitted."""

    namespaces: AdmittedNamespaces = Field(description="By their namespace.")


class WorkspaceSpec(ApiModel):
    """What a Workspace says."""

    deployments: AdmittedDeployments = Field(description="Whose deployments may use the connections of this namespace.")


class WorkspaceStatus(ApiModel):
    """What the operator says of a Workspace."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="The generation that this status speaks of."
    )
    deployments: int | None = Field(
        default=None, ge=0, description="How many deployments of other namespaces use this workspace now."
    )
    conditions: Conditions | None = Field(default=None, description="Ready.")


class Workspace(ApiModel):
    """Consent and policy of a namespace that holds connections. Its name is default."""

    rules: ClassVar[tuple[Rule, ...]] = (
        # No field path: the API server takes only paths of the schema, and metadata is not part of it.
        Rule(
            rule='self.metadata.name == "default"',
            message="a namespace has one Workspace, named default",
        ),
    )
    columns: ClassVar[tuple[PrinterColumn, ...]] = (
        PrinterColumn(
            name="Admits", json_path=".spec.deployments.namespaces.from", description="Whose deployments it admits."
        ),
        PrinterColumn(
            name="Deployments",
            type="integer",
            json_path=".status.deployments",
            description="Those of other namespaces that use it.",
        ),
        *READY_COLUMNS,
        AGE_COLUMN,
    )

    spec: WorkspaceSpec = Field(description="Whom this namespace admits.")
    status: WorkspaceStatus | None = Field(default=None, description="What the operator did and saw.")
