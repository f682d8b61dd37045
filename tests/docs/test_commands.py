"""Every command that the documents tell people to type is run, or is shown to exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.progress import Silent
from dev.stack import REPOSITORY
from dev.tools import find_all

DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("dev/*.md")])
# `make test` is what runs this; `make bench` takes minutes. That both exist is shown below.
NOT_RUN_HERE = ("make test", "make test-unit", "make check", "make install", "make bench")
LIMIT_SECONDS = 240


def commands(document: Path) -> Iterator[str]:
    """The lines of a document's bash blocks, without comments."""
    for block in re.findall(r"^```bash\n(.*?)^```", document.read_text(), flags=re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            command = line.partition("  #")[0].strip()
            if command and not command.startswith("#"):
                yield command


MAKE = sorted({c for d in DOCUMENTS for c in commands(d) if c.startswith("make")})


@pytest.mark.parametrize("command", MAKE)
def test_every_make_target_that_is_named_exists(command: str) -> None:
    result = subprocess.run([*command.split(), "-n"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the tracked files with this virtual environment, so that nobody's own stack is touched."""
    copy = tmp_path / "jetbridge"
    tracked = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name in tracked.stdout.splitlines():
        if (REPOSITORY / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, copy / name)
    (copy / ".venv").symlink_to(Path(sys.prefix).resolve())
    return copy


@pytest.mark.integration
@pytest.mark.timeout(LIMIT_SECONDS + 60)
def test_the_commands_of_the_readme_and_the_docs_run_as_they_stand(checkout: Path) -> None:
    """In one shell, in the order in which a reader meets them; `make down` comes last."""
    tools = find_all(Silent())
    lines = [c for d in (REPOSITORY / "README.md", REPOSITORY / "docs" / "operator.md") for c in commands(d)]
    script = [c for c in lines if c not in NOT_RUN_HERE and c != "make down"]
    assert "make demo" in script, "the README's first command is gone"
    # The virtual environment stands in for `make install`; its programs are on the PATH, as after activating it.
    path = f"{checkout / '.venv' / 'bin'}:{tools.etcd.parent}:{tools.kube_apiserver.parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path}
    for name in ("KUBECONFIG", "VAULT_ADDR", "VAULT_TOKEN", "MAKEFLAGS", "MAKELEVEL"):
        env.pop(name, None)
    try:
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(script)],
            cwd=checkout,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        assert result.returncode == 0, f"{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
        assert "warehouse-prod" in result.stdout, "kubectl showed the quickstart's links"
    finally:
        subprocess.run(["make", "down"], cwd=checkout, env=env, capture_output=True, check=False, timeout=60)
