"""The operator's settings, checked before anything starts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from jetbridge.shell.vault.contract import entry_path

AuthMethod = Literal["kubernetes", "jwt", "approle", "token"]
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class VaultSettings(_Settings):
    """Where Vault is and how to log in. Credentials come from files or the environment, never from arguments."""

    address: str
    auth: AuthMethod = "kubernetes"
    auth_mount: str = ""
    role: str = "jetbridge"
    jwt_file: Path = SERVICE_ACCOUNT_TOKEN
    role_id_file: Path | None = None
    secret_id_file: Path | None = None
    token: SecretStr | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    namespace: str | None = None
    mount: str = "secret"
    prefix: str = "jetbridge"
    timeout: Annotated[float, Field(gt=0, le=60)] = 5.0
    connections: Annotated[int, Field(ge=1, le=64)] = 8

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL such as https://vault.example.com:8200")
        if parts.username or parts.password:
            raise ValueError("must not hold credentials")
        return value.rstrip("/")

    @field_validator("prefix", "mount")
    @classmethod
    def _path(cls, value: str) -> str:
        value = value.strip("/")
        entry_path(value, "x", "x", "x")
        return value

    @model_validator(mode="after")
    def _credentials(self) -> VaultSettings:
        if self.auth == "token" and self.token is None and self.token_file is None:
            raise ValueError("auth token needs JETBRIDGE_VAULT_TOKEN, or a token file")
        if self.auth == "approle" and (self.role_id_file is None or self.secret_id_file is None):
            raise ValueError("auth approle needs a role id file and a secret id file")
        files: dict[str, Path | None] = {"ca_file": self.ca_file}
        if self.auth in ("kubernetes", "jwt"):
            files["jwt_file"] = self.jwt_file
        if self.auth == "approle":
            files |= {"role_id_file": self.role_id_file, "secret_id_file": self.secret_id_file}
        if self.auth == "token" and self.token is None:
            files["token_file"] = self.token_file
        for name, path in files.items():
            if path is not None and not path.is_file():
                raise ValueError(f"{name.replace('_', ' ')} {path} does not exist")
        return self

    @property
    def mount_of_auth(self) -> str:
        """Where the auth method is mounted; under its own name when left out."""
        return self.auth_mount or self.auth


class OperatorSettings(_Settings):
    """Everything that `jetbridge operator run` can be told."""

    vault: VaultSettings
    kubeconfig: Path | None = None
    namespaces: frozenset[str] | None = None
    workers: Annotated[int, Field(ge=1, le=256)] = 16
    listen_host: str = "0.0.0.0"  # noqa: S104 - probes come from the node
    listen_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    vault_check_interval: Annotated[float, Field(ge=1)] = 600.0
    """Seconds between two looks at an entry's metadata in Vault; each is spread over a quarter of it."""
    finalizer_timeout: Annotated[float, Field(ge=1)] = 120.0
    """Seconds after which a deletion no longer waits for Vault."""
    first_write_hold: Annotated[float, Field(ge=0, le=10)] = 10.0
    """Seconds that a new deployment's Secret may wait for connections that are being taken in."""
    stuck_after: Annotated[float, Field(ge=30)] = 300.0
    """Seconds that a key may be overdue before the operator calls itself dead."""

    @field_validator("namespaces")
    @classmethod
    def _names(cls, value: frozenset[str] | None) -> frozenset[str] | None:
        for name in sorted(value or ()):
            if not _NAMESPACE.fullmatch(name):
                raise ValueError(f"{name!r} can't be a namespace; give the option once for each")
        return value

    @field_validator("kubeconfig")
    @classmethod
    def _exists(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"{value} does not exist")
        return value
