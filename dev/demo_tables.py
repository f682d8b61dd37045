"""The demo's tables. Whatever came from a source is masked in all of them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dev.demo_checks import Check
from dev.demo_vault import VaultEntry
from dev.demo_world import Delivered, masked, shown


def deliveries(console: Console, items: Sequence[Delivered]) -> None:
    """Which deployment has which connection, and why."""
    table = _table("deployment", "id", "Connection", "given by", "delivered since")
    for item in items:
        why = item.entry.via
        table.add_row(
            str(item.deployment.meta),
            item.entry.connection.connection_id,
            str(item.entry.connection.meta),
            why,
            item.since,
        )
    _show(console, "What each deployment has", table)


def fields(console: Console, items: Sequence[Delivered]) -> None:
    """Every field, and the layer or source that gave it."""
    table = _table("deployment", "id", "field", "value", "from")
    for item in items:
        head = (str(item.deployment.meta), item.entry.connection.connection_id)
        rows = [(name, shown(value.shown()), value.origin) for name, value in item.fields.items()]
        rows += [(name, "", f"{origin}: unset") for name, origin in item.removed.items()]
        for name, value, origin in sorted(rows):
            table.add_row(*head, name, escape(value), escape(origin))
            head = ("", "")
    _show(console, "Where each field comes from", table)


def vault(console: Console, entries: Sequence[VaultEntry]) -> None:
    """Where the secret fields are kept."""
    table = _table("path", "version", "fields", "owner (object_uid)")
    for entry in entries:
        uid = entry.custom_metadata.get("object_uid", "")[:8]
        fields = ", ".join(sorted(entry.content))
        table.add_row(entry.path, str(entry.version), fields, f"{entry.owner} [dim]({uid}…)[/dim]")
    _show(console, "What is in Vault", table)


def secrets(console: Console, items: Sequence[Delivered]) -> None:
    """The keys of the rendered Secrets, masked."""
    table = _table("Secret", "key", "value")
    last = ""
    for item in items:
        name = f"{item.deployment.meta.namespace}/{item.deployment.secret_name}"
        table.add_row(name if name != last else "", item.entry.env_name, escape(masked(item)))
        last = name
    _show(console, "What a pod loads with envFrom", table)


def checks(console: Console, found: Sequence[Check]) -> None:
    """What was looked at."""
    console.print("\n[bold]Looked at for real[/bold]\n")
    for check in found:
        mark = "[green]✓[/green]" if check.seen else "[red]✗[/red]"
        console.print(f"{mark} {escape(check.claim)}", highlight=False, soft_wrap=True)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _show(console: Console, title: str, table: Table) -> None:
    console.print(f"\n[bold]{title}[/bold]\n")
    console.print(table)
