"""`python -m tests.bench`: measures, prints a table, and writes `results/latest.json`."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.markup import escape

from dev.errors import StackError
from dev.progress import Terminal
from dev.vaultserver import Storage
from tests.bench import one_change
from tests.bench.latest import LATEST, record
from tests.bench.report import show
from tests.bench.scenario import Options

SCENARIOS = {scenario.name: scenario for scenario in (one_change.SCENARIO,)}
STORAGES: tuple[str, ...] = get_args(Storage)

console = Console(width=None if sys.stdout.isatty() else 140)
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(SCENARIOS)}; all when left out.")] = None,
    changes: Annotated[int, typer.Option(min=200, help="Samples of each series, after the warm-up.")] = 300,
    pause_ms: Annotated[float, typer.Option(min=0, help="Milliseconds between two samples, of every series.")] = 25,
    storage: Annotated[str, typer.Option(help="Vault's storage: inmem, or raft (on disk).")] = "inmem",
) -> None:
    """Measure; a missed goal is shown and is no failure, a change that never arrives is one."""
    wanted = names or list(SCENARIOS)
    if unknown := [name for name in wanted if name not in SCENARIOS]:
        raise StackError(f"no scenario is called {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    if storage not in STORAGES:
        raise StackError(f"--storage is one of {', '.join(STORAGES)}")
    options = Options(changes, pause_ms / 1000, "raft" if storage == "raft" else "inmem")
    progress = Terminal(console)
    for name in wanted:
        scenario = SCENARIOS[name]
        result = scenario.run(options, progress)
        show(console, scenario, result, options)
        record(LATEST, name, result, options)
        console.print(f"[dim]written to {LATEST.relative_to(LATEST.parents[3])}[/dim]", highlight=False)


def _terminated(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    """Run, and put an expected failure into one line."""
    signal.signal(signal.SIGTERM, _terminated)  # the stack of a cancelled run is taken away as well
    try:
        app(prog_name="python -m tests.bench")
    except StackError as error:
        Console(stderr=True).print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
