"""The contract of the cluster writer: the few writes that the operator makes, each with its precondition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from jetbridge.api.kinds import Kind
from jetbridge.core.actions import SecretBody
from jetbridge.core.views import Meta

Raw = dict[str, Any]


class ClusterError(Exception):
    """The API server did not do what was asked. The text names status and object, never content."""


class ApiUnavailable(ClusterError):
    """It can't be reached, or fails: worth trying again."""


class Forbidden(ClusterError):
    """RBAC, or admission, refuses."""


class Missing(ClusterError):
    """The object is not there."""


class Taken(ClusterError):
    """The name is taken already."""


class Conflict(ClusterError):
    """The object is not the one that was seen: look again."""


class Refused(ClusterError):
    """The API server refuses the object itself."""


class Cluster(Protocol):
    """Reads and writes; every write gives the object as it stands after it."""

    async def get_secret(self, namespace: str, name: str) -> Raw | None:
        """The Secret, or None."""

    async def create_secret(self, body: SecretBody) -> Raw:
        """POSTs a rendered Secret. Raises Taken when the name is."""

    async def replace_secret(self, body: SecretBody, uid: str, resource_version: str) -> Raw:
        """PUTs a rendered Secret whole. Raises Conflict or Missing when it is no longer the one that was seen."""

    async def delete_secret(self, namespace: str, name: str, uid: str) -> None:
        """Deletes the Secret with this uid; one that is gone already is fine. Raises Conflict on another uid."""

    async def apply_status(self, kind: Kind, meta: Meta, status: Mapping[str, Any]) -> Raw:
        """Applies our part of the status. Raises Missing or Conflict when the object is no longer as it was seen."""

    async def apply_finalizers(self, kind: Kind, meta: Meta, finalizers: Sequence[str]) -> Raw:
        """Makes ours these finalizers; others' stay. Raises Missing or Conflict when the object is no longer as it was seen."""

    async def create_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        """POSTs an Event."""
