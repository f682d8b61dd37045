"""What the module files say is read, not repeated."""

from __future__ import annotations

import pytest

from dev import artefacts
from dev.artefacts import (
    ARTEFACTS,
    build_flags,
    cache_key,
    go_directive,
    parse_version,
    pinned_version,
    reported_version,
    required_version,
)
from dev.errors import StackError


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v1.36.3", (1, 36, 3)),
        ("1.26", (1, 26)),
        ("1.21.1-rc1", (1, 21, 1)),
        ("v1.30.0+k3s1", (1, 30, 0)),
        (" 1.26.8\n", (1, 26, 8)),
    ],
)
def test_versions_are_read_as_numbers(text: str, version: tuple[int, ...]) -> None:
    """Suffixes do not count."""
    assert parse_version(text) == version


def test_versions_compare_as_numbers_not_as_text() -> None:
    """1.9 is older than 1.30."""
    assert parse_version("1.9.0") < parse_version("1.30")


def test_what_is_not_a_version_is_refused() -> None:
    """Development builds of Go say `devel`."""
    with pytest.raises(ValueError, match="devel"):
        parse_version("devel")


@pytest.mark.parametrize(
    ("name", "output", "version"),
    [
        ("etcd", "etcd Version: 3.6.8\nGit SHA: Not provided\nGo Version: go1.26.8\n", (3, 6, 8)),
        ("kube-apiserver", "Kubernetes v1.36.3\n", (1, 36, 3)),
        ("kubectl", "Client Version: v1.36.3\nKustomize Version: v5.8.1\n", (1, 36, 3)),
        ("kubectl", 'Client Version: version.Info{Major:"1", Minor:"20", GitVersion:"v1.20.4"}\n', (1, 20, 4)),
        ("vault", "Vault v1.21.1 ('abc'), built 2025-11-18T13:04:32Z\n", (1, 21, 1)),
        ("vault", "another program called vault 7.1.2\n", None),
    ],
)
def test_programs_tell_their_version(name: str, output: str, version: tuple[int, ...] | None) -> None:
    """Of the program itself, not of the Go it was built with."""
    assert reported_version(ARTEFACTS[name], output) == version


@pytest.mark.parametrize("name", ARTEFACTS)
def test_what_is_built_is_good_enough_for_the_stack(name: str) -> None:
    """A pinned version below the minimum would be built and then never be found again."""
    assert parse_version(pinned_version(ARTEFACTS[name])) >= ARTEFACTS[name].minimum


@pytest.mark.parametrize("name", ARTEFACTS)
def test_packages_are_tools_of_their_module(name: str) -> None:
    """`go mod tidy` keeps what a tool line names."""
    gomod = (artefacts.module_dir(ARTEFACTS[name]) / "go.mod").read_text(encoding="utf-8")
    assert ARTEFACTS[name].package in gomod.rpartition("\ntool ")[2].split()
    assert go_directive(gomod) >= (1, 26)


def test_a_module_that_is_not_required_is_an_error() -> None:
    """Rather than a build without a version."""
    with pytest.raises(StackError, match=r"example\.org/x"):
        required_version("module m\n\ngo 1.26.0\n\nrequire example.org/xy v1.0.0\n", "example.org/x")


def test_a_single_line_require_is_read() -> None:
    """Both forms of go.mod."""
    assert required_version("module m\nrequire example.org/x v1.2.3 // indirect\n", "example.org/x") == "1.2.3"


def test_kubernetes_is_told_its_version() -> None:
    """Or it reports v0.0.0."""
    flags = " ".join(build_flags(ARTEFACTS["kube-apiserver"]))
    assert f"gitVersion=v{pinned_version(ARTEFACTS['kube-apiserver'])}" in flags
    assert "-tags" not in flags


def test_vault_is_the_minimal_one() -> None:
    """Half the time and size."""
    flags = build_flags(ARTEFACTS["vault"])
    assert flags[flags.index("-tags") + 1] == "minimal"


def test_each_program_has_a_cache_key_of_its_own() -> None:
    """They share module files."""
    assert len({cache_key(artefact) for artefact in ARTEFACTS.values()}) == len(ARTEFACTS)


def test_the_cache_key_changes_with_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    """A home folder may be shared by machines of two kinds."""
    before = cache_key(ARTEFACTS["etcd"])
    monkeypatch.setattr("platform.machine", lambda: "another")
    assert cache_key(ARTEFACTS["etcd"]) != before
