"""The results file: the last run of each scenario, and the machine."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.scenario import Options, Result

LATEST = Path(__file__).parent / "results" / "latest.json"


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def record(path: Path, name: str, result: Result, options: Options) -> None:
    """Put a scenario's figures into the file; other scenarios in it stay."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        document = {}
    scenarios: dict[str, Any] = document.get("scenarios") or {}
    scenarios[name] = {
        **result.figures,
        "measured": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "vault_storage": options.storage,
        "versions": dict(result.versions),
    }
    document = {"scenarios": dict(sorted(scenarios.items())), "machine": machine()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def machine() -> Mapping[str, Any]:
    """What the figures depend on."""
    return {"cores": cores(), "system": platform.system(), "python": platform.python_version()}
