"""Percentiles of times."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tests.bench.scenario import Row


def percentile(values: Sequence[float], percent: int) -> float:
    """The percentile, interpolated between its neighbours."""
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def row(name: str, seconds: Sequence[float]) -> Row:
    """A series of times in seconds as a row in milliseconds."""
    p50, p95, p99 = (round(percentile(seconds, p) * 1000, 2) for p in (50, 95, 99))
    return Row(name, p50, p95, p99, len(seconds))
