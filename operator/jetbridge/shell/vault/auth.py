"""How the operator logs in to Vault: one function for each method. Credentials are read anew at every login, since
ServiceAccount tokens rotate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac

from jetbridge.shell.settings import VaultSettings


@dataclass(frozen=True, slots=True)
class Login:
    """A token, for how many seconds it holds (0: without end), and whether it can be renewed."""

    token: str
    seconds: int
    renewable: bool

    def __repr__(self) -> str:
        return f"Login(seconds={self.seconds}, renewable={self.renewable})"


def log_in(client: hvac.Client, settings: VaultSettings) -> Login:
    """Logs in by the configured method.

    Raises:
        OSError: a credential file can't be read.
        hvac.exceptions.VaultError: Vault refuses or is away.
    """
    return _METHODS[settings.auth](client, settings)


def _kubernetes(client: hvac.Client, settings: VaultSettings) -> Login:
    jwt = _read(settings.jwt_file)
    return _login(
        client.auth.kubernetes.login(role=settings.role, jwt=jwt, use_token=False, mount_point=settings.mount_of_auth)
    )


def _jwt(client: hvac.Client, settings: VaultSettings) -> Login:
    jwt = _read(settings.jwt_file)
    return _login(client.auth.jwt.jwt_login(role=settings.role, jwt=jwt, use_token=False, path=settings.mount_of_auth))


def _approle(client: hvac.Client, settings: VaultSettings) -> Login:
    role_id, secret_id = _read(settings.role_id_file), _read(settings.secret_id_file)
    return _login(
        client.auth.approle.login(
            role_id=role_id, secret_id=secret_id, use_token=False, mount_point=settings.mount_of_auth
        )
    )


def _token(client: hvac.Client, settings: VaultSettings) -> Login:
    token = settings.token.get_secret_value() if settings.token is not None else _read(settings.token_file)
    client.token = token
    try:
        data = client.auth.token.lookup_self()["data"]
    finally:
        client.token = None
    return Login(token, int(data.get("ttl") or 0), bool(data.get("renewable")))


_METHODS: dict[str, Callable[[hvac.Client, VaultSettings], Login]] = {
    "kubernetes": _kubernetes,
    "jwt": _jwt,
    "approle": _approle,
    "token": _token,
}


def _login(answer: Any) -> Login:
    auth = answer["auth"]
    return Login(auth["client_token"], int(auth["lease_duration"]), bool(auth["renewable"]))


def _read(path: Path | None) -> str:
    if path is None:
        raise OSError("no credential file is configured")
    return path.read_text().strip()
