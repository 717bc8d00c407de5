"""The Prometheus page, read back by Prometheus's own parser, and over real HTTP."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_agent import exporter
from edge_agent.errors import ConfigError
from edge_agent.exporter import Exporter
from edge_agent.exposition import METRICS, exposition
from edge_agent.transport.base import Asked, Inbox
from edge_agent.types import JsonObject
from tests.support.ipv6 import IPV6
from tests.support.waiting import wait_until
from tests.unit.site import Site, health

MakeSite = Callable[..., Site]
Families = dict[str, Any]


def parsed(page: str) -> Families:
    return {family.name: family for family in text_string_to_metric_families(page)}


def value(families: Families, name: str, /, **labels: str) -> float:
    found = [
        s.value
        for family in families.values()
        for s in family.samples
        if s.name == f"edge_agent_{name}" and s.labels == labels
    ]
    assert len(found) == 1, (name, labels, found)
    return float(found[0])


@pytest.fixture
def numbers(make_site: MakeSite) -> JsonObject:
    """Health of an agent that has worked: events, a dead letter, an abstention."""
    site = make_site(health={"interval_s": 10})
    site.run(
        site.send("pump 7 is leaking", "fire in hall 3", "qwertz", b"\xff"),
        site.wait(10),
        lambda: None,
    )
    return health(site)


def test_every_number_is_found_in_health(numbers: JsonObject) -> None:
    """And every family has help, the right type, and a name as Prometheus wants it."""
    families = parsed(exposition(numbers))
    optional = {"route_drift_psi", "throttled", "tls_files_unused", "challenger_info"}
    for metric in METRICS:
        name = metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        if metric.where.endswith("*") or name.startswith("shadow_") or name in optional:
            continue
        family = families[f"edge_agent_{name}"]
        assert family.documentation == metric.help
        assert family.type == {"info": "gauge"}.get(metric.kind, metric.kind)
        assert family.samples


def test_the_same_numbers(numbers: JsonObject) -> None:
    """What health says, in Prometheus's units."""
    page = parsed(exposition(numbers))
    assert value(page, "messages_total", route="fault") == numbers["routes"]["fault"] == 1
    assert value(page, "messages_total", route="other") == 1
    assert value(page, "rejected_total", code="undecodable") == 1
    assert value(page, "deliveries_total") == 4
    assert value(page, "disconnects_total") == 0
    assert value(page, "abstentions_total") == numbers["answers"]["abstained"]
    assert value(page, "unknown_token_ratio") == numbers["answers"]["unknown_token_rate"] > 0
    assert value(page, "connected") == 1
    assert value(page, "queue_seconds_count") == value(page, "model_seconds_bucket", le="+Inf") == 3
    assert value(page, "bundle_info", **numbers["model"]) == 1
    assert value(page, "resident_memory_bytes") == numbers["host"]["rss_bytes"]


def test_numbers_that_come_and_go(numbers: JsonObject) -> None:
    """A bundle on trial, reloads, TLS, sensors: there when health has them, else left out."""
    assert not parsed(exposition(numbers)).keys() & {"edge_agent_reloads", "edge_agent_throttled"}
    model = {"name": "next", "version": "2", "digest": "d2"}
    shadow = {"compared": 9, "same_route": 8, "same_entities": 7, "failed": 1, "dropped": 3}
    more = {
        "counters": {"reloads_changed": 2, "reloads_failed": 1},
        "challenger": {"model": model, "mode": "shadow", "share": 0.5, "active": True},
        "shadow": {**shadow, "model_ms_p50": 1.0, "model_ms_p95": 2.0},
        "tls": {"expires_in_days": {"ca": 2.0, "client": -0.5}, "problem": "damaged"},
        "host": {**numbers["host"], "throttled": True, "temperatures_c": {"cpu": 71.5}},
    }
    page = parsed(exposition({**numbers, **more}))
    assert value(page, "reloads_total", outcome="changed") == 2
    assert value(page, "challenger_info", **model) == 1
    for name, count in shadow.items():
        assert value(page, f"shadow_{name}_total") == count
    assert value(page, "certificate_remaining_seconds", certificate="ca") == 172800
    assert value(page, "certificate_remaining_seconds", certificate="client") == -43200
    assert value(page, "tls_files_unused") == value(page, "throttled") == 1
    assert value(page, "temperature_celsius", zone="cpu") == 71.5


def test_buckets_ascend(numbers: JsonObject) -> None:
    """The parser does not check it; Prometheus's quantiles need it."""
    samples = parsed(exposition(numbers))["edge_agent_route_confidence"].samples
    buckets = [(float(s.labels["le"]), s.value) for s in samples if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert [count for _, count in buckets] == sorted(count for _, count in buckets)


def test_labels_are_escaped(numbers: JsonObject) -> None:
    """A bundle may name its routes as it likes."""
    odd = 'a"b\\c\nd'
    page = exposition({**numbers, "routes": {odd: 3}})
    assert value(parsed(page), "messages_total", route=odd) == 3


class Loop:
    """What the agent's loop does with questions, in a thread that can be held up."""

    def __init__(self, answer: JsonObject) -> None:
        self.inbox = Inbox(1)
        self.questions = 0
        self.go = threading.Event()
        self.go.set()
        self._answer = answer
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.is_set():
            signal = self.inbox.get(0.05)
            if isinstance(signal, Asked):
                self.questions += 1
                self.go.wait()
                signal.answer(self._answer)

    def end(self) -> None:
        self.go.set()
        self._ending.set()
        self._thread.join()


@pytest.fixture
def loop(numbers: JsonObject) -> Iterator[Loop]:
    running = Loop(numbers)
    yield running
    running.end()


@pytest.fixture
def served(loop: Loop) -> Iterator[Exporter]:
    page = Exporter("127.0.0.1", 0, loop.inbox)
    page.start()
    yield page
    page.close()


def get(page: Exporter, path: str = "/metrics") -> http.client.HTTPResponse:
    response = urllib.request.urlopen(f"http://127.0.0.1:{page.server_port}{path}", timeout=60)
    assert isinstance(response, http.client.HTTPResponse)
    return response


def test_a_scrape(served: Exporter, numbers: JsonObject) -> None:
    """The page, with the type by which Prometheus knows its format."""
    response = get(served)
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.read().decode() == exposition(numbers)


def test_each_scrape_asks_anew(served: Exporter, loop: Loop) -> None:
    """Numbers are as old as the scrape, not as the first."""
    assert [get(served).status for _ in range(3)] == [200, 200, 200]
    assert loop.questions == 3


def test_other_paths(served: Exporter) -> None:
    """Say where to look."""
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        get(served, "/")
    assert caught.value.read() == b"see /metrics\n"


def test_a_loop_that_is_busy(served: Exporter, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, one question however often it is asked, and the next scrape after it has its answer."""
    monkeypatch.setattr(exporter, "MAX_ANSWER_WAIT_S", 0.1)
    loop.go.clear()
    for _ in range(3):
        with pytest.raises(urllib.error.HTTPError, match="503"):
            get(served)
    loop.go.set()
    monkeypatch.setattr(exporter, "MAX_ANSWER_WAIT_S", 60.0)
    assert get(served).status == 200
    assert loop.questions == 1


def test_a_reader_that_says_nothing(
    served: Exporter, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Is hung up on after a while, and others are served again; the log stays quiet."""
    assert exporter._Reader.timeout == exporter.MAX_READER_WAIT_S
    monkeypatch.setattr(exporter._Reader, "timeout", 1.0)
    with socket.create_connection(("127.0.0.1", served.server_port)):
        assert get(served).status == 200
    assert capfd.readouterr().err == ""


def test_a_bug_is_not_kept_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    """The reader gets nothing, the log the traceback; the page is served on."""
    loop = Loop({"latency_s": {"queue": {}}})
    page = Exporter("127.0.0.1", 0, loop.inbox)
    page.start()
    for _ in range(2):
        with pytest.raises(http.client.RemoteDisconnected):
            get(page)
    page.close()
    loop.end()
    assert capfd.readouterr().err.count("KeyError: 'counts'") == 2


def test_the_agent_does_not_wait_for_a_reader(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends while one is served, and the port is free again."""
    monkeypatch.setattr(exporter, "MAX_ANSWER_WAIT_S", 60.0)
    loop.go.clear()
    page = Exporter("127.0.0.1", 0, loop.inbox)
    page.start()
    with socket.create_connection(("127.0.0.1", page.server_port)) as reader:
        reader.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        wait_until(lambda: loop.questions == 1)
        begun_s = time.monotonic()
        page.close()
        assert time.monotonic() - begun_s < 30
    socket.create_server(("127.0.0.1", page.server_port)).close()


@IPV6
def test_ipv6(loop: Loop) -> None:
    """The host may be an address of either kind."""
    page = Exporter("::1", 0, loop.inbox)
    page.start()
    with urllib.request.urlopen(f"http://[::1]:{page.server_port}/metrics", timeout=60) as answer:
        assert answer.status == 200
    page.close()


@pytest.mark.parametrize("host", ["192.0.2.7", pytest.param("2001:db8::7", marks=IPV6)])
def test_an_address_that_the_machine_has_not_got_yet(loop: Loop, host: str) -> None:
    """At boot the network may come later; to give up would be for good."""
    Exporter(host, 0, loop.inbox).server_close()


def test_a_host_that_is_no_address(loop: Loop) -> None:
    """What else the system says is not taken for a port in use."""
    with pytest.raises(ConfigError, match="metrics no such host:9100") as caught:
        Exporter("no such host", 9100, loop.inbox)
    assert "ss -ltnp" not in caught.value.fix
    assert "metrics.host" in caught.value.fix


def test_a_port_that_is_taken(served: Exporter, loop: Loop) -> None:
    """A person must act, and is told how to see who has it."""
    with pytest.raises(ConfigError, match="in use") as caught:
        Exporter("127.0.0.1", served.server_port, loop.inbox)
    assert str(served.server_port) in caught.value.fix


def test_health_is_json_without_odd_numbers(numbers: JsonObject) -> None:
    """Nothing in it is NaN or infinite: the strict readers of the site would refuse it."""
    json.dumps(numbers, allow_nan=False)


def test_the_page_is_off_by_default(make_site: MakeSite, tmp_path: Path) -> None:
    """Nobody listens unless a port is set."""
    assert make_site().config.metrics.port is None
    assert make_site().config.metrics.host == "127.0.0.1"
