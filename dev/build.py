"""Builds a program from its pinned Go module into the cache: resumable, whole or absent, once if two ask at once."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from dev.artefacts import Artefact, build_flags, go_directive, module_dir, pinned_version
from dev.cache import cached_path, is_program
from dev.errors import StackError
from dev.files import tail
from dev.gotoolchain import find_go
from dev.locks import exclusive
from dev.progress import Progress, Step

BUILD_LIMIT_SECONDS = 45 * 60.0
POLL_SECONDS = 0.2

# Does the work and leaves a program at the path it is given; a parameter, so that tests need no Go.
Compile = Callable[[Path, Step], None]


def build(artefact: Artefact, cache: Path, progress: Progress, compile_to: Compile | None = None) -> Path:
    """Give the cached program, making it if it is not there."""
    target = cached_path(artefact, cache)
    if is_program(target):
        return target
    name = f"{artefact.name} {pinned_version(artefact)}"
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = target.with_suffix(".lock")
    with exclusive(
        lock,
        waiting=lambda: progress.note(f"{name}: another process builds it; waiting for that"),
        limit=BUILD_LIMIT_SECONDS,
    ) as held:
        if is_program(target):
            return target
        for stale in target.parent.glob(
            f".{artefact.name}.*.partial"
        ):  # of builders that were killed: we hold the lock
            stale.unlink(missing_ok=True)
        if compile_to is None:
            gomod = (module_dir(artefact) / "go.mod").read_text(encoding="utf-8")
            compile_to = _go_build(
                artefact, find_go(go_directive(gomod), cache, progress), target.with_suffix(".log"), held
            )
        partial = target.parent / f".{artefact.name}.{os.getpid()}.partial"
        try:
            progress.note(f"{name} is built from source once and then cached: {artefact.estimate} on 2 cores")
            with progress.step(f"building {name}") as step:
                compile_to(partial, step)
                step.detail = ""
            partial.chmod(0o755)
            partial.replace(target)
        except KeyboardInterrupt:
            progress.note("interrupted; the next build goes on where this one was")
            raise
        finally:
            partial.unlink(missing_ok=True)
    return target


def _go_build(artefact: Artefact, go: Path, log: Path, lock: int) -> Compile:
    def compile_to(output: Path, step: Step) -> None:
        # Go's own cache makes an interrupted build go on where it was. Without cgo a C compiler plays no part.
        # GOTOOLCHAIN=local: the Go that was chosen, never one that it downloads itself.
        env = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local"}
        for cross in ("GOOS", "GOARCH"):
            env.pop(cross, None)
        with log.open("wb") as stream:
            # A session of its own: the terminal's Ctrl-C reaches us alone, and we end the compilers it started as well.
            process = subprocess.Popen(
                [str(go), "build", "-o", str(output), *build_flags(artefact)],
                cwd=module_dir(artefact),
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock,),  # if we are killed, the next builder waits until the compilers have ended as well
            )
            try:
                _watch(process, log, step)
            finally:
                _end_group(process)
        if process.returncode != 0:
            raise StackError(f"building {artefact.name} failed; the end of {log}:\n{tail(log)}")

    return compile_to


def _watch(process: subprocess.Popen[bytes], log: Path, step: Step) -> None:
    """Wait for the end, telling how far it is: -v makes go name each package that it compiles."""
    deadline = time.monotonic() + BUILD_LIMIT_SECONDS
    lines = 0
    with log.open(encoding="utf-8", errors="replace") as stream:
        while process.poll() is None:
            if time.monotonic() > deadline:
                raise StackError(f"the build did not end within {BUILD_LIMIT_SECONDS / 60:.0f} minutes; its log: {log}")
            new = stream.readlines()
            if new:
                lines += len(new)
                last = new[-1].strip()
                step.detail = last if last.startswith("go: ") else f"{lines} packages, {last.split('/vendor/')[-1]}"
            time.sleep(POLL_SECONDS)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End go and its compilers, if they still run (we were interrupted, or time is up)."""
    if process.poll() is not None:
        return
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)  # we are its parent and have not reaped it: the id is still its own
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=patience)
            return
        except subprocess.TimeoutExpired:
            continue
