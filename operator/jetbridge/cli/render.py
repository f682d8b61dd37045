"""`jetbridge render`: what each deployment would receive, told from files, without a cluster."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from jetbridge.cli.manifests import ManifestError, load
from jetbridge.cli.offline import OfflineDeployment, OfflineEntry, render_all
from jetbridge.core.resolve import Problem

Output = Literal["table", "json"]
_PLAIN_WIDTH = 160


def render(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files or folders of resources, or - for standard input.", show_default=False),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", help="The same, as an option; repeat for more.", show_default=False),
    ] = None,
    deployment: Annotated[
        str | None,
        typer.Option("--deployment", "-d", help="Only this deployment, as namespace/name.", show_default=False),
    ] = None,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="The namespace of resources that name none.")
    ] = "default",
    output: Annotated[Output | None, typer.Option("--output", "-o", help="table, or json for programs.")] = None,
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets", help="Show what comes from sources; with -o json only.")
    ] = False,
) -> None:
    """Show what each deployment would receive, from files alone.

    Reads Connections, ConnectionLinks, AirflowDeployments, Workspaces, source Secrets and Namespaces (for their labels), and
    runs the operator's own core on them. What comes from a source is masked.

    Exits 1 when the input is wrong. What is right is shown all the same, as the operator would deliver it; what a deployment
    lacks, such as a Secret that is not among the files, is listed and is no failure.
    """
    if show_secrets and output != "json":
        _fail(["--show-secrets needs -o json: secrets are for programs, not for terminals"], 2)
    given = [*(files or ()), *(paths or ())]
    if not given:
        _fail(["name a file or a folder, for example: jetbridge render -f examples/quickstart"], 2)
    try:
        state, refused = load(given, namespace)
    except ManifestError as error:
        _fail(error.problems, 1)
    found = render_all(state)
    if deployment is not None:
        found = [d for d in found if deployment in (str(d.deployment.meta), d.deployment.meta.name)]
        if not found:
            _fail([f"no AirflowDeployment {deployment} is in the files; give it as namespace/name"], 1)
    if not found and not refused:
        _fail(["no AirflowDeployment is in the files, so nobody would receive anything"], 1)
    if output == "json":
        shown = {str(d.deployment.meta): _document(d, show_secrets) for d in found}
        sys.stdout.write(json.dumps(shown, indent=2, ensure_ascii=True) + "\n")
    else:
        _print(found)
    if refused:
        _fail(refused, 1)


def _fail(problems: list[str], code: int) -> NoReturn:
    for problem in problems:
        typer.echo(f"jetbridge render: {problem}", err=True)
    raise typer.Exit(code)


def _document(found: OfflineDeployment, show_secrets: bool) -> dict[str, Any]:
    problems = [_problem(p) for p in found.problems]
    problems += [
        {"id": "", "connection": "", "reason": "NotAdmitted", "message": _not_admitted(home, found)}
        for home in found.not_admitted
    ]
    if show_secrets:
        return {"env": {e.env_name: e.value for e in found.entries}, "problems": problems}
    return {
        "secretName": found.deployment.secret_name,
        "format": found.deployment.format,
        "env": {e.env_name: _entry(e) for e in found.entries},
        "problems": problems,
        "notes": list(found.notes),
    }


def _entry(entry: OfflineEntry) -> dict[str, Any]:
    return {
        "id": entry.connection_id,
        "connection": entry.connection,
        "via": entry.via,
        "fields": {n: {"value": v.shown(), "from": v.origin} for n, v in sorted(entry.fields.items())},
        "warnings": list(entry.warnings),
    }


def _problem(problem: Problem) -> dict[str, str]:
    return {
        "id": problem.connection_id,
        "connection": problem.connection,
        "reason": problem.reason,
        "message": problem.message,
    }


def _not_admitted(home: str, found: OfflineDeployment) -> str:
    return f"{home}: a Workspace named default there must admit namespace {found.deployment.meta.namespace}"


def _print(found: list[OfflineDeployment]) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=_PLAIN_WIDTH)
    for item in found:
        meta = item.deployment.meta
        secret = f"Secret {meta.namespace}/{item.deployment.secret_name}, {item.deployment.format}"
        console.print(Text.assemble((f"AirflowDeployment {meta}", "bold"), f"  ({secret})"))
        for entry in item.entries:
            console.print()
            console.print(
                Text.assemble("  ", (entry.env_name, "bold cyan"), f"  Connection {entry.connection}, by {entry.via}")
            )
            console.print(Padding(_table(entry), (0, 0, 0, 4), expand=False))
            for warning in entry.warnings:
                console.print(Text(f"    warning: {warning}", style="yellow"))
        if not item.entries:
            console.print("  nothing is delivered")
        for problem in item.problems:
            what = f"{problem.connection_id} (Connection {problem.connection})"
            console.print(Text(f"  missing: {what}: {problem.reason}: {problem.message}", style="red"))
        for home in item.not_admitted:
            console.print(Text(f"  not admitted by {_not_admitted(home, item)}", style="red"))
        for note in item.notes:
            console.print(Text(f"  note: {note}"))
        console.print()


def _table(entry: OfflineEntry) -> Table:
    table = Table("FIELD", "VALUE", "FROM", box=None, pad_edge=False, header_style="dim")
    for name, value in sorted(entry.fields.items()):
        shown = value.shown()
        table.add_row(Text(name), Text(shown if isinstance(shown, str) else json.dumps(shown)), Text(value.origin))
    return table
