"""The page that Prometheus reads, of a real agent."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.broker.test_permissions import EXIT_SETUP, require_said
from tests.support.agent_process import AgentProcess
from tests.support.broker import Broker, free_port
from tests.support.site import Site
from tests.support.waiting import wait_until

MakeSite = Callable[..., Site]


def scrape(port: int) -> dict[tuple[str, str], float]:
    """Samples by name and the value of their only label."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as response:
        page = response.read().decode()
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_a_scrape_of_a_working_agent(make_site: MakeSite) -> None:
    """What it did since the start; it works on, and stops cleanly."""
    port = free_port()
    site = make_site(metrics={"port": port})
    site.agent.start()
    site.event("site/a", "pump 7 is leaking")
    site.event("site/b", "fire in hall 3")
    found = scrape(port)
    assert found["edge_agent_messages_total", "fault"] == 1
    assert found["edge_agent_messages_total", "alarm"] == 1
    assert found["edge_agent_connected", ""] == 1
    assert found["edge_agent_resident_memory_bytes", ""] > 1 << 20
    site.require_well()
    assert site.agent.stop() == 0


def test_a_scrape_while_the_broker_is_away(make_site: MakeSite) -> None:
    """That is when the numbers are wanted most."""
    port = free_port()
    site = make_site(metrics={"port": port})
    site.agent.start()
    site.event("site/a", "pump")
    site.broker.kill()
    wait_until(lambda: "not connected" in site.agent.stderr, what=lambda: site.agent.stderr)
    found = scrape(port)
    assert found["edge_agent_connected", ""] == 0
    assert found["edge_agent_disconnects_total", ""] >= 1


def test_a_port_that_is_taken(
    broker: Broker, make_agent: Callable[..., AgentProcess], tiny: Path
) -> None:
    """Exit 78, with the command that shows who has it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        agent = make_agent(broker, tiny, metrics={"port": port}).start(wait=False)
        assert agent.wait_exit() == EXIT_SETUP
    require_said(agent.stderr, f"127.0.0.1:{port}", "ss -ltnp")
