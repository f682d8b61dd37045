"""The results file and the percentiles."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bench.latest import record
from tests.bench.samples import percentile, row
from tests.bench.scenario import Options, Result


def test_other_scenarios_in_the_file_stay(tmp_path: Path) -> None:
    """Only the measured one is replaced."""
    path = tmp_path / "results" / "latest.json"
    options = Options(changes=200, pause=0.0, storage="inmem")
    for name, value in (("one", 1.0), ("two", 2.0), ("one", 3.0)):
        record(path, name, Result({"p50_ms": value}, (), (), (), {}), options)
    document = json.loads(path.read_text())
    assert {name: scenario["p50_ms"] for name, scenario in document["scenarios"].items()} == {"one": 3.0, "two": 2.0}
    assert document["machine"]["cores"] >= 1


def test_percentiles_are_those_of_the_samples() -> None:
    """In milliseconds, interpolated."""
    seconds = [number / 1000 for number in range(101)]
    assert [round(percentile(seconds, p) * 1000) for p in (50, 95, 99)] == [50, 95, 99]
    assert percentile([0.5], 99) == 0.5
    measured = row("x", seconds)
    assert (measured.p50, measured.p99, measured.samples) == (50.0, 99.0, 101)
