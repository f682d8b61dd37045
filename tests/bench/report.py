"""Results as people read them."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tests.bench.latest import cores
from tests.bench.scenario import Options, Result, Row, Scenario


def show(console: Console, scenario: Scenario, result: Result, options: Options) -> None:
    """The table of a scenario, its goals, and what is in the figures."""
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left", title=scenario.title)
    table.add_column("milliseconds")
    for name in ("p50", "p95", "p99", "samples"):
        table.add_column(name, justify="right")
    for row in result.rows:
        table.add_row(row.name, f"{row.p50:.1f}", f"{row.p95:.1f}", f"{row.p99:.1f}", str(row.samples))
    first = result.rows[0]
    for other in result.rows[1:]:
        table.add_row(f"[dim]ratio to {other.name}[/dim]", *_ratios(first, other), "")
    console.print(table)
    console.print()
    for goal in result.goals:
        mark = "[green]✓[/green]" if goal.met else "[yellow]missed[/yellow]"
        console.print(
            f"{mark} {goal.name}: {goal.value:.2f}{goal.unit}, goal at most {goal.at_most:g}{goal.unit}",
            highlight=False,
        )
    console.print()
    for note in result.notes:
        console.print(f"[dim]{note}[/dim]", highlight=False, soft_wrap=True)
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    console.print(f"[dim]{cores()} cores; {versions}; Vault's storage: {options.storage}[/dim]", highlight=False)


def _ratios(first: Row, other: Row) -> list[str]:
    pairs = ((first.p50, other.p50), (first.p95, other.p95), (first.p99, other.p99))
    return [f"{mine / theirs:.2f}x" for mine, theirs in pairs]
