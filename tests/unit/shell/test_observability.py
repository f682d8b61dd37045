"""Endpoints, metrics, logs and events: what an administrator sees of the operator."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from jetbridge.core.graph import Key
from jetbridge.runtime.workers import Backoff
from jetbridge.shell import events as events_module
from jetbridge.shell import logs
from jetbridge.shell.cluster import ApiUnavailable, Forbidden
from jetbridge.shell.events import EventRecorder
from jetbridge.shell.metrics import Metrics
from jetbridge.shell.web import serve
from tests.fakes.clock import FakeClock
from tests.fakes.cluster import FakeCluster
from tests.unit.shell.harness import PLANTED

KEY = Key("Connection", "team-a", "warehouse")


# Endpoints


class Probes:
    """What the endpoints say."""

    healthy: str | None = None
    ready: str | None = None


@pytest.fixture
async def web() -> AsyncIterator[tuple[str, Probes]]:
    probes = Probes()
    runner = await serve(
        "127.0.0.1",
        0,
        metrics=lambda: b"a_metric 1\n",
        healthy=lambda: probes.healthy,
        ready=lambda: probes.ready,
    )
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", probes
    await runner.cleanup()


async def get(url: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text(), answer.headers["Content-Type"]


async def test_metrics_are_in_prometheus_text_format(web: tuple[str, Probes]) -> None:
    status, text, kind = await get(web[0] + "/metrics")
    assert (status, text) == (200, "a_metric 1\n")
    assert kind.startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("probe", ["healthz", "readyz"])
async def test_a_probe_says_ok_or_what_is_wrong(web: tuple[str, Probes], probe: str) -> None:
    address, probes = web
    assert (await get(f"{address}/{probe}"))[:2] == (200, "ok\n")
    setattr(probes, {"healthz": "healthy", "readyz": "ready"}[probe], "listing: secrets")
    assert (await get(f"{address}/{probe}"))[:2] == (503, "listing: secrets\n")


async def test_the_probes_do_not_depend_on_each_other(web: tuple[str, Probes]) -> None:
    address, probes = web
    probes.ready = "not yet"
    assert (await get(address + "/healthz"))[0] == 200


async def test_there_is_nothing_else(web: tuple[str, Probes]) -> None:
    assert (await get(web[0] + "/debug"))[0] == 404


async def test_an_address_that_is_taken_is_an_error(web: tuple[str, Probes]) -> None:
    port = int(web[0].rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"):
        await serve("127.0.0.1", port, metrics=lambda: b"", healthy=lambda: None, ready=lambda: None)


# Metrics


def samples(metrics: Metrics) -> dict[str, dict[str, str]]:
    """Each sample's labels."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {f"{s.name}{sorted(s.labels.items())}": s.labels for family in families for s in family.samples}


def busy() -> Metrics:
    """Metrics after much was done with many objects."""
    metrics = Metrics()
    for number in range(50):
        for kind in ("Connection", "ConnectionLink", "AirflowDeployment", "Workspace"):
            metrics.finished(Key(kind, f"ns-{number}", f"name-{number}"), 0.001, "done")
        metrics.kubernetes("PATCH", "connections/status", 200)
        metrics.vault("write", "answered")
        metrics.ingested("Stored")
        metrics.withdrawn(2)
    metrics.finished("something else", 0.1, "error")
    metrics.vault_up(False)
    return metrics


def test_labels_name_no_object() -> None:
    text = busy().text().decode()
    assert "name-7" not in text
    assert "ns-7" not in text


def test_labels_are_few() -> None:
    names = {label for labels in samples(busy()).values() for label in labels}
    assert names <= {"kind", "outcome", "verb", "resource", "code", "operation", "result", "reason", "le"}
    assert len(samples(busy())) < 150


def test_counters_count() -> None:
    registry = busy().registry
    value = registry.get_sample_value
    assert value("jetbridge_reconciles_total", {"kind": "Connection", "outcome": "done"}) == 50
    assert (
        value("jetbridge_kubernetes_requests_total", {"verb": "PATCH", "resource": "connections/status", "code": "200"})
        == 50
    )
    assert value("jetbridge_withdrawals_total") == 100
    assert value("jetbridge_vault_up") == 0


def test_a_gauge_is_read_when_it_is_asked_for() -> None:
    metrics, now = Metrics(), [1.0]
    metrics.gauge("jetbridge_test", "A test.", lambda: now[0])
    now[0] = 7.0
    assert metrics.registry.get_sample_value("jetbridge_test") == 7.0


def test_two_operators_in_one_process_do_not_share_metrics() -> None:
    one, other = Metrics(), Metrics()
    one.withdrawn(3)
    assert other.registry.get_sample_value("jetbridge_withdrawals_total") == 0


# Logs


@pytest.fixture
def root_logger() -> Iterator[None]:
    """`configure` changes the process's logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {n: logging.getLogger(n).level for n in ("kopf", "aiohttp", "urllib3", "hvac", "kubernetes", "asyncio")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def logged(monkeypatch: pytest.MonkeyPatch, style: Literal["text", "json"], say: Any) -> str:
    """What `say` writes to standard error."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    logs.configure(style, "info")
    say(logging.getLogger("jetbridge.test"))
    return out.getvalue()


def fail(log: logging.Logger) -> None:
    """Logs an error whose text, cause and locals hold a value."""
    value = PLANTED
    try:
        try:
            raise KeyError(value)
        except KeyError as error:
            raise RuntimeError(f"bad {value}") from error
    except RuntimeError:
        log.exception("it failed at %s", "a place", stack_info=True)


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize("style", ["text", "json"])
def test_a_traceback_is_not_logged(monkeypatch: pytest.MonkeyPatch, style: Literal["text", "json"]) -> None:
    text = logged(monkeypatch, style, fail)
    assert PLANTED not in text
    assert "Traceback" not in text
    assert "it failed at a place (RuntimeError)" in text
    assert text.count("\n") == 1


@pytest.mark.usefixtures("root_logger")
def test_each_line_of_json_is_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    def say(log: logging.Logger) -> None:
        log.info("one\ntwo %s", "é\u2028")
        log.warning('"quoted"')

    lines = [json.loads(line) for line in logged(monkeypatch, "json", say).splitlines()]
    assert [(line["level"], line["logger"], line["message"]) for line in lines] == [
        ("info", "jetbridge.test", "one\ntwo é\u2028"),
        ("warning", "jetbridge.test", '"quoted"'),
    ]
    assert all(line["time"].endswith("Z") for line in lines)


@pytest.mark.usefixtures("root_logger")
def test_text_lines_are_in_utc_with_level_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    text = logged(monkeypatch, "text", lambda log: log.info("hello"))
    assert text.rstrip().endswith("Z INFO    jetbridge.test: hello")


@pytest.mark.usefixtures("root_logger")
def test_libraries_are_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    def say(_: logging.Logger) -> None:
        logging.getLogger("kopf.objects").info("chatter")
        logging.getLogger("urllib3.connectionpool").info("GET /v1/secret/data/x")

    assert logged(monkeypatch, "text", say) == ""


@pytest.mark.usefixtures("root_logger")
def test_a_librarys_exception_is_not_logged_either(monkeypatch: pytest.MonkeyPatch) -> None:
    def say(_: logging.Logger) -> None:
        fail(logging.getLogger("asyncio"))

    assert PLANTED not in logged(monkeypatch, "text", say)


# Events


async def post(cluster: FakeCluster, tell: Any) -> list[Any]:
    """What of the events arrives."""
    recorder = EventRecorder(cluster, FakeClock().now)
    tell(recorder)
    task = asyncio.create_task(recorder.run())
    for _ in range(2100):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return list(cluster.events)


async def test_an_event_says_of_whom_and_why() -> None:
    (event,) = await post(FakeCluster(), lambda r: r.event(KEY, "uid", False, "SourceMissing", "why"))
    assert event["type"] == "Warning"
    assert (event["reason"], event["message"]) == ("SourceMissing", "why")
    assert event["involvedObject"] == {
        "apiVersion": "jetbridge.dev/v1alpha1",
        "kind": "Connection",
        "namespace": "team-a",
        "name": "warehouse",
        "uid": "uid",
    }
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-01-01T00:16:40Z"


async def test_a_long_message_and_a_long_name_are_cut() -> None:
    key = Key("Connection", "team-a", "n" * 253)
    (event,) = await post(FakeCluster(), lambda r: r.event(key, "uid", True, "Stored", "x" * 5000))
    assert len(event["message"]) <= 1024
    assert len(event["metadata"]["generateName"]) <= 253 - 5


async def test_too_many_events_are_dropped_and_hold_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def flood(recorder: EventRecorder) -> None:
        for _ in range(events_module._WAITING + 500):
            recorder.event(KEY, "uid", True, "Stored", "m")

    assert len(await post(FakeCluster(), flood)) == events_module._WAITING


@pytest.mark.parametrize("error", [Forbidden("x"), ApiUnavailable("x")])
async def test_an_event_that_can_not_be_posted_ends_nothing(error: Exception) -> None:
    cluster = FakeCluster()
    original, once = cluster.create_event, iter([True])

    async def create(namespace: str, event: Any) -> None:
        if next(once, False):
            raise error
        await original(namespace, event)

    cluster.create_event = create  # type: ignore[method-assign]

    def tell(recorder: EventRecorder) -> None:
        recorder.event(KEY, "uid", True, "First", "m")
        recorder.event(KEY, "uid", True, "Second", "m")

    assert [e["reason"] for e in await post(cluster, tell)] == ["Second"]
    assert Backoff().first > 0
