"""What fits into one rendered Secret and its annotation."""

from __future__ import annotations

from collections.abc import Mapping

from jetbridge.core import manifest as manifests
from jetbridge.core.airflow import MAX_SECRET_BYTES
from jetbridge.core.manifest import EntryRecord
from jetbridge.core.seal import Carried
from jetbridge.core.secret_value import SecretValue


class Budget:
    """Counts what fits into one Secret and its annotation. What stands is counted from the beginning, so that neither
    something new nor something that grew pushes out what was delivered."""

    def __init__(self, standing: Mapping[str, Carried]) -> None:
        self._data = sum(len(n) + len(c.value) for n, c in standing.items())
        self._manifest = 64 + sum(len(manifests.dump({n: c.record})) for n, c in standing.items())

    def add(self, name: str, value: SecretValue, record: EntryRecord, instead: Carried | None) -> str | None:
        """Counts an entry in place of the one that stands, if any. When it does not fit, says why and counts nothing."""
        data = self._data + len(name) + len(value)
        listed = self._manifest + len(manifests.dump({name: record}))
        if instead is not None:
            data -= len(name) + len(instead.value)
            listed -= len(manifests.dump({name: instead.record}))
        if data > max(MAX_SECRET_BYTES, self._data):
            return (
                f"the deployment's Secret is full: Kubernetes allows {MAX_SECRET_BYTES} bytes, "
                f"and this connection needs {len(value)}"
            )
        if listed > max(manifests.MAX_BYTES, self._manifest):
            return "the deployment's Secret is full: it holds as many connections as one Secret can account for"
        self._data, self._manifest = data, listed
        return None
