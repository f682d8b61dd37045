"""The annotation on a rendered Secret that says what each of its keys is made of.

It is written together with the data, so the two can't disagree after a crash. From it alone, without reading a secret, it is
told whether an entry is current (`recipe`), untouched (`value`), and of which Connection and link (`identity`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

FORMAT_VERSION = 1
# All annotations of an object together hold 256 KiB (apimachinery, TotalAnnotationSizeLimitB); some room is left to others.
MAX_BYTES = 250 * 1024


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """One key of the rendered Secret. `recipe` and `value` are keyed digests; `identity` hashes UIDs.

    `value` covers the value and the rest of the record, so that no part of the annotation can be changed by itself.
    """

    workspace: str
    identity: str
    recipe: str
    value: str
    since: str


Manifest = Mapping[str, EntryRecord]


def dump(manifest: Manifest) -> str:
    """The annotation's text, deterministic."""
    entries = {name: [r.workspace, r.identity, r.recipe, r.value, r.since] for name, r in sorted(manifest.items())}
    return json.dumps({"v": FORMAT_VERSION, "entries": entries}, separators=(",", ":"), ensure_ascii=True)


def load(text: str | None) -> dict[str, EntryRecord]:
    """The annotation read back; what can't be read counts as empty, and everything is rendered anew."""
    try:
        raw = json.loads(text or "{}")
        if raw.get("v") != FORMAT_VERSION:
            return {}
        return {str(name): EntryRecord(*map(str, parts)) for name, parts in raw["entries"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
