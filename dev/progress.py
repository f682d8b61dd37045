"""What a person sees while something takes long: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

PLAIN_INTERVAL_SECONDS = 15.0
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


def elapsed(seconds: float) -> str:
    """Write a duration as a person reads it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


class Step:
    """One running step; `detail` may be set from the code that does the work."""

    def __init__(self, title: str) -> None:
        """Start the clock."""
        self.title = title
        self.detail = ""
        self.started = time.monotonic()

    @property
    def took(self) -> str:
        """How long it has run."""
        return elapsed(time.monotonic() - self.started)

    def line(self) -> str:
        """The state of it in one line."""
        return f"{self.title}: {self.took}" + (f", {self.detail}" if self.detail else "")


class Progress(Protocol):
    """What the rest of `dev` needs to tell somebody."""

    def step(self, title: str) -> AbstractContextManager[Step]:
        """Show a step from its beginning to its end."""

    def note(self, text: str) -> None:
        """Say one line."""


class Silent:
    """For tests and for calls whose caller shows something itself."""

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show nothing."""
        yield Step(title)

    def note(self, text: str) -> None:
        """Say nothing."""


class _LiveLine:
    """Rendered again at each refresh, so that the time moves on while the work is silent."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def __rich__(self) -> Text:
        frame = FRAMES[int((time.monotonic() - self._step.started) * 8) % len(FRAMES)]
        return Text(f"{frame} {self._step.line()}", no_wrap=True, overflow="ellipsis")


class Terminal:
    """Progress on a console; a live line if it is a terminal, else a line now and then (a CI log)."""

    def __init__(self, console: Console) -> None:
        """Use this console."""
        self._console = console

    def note(self, text: str) -> None:
        """Say one line."""
        self._console.print(f"  {escape(text)}", highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show a step, and how long it took; a failed one is marked and its error passes on."""
        step = Step(title)
        try:
            with self._live(step) if self._console.is_terminal else self._plain(step):
                yield step
        except BaseException:
            self._console.print(
                f"[red]✗[/red] {escape(title)}  [dim]{step.took}[/dim]", highlight=False, soft_wrap=True
            )
            raise
        detail = f" ({escape(step.detail)})" if step.detail else ""
        self._console.print(
            f"[green]✓[/green] {escape(title)}{detail}  [dim]{step.took}[/dim]", highlight=False, soft_wrap=True
        )

    @contextmanager
    def _live(self, step: Step) -> Iterator[None]:
        with Live(_LiveLine(step), console=self._console, transient=True, refresh_per_second=8):
            yield

    @contextmanager
    def _plain(self, step: Step) -> Iterator[None]:
        finished = threading.Event()

        def report() -> None:
            while not finished.wait(PLAIN_INTERVAL_SECONDS):
                self._console.print(f"… {escape(step.line())}", highlight=False, soft_wrap=True)

        thread = threading.Thread(target=report, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            finished.set()
            thread.join()
