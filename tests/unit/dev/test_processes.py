"""What is ended is what was started."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from dev import processes
from dev.errors import StackError
from dev.processes import ProcessTable, identity, identity_from_stat, is_running, wait_gone
from dev.readiness import PortTakenError, wait_ready

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STAT = "4711 (a (strange) name) S 1 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 2000"


@pytest.fixture
def table(tmp_path: Path) -> ProcessTable:
    """A table of its own."""
    return ProcessTable(tmp_path / "processes", tmp_path / "logs")


def test_the_start_time_is_found_behind_any_name() -> None:
    """Names may hold spaces and brackets."""
    assert identity_from_stat(STAT, "boot") == "boot:987654"


def test_a_zombie_is_gone() -> None:
    """It only waits to be reaped."""
    assert identity_from_stat(STAT.replace(" S ", " Z "), "boot") is None


def test_a_process_that_never_was_has_no_identity() -> None:
    """Ids end below this on every system."""
    assert identity(2**22 + 1) is None


def test_a_started_process_is_recorded_and_can_be_ended(table: ProcessTable) -> None:
    """By its record alone."""
    record = table.start("one", SLEEP, address="http://127.0.0.1:1")
    try:
        assert table.running("one") == record
        assert table.started_here == ["one"]
        with pytest.raises(StackError, match="already runs"):
            table.start("one", SLEEP)
    finally:
        assert table.stop("one")
    assert not is_running(record)
    assert table.get("one") is None
    assert not table.stop("one")


def test_another_object_ends_it_too(table: ProcessTable, tmp_path: Path) -> None:
    """`down` is another process than `up`."""
    record = table.start("one", SLEEP)
    assert ProcessTable(tmp_path / "processes", tmp_path / "logs").kill("one")
    assert not is_running(record)


def test_a_recycled_pid_is_never_touched(table: ProcessTable, tmp_path: Path) -> None:
    """Here the recorded pid is of this very test: it must survive."""
    record = table.start("one", SLEEP)
    file = tmp_path / "processes" / "one.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), "pid": os.getpid()}), encoding="utf-8")
    assert table.running("one") is None
    assert not table.kill("one")
    os.kill(record.pid, signal.SIGKILL)
    assert wait_gone(record, 10)


def test_a_process_that_ignores_the_request_is_killed(table: ProcessTable) -> None:
    """After the patience, which is none here."""
    record = table.start("one", ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
    assert table.stop("one", patience=0.0)
    assert not is_running(record)


def test_nothing_runs_that_could_not_be_recorded(
    table: ProcessTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program only begins when its record is on disk."""
    mark = tmp_path / "ran"

    def full(path: Path, data: dict[str, object]) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(processes, "write_json", full)
    others = set(processes._children)
    with pytest.raises(OSError, match="no space"):
        table.start("one", ["/bin/sh", "-c", f"echo > {mark}; sleep 60"])
    for child in [c for pid, c in processes._children.items() if pid not in others]:
        child.wait(10)  # each saw the end of its pipe
    assert not mark.exists()


def test_a_server_that_dies_is_told_by_its_own_words(table: ProcessTable) -> None:
    """At once, not after the limit."""
    table.start("one", ["/bin/sh", "-c", "echo wrong flag"])
    with pytest.raises(StackError, match="wrong flag"):
        wait_ready(table, "one", lambda: False, 30)


def test_a_taken_port_is_told_apart(table: ProcessTable) -> None:
    """Another port may work; nothing else would."""
    table.start("one", ["/bin/sh", "-c", "echo listen tcp 127.0.0.1:1: bind: address already in use"])
    with pytest.raises(PortTakenError):
        wait_ready(table, "one", lambda: False, 30)


def test_a_server_that_never_answers_is_given_up(table: ProcessTable) -> None:
    """With its log."""
    table.start("one", SLEEP)
    try:
        with pytest.raises(StackError, match="not ready"):
            wait_ready(table, "one", lambda: False, 0.0)
    finally:
        table.kill("one")
