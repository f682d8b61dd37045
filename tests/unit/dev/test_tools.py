"""The order in which programs are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev import tools
from dev.artefacts import ARTEFACTS, Artefact, Version
from dev.cache import cache_root, cached_path
from dev.errors import StackError
from dev.progress import Silent
from dev.tools import Found, find, given, on_path, probe_version


class Notes(Silent):
    """Remembers what was said."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.said: list[str] = []

    def note(self, text: str) -> None:
        """Remember it."""
        self.said.append(text)


def program(path: Path, prints: str = "") -> Path:
    """A program that prints something."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{prints}'\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def no_build(artefact: Artefact, cache: Path, progress: object) -> Path:
    """Stands for the build, so that none happens."""
    return cache / "built" / artefact.name


@pytest.fixture(autouse=True)
def _no_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "build", no_build)


def test_what_the_environment_names_is_used_as_given(tmp_path: Path) -> None:
    """Whatever its version, and before PATH."""
    etcd = program(tmp_path / "assets" / "etcd", "etcd Version: 0.1.0")
    program(tmp_path / "bin" / "etcd", "etcd Version: 3.6.8")
    env = {"KUBEBUILDER_ASSETS": str(tmp_path / "assets"), "PATH": str(tmp_path / "bin")}
    assert find("etcd", Silent(), env) == Found("etcd", etcd, "KUBEBUILDER_ASSETS")


def test_vault_has_a_variable_of_its_own(tmp_path: Path) -> None:
    """The assets folder of other tools holds no vault."""
    vault = program(tmp_path / "some-vault")
    env = {"KUBEBUILDER_ASSETS": str(tmp_path), "JETBRIDGE_VAULT_BIN": str(vault), "PATH": ""}
    assert find("vault", Silent(), env).path == vault


@pytest.mark.parametrize(("name", "variable"), [("etcd", "KUBEBUILDER_ASSETS"), ("vault", "JETBRIDGE_VAULT_BIN")])
def test_a_wrong_variable_is_an_error_not_ignored(name: str, variable: str, tmp_path: Path) -> None:
    """Another program than the one asked for would mislead."""
    with pytest.raises(StackError, match=variable):
        given(ARTEFACTS[name], {variable: str(tmp_path / "missing")})


def test_a_program_on_path_is_used_if_new_enough(tmp_path: Path) -> None:
    """The real probe, on a script."""
    etcd = program(tmp_path / "etcd", "etcd Version: 3.5.0")
    assert find("etcd", Silent(), {"PATH": str(tmp_path)}) == Found("etcd", etcd, "PATH, 3.5.0")


def test_an_old_program_on_path_is_passed_over_and_told(tmp_path: Path) -> None:
    """Nobody has to guess why theirs was not taken."""
    program(tmp_path / "bin" / "vault", "Vault v1.9.4")
    notes = Notes()
    found = find("vault", notes, {"PATH": str(tmp_path / "bin"), "JETBRIDGE_CACHE": str(tmp_path / "cache")})
    assert found == Found("vault", tmp_path / "cache" / "built" / "vault", "built")
    assert "1.9.4" in notes.said[0]
    assert "1.15" in notes.said[0]


def test_a_program_that_does_not_tell_its_version_is_passed_over(tmp_path: Path) -> None:
    """Broken, or something else of the same name."""
    program(tmp_path / "vault", "hello")

    def nothing(artefact: Artefact, path: Path) -> Version | None:
        return None

    notes = Notes()
    assert on_path(ARTEFACTS["vault"], {"PATH": str(tmp_path)}, notes, nothing) is None
    assert "does not tell its version" in notes.said[0]


def test_a_failing_program_has_no_version(tmp_path: Path) -> None:
    """An exit code that is not 0 counts as broken, whatever it printed."""
    broken = tmp_path / "etcd"
    broken.write_text("#!/bin/sh\necho etcd Version: 3.6.8; exit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    assert probe_version(ARTEFACTS["etcd"], broken) is None
    assert probe_version(ARTEFACTS["etcd"], tmp_path / "missing") is None


def test_the_cache_comes_before_a_build(tmp_path: Path) -> None:
    """And only a build of exactly what is pinned counts."""
    env = {"PATH": "", "JETBRIDGE_CACHE": str(tmp_path)}
    assert find("kubectl", Silent(), env).source == "built"
    path = program(cached_path(ARTEFACTS["kubectl"], tmp_path))
    assert find("kubectl", Silent(), env) == Found("kubectl", path, "cache")


def test_where_the_cache_is(tmp_path: Path) -> None:
    """Its own variable, then XDG, then home."""
    assert cache_root({"JETBRIDGE_CACHE": str(tmp_path), "XDG_CACHE_HOME": "/x"}) == tmp_path
    assert cache_root({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "jetbridge"
    assert cache_root({}) == Path.home() / ".cache" / "jetbridge"
