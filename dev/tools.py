"""Finds the four programs of the stack: given by hand, on PATH, in the cache, or built."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.artefacts import ARTEFACTS, Artefact, Version, reported_version, show_version
from dev.build import build
from dev.cache import cache_root, cached_path, is_program
from dev.errors import StackError
from dev.progress import Progress

Probe = Callable[[Artefact, Path], Version | None]


@dataclass(frozen=True, slots=True)
class Found:
    """A program, and why it is this one."""

    name: str
    path: Path
    source: str


@dataclass(frozen=True, slots=True)
class Tools:
    """All four."""

    etcd: Path
    kube_apiserver: Path
    kubectl: Path
    vault: Path


def probe_version(artefact: Artefact, path: Path) -> Version | None:
    """Ask the program itself; None when it is broken, hangs, or is another program."""
    try:
        result = subprocess.run(
            [str(path), *artefact.version_command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=15,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return reported_version(artefact, result.stdout + result.stderr) if result.returncode == 0 else None


def given(artefact: Artefact, env: Mapping[str, str]) -> Found | None:
    """What the environment names, used as given; an error if it is not there: another choice would mislead."""
    if artefact.name == "vault":
        variable, value = "JETBRIDGE_VAULT_BIN", env.get("JETBRIDGE_VAULT_BIN")
        path = Path(value) if value else None
    else:
        variable, value = "KUBEBUILDER_ASSETS", env.get("KUBEBUILDER_ASSETS")
        path = Path(value) / artefact.name if value else None
    if path is None:
        return None
    if not is_program(path):
        raise StackError(f"{variable} is set, but {path} is not a program; correct it or unset {variable}")
    return Found(artefact.name, path.absolute(), variable)


def on_path(
    artefact: Artefact, env: Mapping[str, str], progress: Progress, probe: Probe = probe_version
) -> Found | None:
    """The first on PATH, if it is new enough."""
    location = shutil.which(artefact.name, path=env.get("PATH", os.defpath))
    if location is None:
        return None
    version = probe(artefact, Path(location))
    if version is not None and version >= artefact.minimum:
        return Found(artefact.name, Path(location).absolute(), f"PATH, {show_version(version)}")
    told = (
        f"is {show_version(version)}; at least {show_version(artefact.minimum)} is needed"
        if version
        else "does not tell its version"
    )
    progress.note(f"{location} {told}: not used")
    return None


def cached(artefact: Artefact, env: Mapping[str, str]) -> Found | None:
    """What an earlier build left."""
    path = cached_path(artefact, cache_root(env))
    return Found(artefact.name, path, "cache") if is_program(path) else None


def find(name: str, progress: Progress, env: Mapping[str, str] | None = None) -> Found:
    """Give one program, building it if need be."""
    env = os.environ if env is None else env
    artefact = ARTEFACTS[name]
    found = given(artefact, env) or on_path(artefact, env, progress) or cached(artefact, env)
    return found or Found(name, build(artefact, cache_root(env), progress), "built")


def find_all(progress: Progress, env: Mapping[str, str] | None = None) -> Tools:
    """Give all four, building what is missing."""
    paths = {name: find(name, progress, env).path for name in ARTEFACTS}
    return Tools(
        etcd=paths["etcd"], kube_apiserver=paths["kube-apiserver"], kubectl=paths["kubectl"], vault=paths["vault"]
    )
