"""The registry of kinds: their names in every form that Kubernetes asks for."""

from __future__ import annotations

from dataclasses import dataclass

from jetbridge.api.common import ApiModel, PrinterColumn
from jetbridge.api.connection import Connection
from jetbridge.api.deployment import AirflowDeployment
from jetbridge.api.link import ConnectionLink
from jetbridge.api.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of `jetbridge.dev/v1alpha1`."""

    kind: str
    plural: str
    short: str
    model: type[ApiModel]
    columns: tuple[PrinterColumn, ...]

    @property
    def singular(self) -> str:
        return self.kind.lower()


CONNECTION = Kind("Connection", "connections", "conn", Connection, Connection.columns)
LINK = Kind("ConnectionLink", "connectionlinks", "connlink", ConnectionLink, ConnectionLink.columns)
DEPLOYMENT = Kind("AirflowDeployment", "airflowdeployments", "afd", AirflowDeployment, AirflowDeployment.columns)
WORKSPACE = Kind("Workspace", "workspaces", "jbws", Workspace, Workspace.columns)

KINDS: tuple[Kind, ...] = (CONNECTION, LINK, DEPLOYMENT, WORKSPACE)
BY_KIND: dict[str, Kind] = {k.kind: k for k in KINDS}
