"""What a scenario is: it measures on a stack of its own and gives figures, rows for people, and goals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dev.progress import Progress
from dev.vaultserver import Storage


@dataclass(frozen=True, slots=True)
class Options:
    """What all scenarios can be told."""

    changes: int
    pause: float
    storage: Storage


@dataclass(frozen=True, slots=True)
class Goal:
    """A number and what it should be; a missed one is shown, and fails nothing."""

    name: str
    value: float
    at_most: float
    unit: str

    @property
    def met(self) -> bool:
        """Whether it is reached."""
        return self.value <= self.at_most


@dataclass(frozen=True, slots=True)
class Row:
    """One series of a scenario, in milliseconds."""

    name: str
    p50: float
    p95: float
    p99: float
    samples: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a scenario gives. `figures` go into the results file."""

    figures: Mapping[str, float]
    rows: tuple[Row, ...]
    goals: tuple[Goal, ...]
    notes: tuple[str, ...]
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One measurement by name. `run` raises StackError when something that must happen never did."""

    name: str
    title: str
    run: Callable[[Options, Progress], Result]
