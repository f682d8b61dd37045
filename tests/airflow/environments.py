"""Airflow environments, kept in the user's cache and outside the project's own: Airflow is an oracle, no dependency.

    python -m tests.airflow.environments [VERSION…]        makes what is missing and prints where it is

Each stands in `<cache>/airflow/<version>-<hash>`, where the hash is that of the locked requirements and the Python in
use, so changed requirements make a new one. A file lock keeps two makers apart, and an environment counts only once its
marker is written, so one that was interrupted is made again.

The requirements are made anew with, for example:
    echo 'apache-airflow>=3.3,<3.4' | uv pip compile - --universal --python-version 3.11 --no-header --no-annotate \\
        --output-file tests/airflow/requirements-3.3.txt
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[str], None]

HERE = Path(__file__).resolve().parent
COMPLETE = "complete"
INSTALL_LIMIT_SECONDS = 1_800
STEP_SECONDS = 5


@dataclass(frozen=True, slots=True)
class AirflowVersion:
    """A minor version of Airflow and the Pythons that it and the locked requirements support."""

    name: str
    pythons: tuple[str, ...]

    @property
    def requirements(self) -> Path:
        return HERE / f"requirements-{self.name}.txt"

    @property
    def python(self) -> str:
        """The Python that runs now if it is supported, else the newest supported one: uv finds or fetches it."""
        current = f"{sys.version_info.major}.{sys.version_info.minor}"
        return current if current in self.pythons else self.pythons[-1]

    @property
    def folder(self) -> Path:
        digest = hashlib.sha256(self.requirements.read_bytes() + self.python.encode()).hexdigest()
        return cache() / "airflow" / f"{self.name}-{digest[:16]}"


VERSIONS = (
    AirflowVersion("2.11", ("3.11", "3.12")),
    AirflowVersion("3.3", ("3.11", "3.12", "3.13")),
)


def cache() -> Path:
    """$JETBRIDGE_CACHE, else jetbridge in $XDG_CACHE_HOME or ~/.cache."""
    if own := os.environ.get("JETBRIDGE_CACHE"):
        return Path(own).expanduser().absolute()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser().absolute() / "jetbridge"
    return Path.home() / ".cache" / "jetbridge"


def find_uv() -> list[str]:
    """The command that runs uv: beside this Python, on PATH, or as a module.

    Raises:
        RuntimeError: there is none; the message says how to get it.
    """
    beside = Path(sys.executable).with_name("uv")
    if beside.is_file():
        return [str(beside)]
    if found := shutil.which("uv"):
        return [found]
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    raise RuntimeError("uv is needed to make Airflow's environment; install it with: pip install uv")


def ensure(version: AirflowVersion, progress: Progress = print) -> Path:
    """The Python of a complete environment with this Airflow; makes it if need be.

    Raises:
        RuntimeError: uv is missing or failed; the message ends with what it said.
    """
    folder = version.folder
    python = folder / "bin" / "python"
    if (folder / COMPLETE).is_file():
        return python
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(
        folder.with_name(folder.name + ".lock"), lambda: progress(f"Airflow {version.name}: another is at it")
    ) as lock:
        if (folder / COMPLETE).is_file():
            return python
        started = time.monotonic()
        progress(f"Airflow {version.name}: making {folder} with Python {version.python}; takes a minute or two")
        if folder.exists():
            shutil.rmtree(folder)
        uv = find_uv()
        log = folder.with_name(folder.name + ".log")
        commands = (
            [*uv, "venv", "--no-project", "--python", version.python, str(folder)],
            [*uv, "pip", "install", "--python", str(python), "--requirement", str(version.requirements)],
        )
        log.write_bytes(b"")
        for command in commands:
            _run(command, log, lock, lambda: progress(f"Airflow {version.name}: {time.monotonic() - started:.0f} s …"))
        (folder / COMPLETE).write_text(version.requirements.name + "\n", encoding="utf-8")
        progress(f"Airflow {version.name}: ready after {time.monotonic() - started:.0f} s")
    return python


@contextmanager
def _lock(path: Path, on_wait: Callable[[], None]) -> Iterator[int]:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()  # closing the file gives the lock back, also when this process dies


def _run(command: list[str], log: Path, lock: int, on_step: Callable[[], None]) -> None:
    """Runs a step in the cache's folder, so that no setting of this project applies to it.

    It holds the lock too, so nobody begins anew while it still writes, should this process be killed.
    """
    end = time.monotonic() + INSTALL_LIMIT_SECONDS
    environment = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")}
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            env=environment,
            pass_fds=[lock],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            while process.poll() is None and time.monotonic() < end:
                try:
                    process.wait(STEP_SECONDS)
                except subprocess.TimeoutExpired:
                    on_step()
            code = process.poll()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code != 0:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        how = f"ended with {code}" if code is not None else f"was stopped after {INSTALL_LIMIT_SECONDS} s"
        raise RuntimeError(f"{' '.join(command)} {how}. Its log, {log}, ends with:\n{tail}")


def main(names: list[str]) -> int:
    """Makes the environments of the named versions, or all. Progress goes to stderr, the Pythons to stdout."""
    known = {version.name: version for version in VERSIONS}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no such Airflow: {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    for name in names or known:
        try:
            print(ensure(known[name], lambda line: print(line, file=sys.stderr, flush=True)))
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
