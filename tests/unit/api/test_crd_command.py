"""`python -m jetbridge.api.crd`: what it writes, and what `--check` finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jetbridge.api import crd
from jetbridge.api.kinds import Kind


def test_the_command_writes_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Written files are fresh; a stale, a missing and a left-over one are each named; writing again mends all."""
    out = tmp_path / "crds"
    assert crd.main(["--out", str(out)]) == 0
    assert crd.main(["--out", str(out), "--check"]) == 0
    assert capsys.readouterr().err == ""

    (out / "jetbridge.dev_connections.yaml").write_text("stale")
    (out / "jetbridge.dev_workspaces.yaml").unlink()
    (out / "jetbridge.dev_gone.yaml").write_text("left over")
    (out / "kustomization.yaml").write_text("not ours")
    assert crd.main(["--out", str(out), "--check"]) == 1
    said = capsys.readouterr().err
    assert "jetbridge.dev_connections.yaml: stale" in said
    assert "jetbridge.dev_workspaces.yaml: missing" in said
    assert "jetbridge.dev_gone.yaml: no kind of this name" in said
    assert "airflowdeployments" not in said
    assert "kustomization" not in said

    assert crd.main(["--out", str(out)]) == 0
    assert crd.main(["--out", str(out), "--check"]) == 0
    assert (out / "kustomization.yaml").exists()


def test_the_command_names_what_it_can_not_express(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And leaves what is written alone."""
    crd.write(tmp_path)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}

    def refuse(kind: Kind) -> dict[str, Any]:
        raise crd.InexpressibleError(f"{kind.kind}.spec: is odd")

    monkeypatch.setattr(crd, "definition", refuse)
    assert crd.main(["--out", str(tmp_path)]) == 1
    assert "Connection.spec: is odd" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before
