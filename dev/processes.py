"""Long-lived processes, known by id and start time: what is ended is what was started, and nothing else.

A record is on disk before the program runs, so that `down` ends it even if `up` was killed a moment later.
"""

from __future__ import annotations

import atexit
import os
import platform
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from dev.errors import StackError
from dev.files import private_dir, read_json, write_json

# Waits for a line, then becomes the program: it is the record's process before the program has done anything.
# When the starter dies before it wrote the record, `read` sees the end of the pipe, and nothing runs.
GATE = 'read -r go && exec "$@" </dev/null'
POLL_SECONDS = 0.02

_children: dict[int, subprocess.Popen[bytes]] = {}  # ours to reap, or they would stay as zombies


@atexit.register
def _disown() -> None:
    """They outlive us on purpose: nothing to warn about."""
    for child in _children.values():
        child.returncode = 0


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a started process."""

    name: str
    pid: int
    identity: str  # start time (and boot): a recycled pid has another
    argv: list[str]
    log: str
    log_offset: int  # where this run begins in its log
    address: str
    started: float


def identity(pid: int) -> str | None:
    """What tells this process from another one that got its id later; None when it is gone (a zombie is gone)."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]
    if platform.system() == "Linux":  # not sys.platform, by which mypy would skip the rest
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        except OSError:
            return None
        return identity_from_stat(stat, boot)
    result = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = result.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else re.sub(r"\s+", " ", started.strip())


def identity_from_stat(stat: str, boot: str) -> str | None:
    """Field 22 of /proc/<pid>/stat is the start in ticks since boot; the name before it may hold any character."""
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else f"{boot}:{fields[19]}"


class ProcessTable:
    """The processes of one state folder."""

    def __init__(self, folder: Path, logs: Path) -> None:
        """Keep records in `folder` and output in `logs`."""
        self._folder = folder
        self._logs = logs
        self.started_here: list[str] = []

    def log(self, name: str) -> Path:
        """Where the output of a process goes; runs follow one another in it."""
        return self._logs / f"{name}.log"

    def get(self, name: str) -> Record | None:
        """The last started process of this name, whether it still runs or not."""
        data = read_json(self._folder / f"{name}.json")
        try:
            return Record(**data) if data else None
        except TypeError as error:
            raise StackError(f"{self._folder / name}.json is of another version of this tool: {error}") from error

    def all(self) -> list[Record]:
        """Every recorded process, oldest first."""
        names = sorted(path.stem for path in self._folder.glob("*.json"))
        records = [record for name in names if (record := self.get(name)) is not None]
        return sorted(records, key=lambda record: record.started)

    def running(self, name: str) -> Record | None:
        """The process of this name if it runs."""
        record = self.get(name)
        return record if record is not None and is_running(record) else None

    def start(
        self, name: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None, address: str = ""
    ) -> Record:
        """Start a daemon. It is recorded before it runs, and lives on when this process ends."""
        if self.running(name) is not None:
            raise StackError(f"{name} already runs")
        private_dir(self._logs)
        log = self.log(name)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab") as output:
            child = subprocess.Popen(
                ["/bin/sh", "-c", GATE, name, *argv],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                start_new_session=True,  # the terminal's Ctrl-C and hang-up are not for it
            )
            offset = output.tell()
        _children[child.pid] = child
        if child.stdin is None:
            raise RuntimeError("a child without a pipe")
        try:
            born = identity(child.pid)
            if born is None:
                raise StackError(f"{name} could not be started; its log: {log}")
            record = Record(name, child.pid, born, list(argv), str(log), offset, address, time.time())
            write_json(self._folder / f"{name}.json", asdict(record))
            self.started_here.append(name)
            child.stdin.write(b"go\n")
        finally:
            with suppress(BrokenPipeError):
                child.stdin.close()
        return record

    def stop(self, name: str, patience: float = 15.0) -> bool:
        """Ask it to end, insist after `patience`; False when it did not run. The record goes when it has ended."""
        return self._end(name, signal.SIGTERM, patience)

    def kill(self, name: str) -> bool:
        """End it at once, without a chance to tidy up."""
        return self._end(name, signal.SIGKILL, 0.0)

    def _end(self, name: str, first: signal.Signals, patience: float) -> bool:
        record = self.get(name)
        if record is None:
            return False
        ran = signal_record(record, first)
        if ran and not wait_gone(record, patience if first is not signal.SIGKILL else 10.0):
            signal_record(record, signal.SIGKILL)
            if not wait_gone(record, 10.0):
                raise StackError(f"{name} (pid {record.pid}) does not end, not even by SIGKILL")
        (self._folder / f"{name}.json").unlink(missing_ok=True)
        return ran


def is_running(record: Record) -> bool:
    """Whether this very process, not another of the same id, still runs."""
    return identity(record.pid) == record.identity


def signal_record(record: Record, number: signal.Signals) -> bool:
    """Signal it if it still is the same process."""
    if not is_running(record):
        return False
    try:
        os.kill(record.pid, number)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise StackError(f"{record.name} (pid {record.pid}) belongs to another user") from error
    return True


def wait_gone(record: Record, patience: float) -> bool:
    """Wait for its end."""
    deadline = time.monotonic() + patience
    while is_running(record):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
