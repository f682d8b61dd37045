"""Metrics, with bounded labels only: kinds, verbs, reasons; never names."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from jetbridge.core.graph import Key

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The operator's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._reconciles = Counter(
            "jetbridge_reconciles_total", "Reconciles by kind and outcome.", ("kind", "outcome"), registry=self.registry
        )
        self._seconds = Histogram(
            "jetbridge_reconcile_seconds",
            "Duration of reconciles.",
            ("kind",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._api = Counter(
            "jetbridge_kubernetes_requests_total",
            "Requests to the API server by verb, resource and status code.",
            ("verb", "resource", "code"),
            registry=self.registry,
        )
        self._vault = Counter(
            "jetbridge_vault_requests_total",
            "Requests to Vault by operation and result.",
            ("operation", "result"),
            registry=self.registry,
        )
        self._withdrawn = Counter(
            "jetbridge_withdrawals_total", "Entries taken out of rendered Secrets.", registry=self.registry
        )
        self._ingested = Counter(
            "jetbridge_ingests_total",
            "Looks at entries in Vault by what they ended with.",
            ("reason",),
            registry=self.registry,
        )
        self._vault_up = Gauge("jetbridge_vault_up", "Whether Vault answers.", registry=self.registry)
        self._vault_up.set(1)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Adds a gauge that is read when it is asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def finished(self, key: object, seconds: float, outcome: str) -> None:
        """A reconcile ended."""
        kind = key.kind if isinstance(key, Key) else "unknown"
        self._reconciles.labels(kind, outcome).inc()
        self._seconds.labels(kind).observe(seconds)

    def kubernetes(self, verb: str, resource: str, code: int) -> None:
        """The API server answered."""
        self._api.labels(verb, resource, str(code)).inc()

    def vault(self, operation: str, result: str) -> None:
        """Vault answered, or did not."""
        self._vault.labels(operation, result).inc()

    def vault_up(self, up: bool) -> None:
        """Vault went away, or came back."""
        self._vault_up.set(up)

    def withdrawn(self, entries: int) -> None:
        """Entries were taken out."""
        self._withdrawn.inc(entries)

    def ingested(self, reason: str) -> None:
        """An entry was looked at."""
        self._ingested.labels(reason).inc()

    def text(self) -> bytes:
        """The exposition in Prometheus' text format."""
        return generate_latest(self.registry)
