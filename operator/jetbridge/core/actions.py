"""What a plan asks for, as data. The shell executes it; nothing here knows how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jetbridge.core.secret_value import SecretValue


@dataclass(frozen=True, slots=True)
class SecretBody:
    """A rendered Secret as it should be."""

    namespace: str
    name: str
    owner_name: str
    owner_uid: str
    manifest: str
    data: Mapping[str, SecretValue] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CreateSecret:
    """POST it. Should the name be taken, it is foreign and left alone."""

    body: SecretBody


@dataclass(frozen=True, slots=True)
class ReplaceSecret:
    """PUT it whole, on the condition that it still is the one that was seen."""

    body: SecretBody
    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class RemakeSecret:
    """Delete the one that was seen, by uid, and POST it anew: immutable Secrets and their type can't be changed."""

    body: SecretBody
    uid: str


@dataclass(frozen=True, slots=True)
class DeleteSecret:
    """Delete the one that was seen, by uid."""

    namespace: str
    name: str
    uid: str


SecretAction = CreateSecret | ReplaceSecret | RemakeSecret | DeleteSecret
