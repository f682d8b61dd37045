"""`python -m dev`: starts, shows and ends the local stack."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dev import demo as quickstart
from dev.artefacts import ARTEFACTS
from dev.errors import StackError
from dev.files import private_dir, write_private
from dev.processes import is_running
from dev.progress import Step, Terminal, elapsed
from dev.stack import REPOSITORY, LocalStack, write_person_files
from dev.tools import find

# A pipe or a CI log has no width: tables are not folded there.
console = Console(width=None if sys.stdout.isatty() else 200)
errors = Console(stderr=True)
app = typer.Typer(
    help="The local stack: a real Kubernetes API server, a real Vault and the operator, on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

StateDir = Annotated[Path, typer.Option("--state-dir", help="Where the stack keeps its state.", show_default=".local")]
DEFAULT_STATE = REPOSITORY / ".local"


def bring_up(stack: LocalStack, progress: Terminal, *, operator: bool) -> None:
    """Everything of `up`, also for `demo`: idempotent; when interrupted, it takes back what it started."""
    private_dir(stack.state_dir)
    with stack.locked(progress):
        write_private(stack.state_dir / ".gitignore", "*\n")  # credentials: never to be committed, wherever this is
        try:
            stack.start(progress)
            write_person_files(stack)
            if operator:
                with progress.step("operator") as step:
                    stack.ensure_operator()
                    step.detail = f"http://{stack.operator.listen()}"
        except (KeyboardInterrupt, SystemExit):
            progress.note("interrupted: ending what was started")
            stack.stop_started_here()
            raise


@app.command()
def up(
    operator: Annotated[bool, typer.Option("--operator/--no-operator", help="Start the operator too.")] = True,
    audit: Annotated[bool, typer.Option("--audit", help="Log API writes and secret reads.")] = False,
    state_dir: StateDir = DEFAULT_STATE,
) -> None:
    """Start what does not run yet, and write .local/kubeconfig and .local/env."""
    started = Step("up")
    stack = LocalStack(state_dir, audit=audit)
    bring_up(stack, Terminal(console), operator=operator)
    env = relative(stack.state_dir / "env")
    console.print(f"\nThe local stack is up, in {started.took}. To look around:\n", highlight=False)
    console.print(
        f"  . {env}        [dim]# kubectl and vault of this shell point to it[/dim]", highlight=False, soft_wrap=True
    )
    console.print("  kubectl get conn,connlink,afd -A", highlight=False)
    console.print("\n[dim]make status shows what runs and where the logs are, make down ends it[/dim]", highlight=False)


@app.command()
def down(state_dir: StateDir = DEFAULT_STATE) -> None:
    """End what up started, and remove its state and data."""
    if not state_dir.is_dir():
        console.print("nothing runs here")
        return
    stack = LocalStack(state_dir)  # not attach: records of processes are enough, also after a crash of up
    progress = Terminal(console)
    with stack.locked(progress):
        running = [record.name for record in stack.processes.all() if is_running(record)]
        with progress.step(f"ending {', '.join(running)}" if running else "nothing runs; removing the state"):
            stack.remove()
        (stack.state_dir / "lock").unlink(missing_ok=True)
    if not any(stack.state_dir.iterdir()):
        stack.state_dir.rmdir()


@app.command()
def status(state_dir: StateDir = DEFAULT_STATE) -> None:
    """Show what runs and where the logs are; exit 1 if something that was started is gone."""
    records = LocalStack(state_dir).processes.all() if state_dir.is_dir() else []
    if not records:
        console.print("nothing runs here; make up starts it")
        return
    table = Table("process", "pid", "state", "address", "log", box=None, pad_edge=False, header_style="bold")
    for record in records:
        state = f"[green]runs, {escape(since(record.started))}[/green]" if is_running(record) else "[red]gone[/red]"
        table.add_row(record.name, str(record.pid), state, record.address, relative(Path(record.log)))
    for column in table.columns[:-1]:
        column.no_wrap = True
    table.columns[-1].overflow = "fold"  # a path that can be copied is worth a second line
    console.print(table)
    if not all(is_running(record) for record in records):
        console.print("\nmake up starts again what is gone")
        raise typer.Exit(1)


@app.command()
def demo(state_dir: StateDir = DEFAULT_STATE) -> None:
    """Show the quickstart for real: apply it, tell what came of it, rotate a password; exit 1 if anything was not seen."""
    started = Step("demo")
    progress = Terminal(console)
    stack = LocalStack.attach(state_dir) if (state_dir / "stack.json").exists() else LocalStack(state_dir)
    bring_up(stack, progress, operator=True)
    with stack.locked(progress):
        quickstart.run(stack, console, progress)
    console.print(f"\n[green]All of it was seen, in {started.took}.[/green]", highlight=False)
    quickstart.what_next(console, relative(stack.state_dir / "env"))


@app.command()
def build(
    names: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(ARTEFACTS)}; all when left out.")] = None,
) -> None:
    """Find or make the programs that the stack needs, and say where they are."""
    wanted = names or list(ARTEFACTS)
    if unknown := [name for name in wanted if name not in ARTEFACTS]:
        raise StackError(f"nothing here is called {', '.join(unknown)}; there are {', '.join(ARTEFACTS)}")
    progress = Terminal(console)
    for name in wanted:
        found = find(name, progress)
        console.print(
            f"{found.name}: {found.path} [dim]({escape(found.source)})[/dim]", highlight=False, soft_wrap=True
        )


def relative(path: Path) -> str:
    """As one would type it here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def since(moment: float) -> str:
    """How long ago."""
    return elapsed(max(0.0, time.time() - moment))


def _terminated(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    """Run, and put an expected failure into one line instead of a traceback."""
    signal.signal(signal.SIGTERM, _terminated)  # a cancelled CI job ends as Ctrl-C does, and takes back what it started
    try:
        app(prog_name="python -m dev")
    except StackError as error:
        errors.print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
