"""The broker is away, comes, or prefers somebody else: the agent waits and says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.support.agent_process import AgentProcess
from tests.support.broker import Broker
from tests.support.mqtt_client import ClientOptions, MqttClient
from tests.support.site import Site
from tests.support.waiting import wait_until

CEILING_S = 2.0


def waits_s(agent: AgentProcess) -> list[float]:
    """The waits announced in the log."""
    return [float(found) for found in re.findall(r"retry_in_s=([0-9.]+)", agent.stderr)]


def test_an_absent_broker_is_waited_for(
    make_site: Callable[..., Site],
) -> None:
    """Ready all the same; waits grow, differ and stay below the ceiling; connects when it is up."""
    site = make_site(mqtt={"max_reconnect_wait_s": CEILING_S})
    site.broker.stop()
    site.agent.start()
    assert "STATUS=waiting for the broker" in site.agent.notify.lines
    wait_until(lambda: len(waits_s(site.agent)) >= 4, 20, "four attempts")
    waits = waits_s(site.agent)
    assert 0.5 <= waits[0] <= 1
    assert 1 <= waits[1] <= 2
    assert all(CEILING_S / 2 <= wait <= CEILING_S for wait in waits[2:])
    assert len(set(waits)) == len(waits), "no jitter: the same wait twice"
    assert f"127.0.0.1:{site.broker.port}" in site.agent.stderr
    assert "fix=" in site.agent.stderr
    site.broker.start()
    site.client.subscribe("edge/#")
    wait_until(lambda: "STATUS=subscribed" in site.agent.notify.lines, 20, "a subscription")
    site.require_well()
    assert "Traceback" not in site.agent.stderr


def test_a_broker_restarted_without_persistence(make_site: Callable[..., Site]) -> None:
    """A new session: subscribed anew, and packet identifiers of the old one mean nothing."""
    site = make_site(mqtt={"max_reconnect_wait_s": 0.5})
    site.agent.start()
    site.require_well()
    site.broker.restart(kill=True)
    site.client.subscribe("edge/#")
    wait_until(lambda: site.agent.stderr.count("session=new") == 2, 20, "a new session")
    site.require_well()
    assert site.counter("connects") == 2


def test_a_second_client_of_our_name(broker: Broker, make_site: Callable[..., Site]) -> None:
    """Thrown out by it, the agent says by whom, and comes back."""
    site = make_site(mqtt={"max_reconnect_wait_s": 0.5})
    site.agent.start()
    site.require_well()
    with MqttClient(site.broker.port, ClientOptions("edge-agent-t")):
        wait_until(lambda: "taken over" in site.agent.stderr, 10, "word of the takeover")
    assert "stop the other client named edge-agent-t, or set mqtt.client_id" in site.agent.stderr
    wait_until(lambda: site.agent.stderr.count("event=connected") >= 2, 20, "a return")
    site.require_well()


def test_an_unknown_host(make_agent: Callable[..., AgentProcess], broker: Broker, tiny: Path) -> None:
    """A name that does not resolve may resolve later: retried, not fatal."""
    agent = make_agent(broker, tiny, mqtt={"host": "broker.invalid"}).start()
    wait_until(lambda: len(waits_s(agent)) >= 2, 20, "two attempts")
    assert "broker.invalid" in agent.stderr
    assert agent.stop() == 0
