"""What the local stack needs, which versions of it are good enough, and how each is built from the pinned modules."""

from __future__ import annotations

import hashlib
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from dev.errors import StackError

MODULES = Path(__file__).parent / "modules"

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Artefact:
    """One program: where it comes from and what counts as it."""

    name: str
    package: str  # the `tool` line in the module file
    module: str  # the folder below dev/modules, and
    versioned_by: str  # the module in its go.mod whose version is the program's version
    version_command: tuple[str, ...]
    version_pattern: str
    minimum: Version
    tags: str = ""
    estimate: str = ""  # measured on 2 cores with nothing cached


ARTEFACTS: dict[str, Artefact] = {
    artefact.name: artefact
    for artefact in (
        # The API server goes first: etcd and kubectl then reuse most of what it compiled.
        Artefact(
            name="kube-apiserver",
            package="k8s.io/kubernetes/cmd/kube-apiserver",
            module="kubernetes",
            versioned_by="k8s.io/kubernetes",
            version_command=("--version",),
            version_pattern=r"Kubernetes v(\d+\.\d+\.\d+)",
            minimum=(1, 30),
            estimate="some 3 minutes",
        ),
        Artefact(
            name="etcd",
            package="go.etcd.io/etcd/server/v3",
            module="kubernetes",
            versioned_by="go.etcd.io/etcd/server/v3",
            version_command=("--version",),
            version_pattern=r"etcd Version: (\d+\.\d+\.\d+)",
            minimum=(3, 5),
            estimate="up to a minute",
        ),
        Artefact(
            name="kubectl",
            package="k8s.io/kubernetes/cmd/kubectl",
            module="kubernetes",
            versioned_by="k8s.io/kubernetes",
            version_command=("version", "--client"),
            version_pattern=r"(?:Client Version: |GitVersion:\")v(\d+\.\d+\.\d+)",
            minimum=(1, 30),
            estimate="up to a minute",
        ),
        # `minimal` leaves out the cloud plugins: half the time and size; JWT auth, KV and raft are in it.
        Artefact(
            name="vault",
            package="github.com/hashicorp/vault",
            module="vault",
            versioned_by="github.com/hashicorp/vault",
            version_command=("version",),
            version_pattern=r"Vault v(\d+\.\d+\.\d+)",
            minimum=(1, 15),
            tags="minimal",
            estimate="3 to 5 minutes",
        ),
    )
}


def parse_version(text: str) -> Version:
    """`v1.36.3` or `1.26` as numbers that compare; what follows a dash or plus does not count."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", text.strip())
    if match is None:
        raise ValueError(f"not a version: {text!r}")
    return tuple(int(part) for part in match.group(1).split("."))


def reported_version(artefact: Artefact, output: str) -> Version | None:
    """Read the version out of what the program prints; None for something else of the same name."""
    match = re.search(artefact.version_pattern, output)
    return parse_version(match.group(1)) if match else None


def show_version(version: Version) -> str:
    """Write it with dots."""
    return ".".join(str(part) for part in version)


def module_dir(artefact: Artefact) -> Path:
    """Where its go.mod is."""
    return MODULES / artefact.module


def required_version(gomod: str, module: str) -> str:
    """The version of a module in a go.mod, without the v: stated there and nowhere else."""
    match = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+v(\S+)", gomod, re.MULTILINE)
    if match is None:
        raise StackError(f"{module} is not in the module file")
    return match.group(1)


def go_directive(gomod: str) -> Version:
    """The oldest Go that the module file accepts."""
    match = re.search(r"^go\s+(\S+)", gomod, re.MULTILINE)
    if match is None:
        raise StackError("the module file has no go directive")
    return parse_version(match.group(1))


def pinned_version(artefact: Artefact) -> str:
    """What a build gives."""
    return required_version((module_dir(artefact) / "go.mod").read_text(encoding="utf-8"), artefact.versioned_by)


def build_flags(artefact: Artefact) -> list[str]:
    """The arguments of `go build`, without the output."""
    ldflags = ["-s", "-w"]  # no symbols: a third smaller, and nobody debugs these
    if artefact.module == "kubernetes":
        # Without these Kubernetes reports v0.0.0, and clients that compare versions refuse it.
        version = required_version((module_dir(artefact) / "go.mod").read_text(encoding="utf-8"), "k8s.io/kubernetes")
        major, minor = version.split(".")[:2]
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
            ldflags += [
                f"-X {package}.gitVersion=v{version}",
                f"-X {package}.gitMajor={major}",
                f"-X {package}.gitMinor={minor}",
            ]
        ldflags.append("-X k8s.io/component-base/version.gitTreeState=clean")
    flags = ["-mod=readonly", "-buildvcs=false", "-trimpath", "-v", "-ldflags", " ".join(ldflags)]
    if artefact.tags:
        flags += ["-tags", artefact.tags]
    return [*flags, artefact.package]


def cache_key(artefact: Artefact) -> str:
    """Changes with everything that changes the program, so that an old build is never taken for a new one."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((module_dir(artefact) / name).read_bytes())
    digest.update("\0".join([*build_flags(artefact), platform.system(), platform.machine()]).encode())
    return digest.hexdigest()[:16]
