"""Small files that hold state or secrets: whole or absent, and readable by their owner alone."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from dev.errors import StackError


def private_dir(path: Path) -> Path:
    """Make a folder that only its owner can enter: keys, tokens and databases with secrets lie in it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_private(path: Path, content: str | bytes) -> None:
    """Replace a file at once (a crash leaves the old or the new one), mode 0600 from its first byte."""
    private_dir(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write private JSON."""
    write_private(path, json.dumps(data, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """Read what `write_json` wrote; None when it is not there."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StackError(f"{path} is not readable as JSON ({error}); `make down` clears it") from error
    return data if isinstance(data, dict) else None


def tail(path: Path, lines: int = 15, offset: int = 0) -> str:
    """Give the last lines of a log, from `offset` on (where the current run began)."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(offset, size - 64 * 1024))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-lines:])
