"""The user's cache: what was built or fetched once, shared by all checkouts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dev.artefacts import Artefact, cache_key, pinned_version


def cache_root(env: Mapping[str, str] | None = None) -> Path:
    """`JETBRIDGE_CACHE`, else the XDG place, else `~/.cache`."""
    env = os.environ if env is None else env
    if own := env.get("JETBRIDGE_CACHE"):
        return Path(own).expanduser().absolute()
    if xdg := env.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser().absolute() / "jetbridge"
    return Path.home() / ".cache" / "jetbridge"


def cached_path(artefact: Artefact, root: Path) -> Path:
    """Where a build of exactly this is, or will be."""
    return root / "tools" / f"{artefact.name}-{pinned_version(artefact)}-{cache_key(artefact)}" / artefact.name


def is_program(path: Path) -> bool:
    """Whether it can be run."""
    return path.is_file() and os.access(path, os.X_OK)
