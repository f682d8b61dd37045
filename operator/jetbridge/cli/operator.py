"""`jetbridge operator`: runs the operator."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from jetbridge.runtime.workers import describe_error
from jetbridge.shell.logs import configure
from jetbridge.shell.operator import Operator, StartError
from jetbridge.shell.settings import SERVICE_ACCOUNT_TOKEN, OperatorSettings

operator_app = typer.Typer(help="Run the operator.", no_args_is_help=True)


def _option(env: str, text: str, *flags: str) -> Any:
    return typer.Option(*flags, envvar=f"JETBRIDGE_{env}", help=text, show_default=True)


@operator_app.callback()
def group() -> None:
    """Run the operator."""


@operator_app.command(
    "run", epilog="Example: jetbridge operator run --vault-address https://vault:8200 --vault-role jetbridge"
)
def run_operator(
    vault_address: Annotated[str, _option("VAULT_ADDRESS", "Vault's URL.", "--vault-address")] = "",
    vault_auth: Annotated[
        str, _option("VAULT_AUTH", "How to log in: kubernetes, jwt, approle or token.")
    ] = "kubernetes",
    vault_auth_mount: Annotated[
        str, _option("VAULT_AUTH_MOUNT", "Where that method is mounted; its name when left out.")
    ] = "",
    vault_role: Annotated[str, _option("VAULT_ROLE", "The role to log in as.")] = "jetbridge",
    vault_jwt_file: Annotated[
        Path, _option("VAULT_JWT_FILE", "The ServiceAccount token, for kubernetes and jwt.")
    ] = SERVICE_ACCOUNT_TOKEN,
    vault_role_id_file: Annotated[Path | None, _option("VAULT_ROLE_ID_FILE", "The role id, for approle.")] = None,
    vault_secret_id_file: Annotated[Path | None, _option("VAULT_SECRET_ID_FILE", "The secret id, for approle.")] = None,
    vault_token_file: Annotated[
        Path | None, _option("VAULT_TOKEN_FILE", "The token, for token; or set JETBRIDGE_VAULT_TOKEN.")
    ] = None,
    vault_ca_file: Annotated[Path | None, _option("VAULT_CA_FILE", "The CA of Vault's certificate.")] = None,
    vault_namespace: Annotated[str | None, _option("VAULT_NAMESPACE", "The namespace in Vault Enterprise.")] = None,
    vault_mount: Annotated[str, _option("VAULT_MOUNT", "The KV v2 engine.")] = "secret",
    vault_prefix: Annotated[
        str, _option("VAULT_PREFIX", "The path below which the operator keeps its entries.")
    ] = "jetbridge",
    vault_check_interval: Annotated[
        float, _option("VAULT_CHECK_INTERVAL", "Seconds between looks at an entry's metadata.")
    ] = 600.0,
    finalizer_timeout: Annotated[
        float, _option("FINALIZER_TIMEOUT", "Seconds after which a deletion no longer waits for Vault.")
    ] = 120.0,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            envvar=["JETBRIDGE_KUBECONFIG", "KUBECONFIG"], help="Credentials; those of the pod when left out."
        ),
    ] = None,
    namespace: Annotated[
        list[str] | None,
        typer.Option(
            "--namespace",
            "-n",
            envvar=["JETBRIDGE_NAMESPACE", "JETBRIDGE_NAMESPACES"],
            help="Watch this namespace only; repeat for more. All when left out.",
        ),
    ] = None,
    workers: Annotated[int, _option("WORKERS", "How many objects are reconciled at once.")] = 16,
    listen: Annotated[str, _option("LISTEN", "Address of /metrics, /healthz and /readyz.")] = "0.0.0.0:8080",
    log_format: Annotated[str, _option("LOG_FORMAT", "text or json.")] = "text",
    log_level: Annotated[str, _option("LOG_LEVEL", "debug, info, warning or error.")] = "info",
) -> None:
    """Run the operator until it is told to stop."""
    host, _, port = listen.rpartition(":")
    vault = {
        "address": vault_address,
        "auth": vault_auth,
        "auth_mount": vault_auth_mount,
        "role": vault_role,
        "jwt_file": vault_jwt_file,
        "role_id_file": vault_role_id_file,
        "secret_id_file": vault_secret_id_file,
        "token": os.environ.get("JETBRIDGE_VAULT_TOKEN") or None,
        "token_file": vault_token_file,
        "ca_file": vault_ca_file,
        "namespace": vault_namespace,
        "mount": vault_mount,
        "prefix": vault_prefix,
    }
    settings = load_settings(
        {
            "vault": vault,
            "kubeconfig": kubeconfig,
            "namespaces": frozenset(namespace) if namespace else None,
            "workers": workers,
            "listen_host": host.strip("[]"),
            "listen_port": port,
            "log_format": log_format,
            "log_level": log_level,
            "vault_check_interval": vault_check_interval,
            "finalizer_timeout": finalizer_timeout,
        }
    )
    configure(settings.log_format, settings.log_level)
    try:
        asyncio.run(_run(settings))
    except StartError as error:
        typer.echo(f"jetbridge: {error}", err=True)
        raise typer.Exit(1) from None
    except Exception as error:
        # Not even the last words may quote what a server said.
        typer.echo(f"jetbridge: the operator ended: {_describe(error)}", err=True)
        raise typer.Exit(1) from None


def _describe(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return describe_error(error)


_FLAGS = {"listen_host": "listen", "listen_port": "listen", "namespaces": "namespace"}


def load_settings(values: Mapping[str, Any]) -> OperatorSettings:
    """Checks the settings; wrong ones end the program with one line for people and exit code 2."""
    if not values["vault"]["address"]:
        _refuse("--vault-address (or JETBRIDGE_VAULT_ADDRESS) is required")
    try:
        return OperatorSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"])
        # What concerns several options of Vault names them itself.
        flag = "" if name == "vault" else f"--{_FLAGS.get(name, name).replace('_', '-')}: "
        _refuse(flag + first["msg"].removeprefix("Value error, "))
        raise AssertionError from None


def _refuse(message: str) -> None:
    typer.echo(f"jetbridge operator run: {message}", err=True)
    raise typer.Exit(2)


async def _run(settings: OperatorSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await Operator(settings).run(stop)
