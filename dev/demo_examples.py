"""The quickstart's objects: applied anew at each demo, and waited for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from dev.demo_world import ObjectRef, World
from dev.errors import StackError
from dev.kubectl import Kubectl

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "quickstart"
DELETE_LIMIT_SECONDS = 60


class Examples:
    """The documents of a folder of manifests, in the order in which kubectl applies them."""

    def __init__(self, folder: Path = FOLDER) -> None:
        """Read them."""
        files = sorted(folder.glob("*.yaml"))
        texts = (file.read_text(encoding="utf-8") for file in files)
        self.folder = folder
        self.documents: list[dict[str, Any]] = [d for text in texts for d in yaml.safe_load_all(text) if d]

    def refs(self, *kinds: str) -> list[ObjectRef]:
        """The objects of these kinds."""
        return [_ref(document) for document in self.documents if document["kind"] in kinds]

    def apply(self, kubectl: Kubectl) -> int:
        """As a person would; the number of objects."""
        return len(kubectl("apply", "-f", str(self.folder)).splitlines())

    def leftovers(self, kubectl: Kubectl) -> list[str]:
        """What is there of them already, namespaces aside."""
        self._require_live_namespaces(kubectl)
        return kubectl("get", "-f", "-", "--ignore-not-found", "-o", "name", stdin=self._deletable()).split()

    def delete(self, kubectl: Kubectl) -> None:
        """All but the namespaces, which would stay Terminating; returns when the objects are gone."""
        limit = DELETE_LIMIT_SECONDS
        arguments = ("delete", "-f", "-", "--ignore-not-found", "--wait", f"--timeout={limit}s")
        kubectl(*arguments, stdin=self._deletable(), limit=limit + 30.0)

    def _deletable(self) -> str:
        chosen = [document for document in reversed(self.documents) if document["kind"] != "Namespace"]
        return yaml.safe_dump_all(chosen)

    def _require_live_namespaces(self, kubectl: Kubectl) -> None:
        names = [name for _, _, name in self.refs("Namespace")]
        form = 'jsonpath={range .items[?(@.metadata.deletionTimestamp)]}{.metadata.name}{"\\n"}{end}'
        going = [name for name in kubectl("get", "namespaces", "-o", form).split() if name in names]
        if going:
            raise StackError(
                f"namespace {', '.join(going)} was deleted, and nothing here ends that (there is no controller manager); "
                "make down, then make demo"
            )


def not_ready(world: World, refs: Iterable[ObjectRef]) -> dict[ObjectRef, str]:
    """The objects that are not Ready at their generation, and what they say instead."""
    out = {}
    for ref in refs:
        raw = world.objects.get(ref, {})
        condition = _condition(raw.get("status") or {})
        current = condition.get("observedGeneration") == (raw.get("metadata") or {}).get("generation")
        if not (current and condition.get("status") == "True"):
            out[ref] = str(condition.get("message") or "nothing yet") if raw else "not there"
    return out


def _condition(status: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((c for c in status.get("conditions") or () if c.get("type") == "Ready"), {})


def _ref(document: Mapping[str, Any]) -> ObjectRef:
    meta = document["metadata"]
    return str(document["kind"]), str(meta.get("namespace", "")), str(meta["name"])
