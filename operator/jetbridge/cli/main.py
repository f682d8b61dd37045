"""`jetbridge`: the entry point of every command."""

from __future__ import annotations

import typer

from jetbridge import __version__
from jetbridge.cli.operator import operator_app
from jetbridge.cli.render import render

app = typer.Typer(
    name="jetbridge",
    help="Define an Airflow connection once and share it with the deployments that need it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(operator_app, name="operator")
app.command(epilog="Example: jetbridge render -f examples/quickstart")(render)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jetbridge {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Define an Airflow connection once and share it with the deployments that need it."""


def run() -> None:
    """Runs the command line."""
    app()
