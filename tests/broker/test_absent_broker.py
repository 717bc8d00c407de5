"""The broker is away, comes, or prefers somebody else: the agent waits and says so."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.agent_process import AgentProcess
from tests.support.broker import Broker
from tests.support.mqtt_client import ClientOptions, MqttClient
from tests.support.site import Site
from tests.support.waiting import wait_until

CEILING_S = 2.0


def wait_online(site: Site, seen: int) -> None:
    """Until the observer, back itself, has heard of the agent's birth."""

    def births() -> list[Any]:
        states = [m.json for m in site.client.since(seen) if m.topic == "edge/t/state"]
        return [state for state in states if state["state"] == "online"]

    site.client.wait(births, what="a birth")


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
    status = "STATUS=waiting for the broker"
    wait_until(lambda: status in site.agent.notify.lines, what=status)
    wait_until(lambda: len(waits_s(site.agent)) >= 5, what="five attempts")
    waits = waits_s(site.agent)[:5]
    assert 0.5 <= waits[0] <= 1
    assert 1 <= waits[1] <= 2
    assert all(CEILING_S / 2 <= wait <= CEILING_S for wait in waits[2:])
    assert len(set(waits)) >= 4, "no jitter: the same wait again"  # hundredths: two may be alike
    assert f"127.0.0.1:{site.broker.port}" in site.agent.stderr
    assert "fix=" in site.agent.stderr
    seen = site.client.count
    site.broker.start()
    wait_online(site, seen)
    wait_until(lambda: "STATUS=subscribed" in site.agent.notify.lines, what="a subscription")
    site.require_well()
    assert "Traceback" not in site.agent.stderr


def test_a_broker_restarted_without_persistence(make_site: Callable[..., Site]) -> None:
    """A new session: subscribed anew, and packet identifiers of the old one mean nothing."""
    site = make_site(mqtt={"max_reconnect_wait_s": 0.5})
    site.agent.start()
    site.require_well()
    seen = site.client.count
    site.broker.restart(kill=True)
    wait_online(site, seen)
    site.require_well()
    assert site.counter("connects") == 2


def test_a_second_client_of_our_name(make_site: Callable[..., Site]) -> None:
    """Thrown out by it, the agent names what to look for, and comes back.

    Mosquitto 2.0.11 hangs up without a word; others send the reason "Session taken over".
    """
    site = make_site(mqtt={"max_reconnect_wait_s": 0.5})
    site.agent.start()
    site.require_well()
    seen = site.client.count
    with MqttClient(site.broker.port, ClientOptions("edge-agent-t")):
        wait_until(lambda: "not connected" in site.agent.stderr, what="word of the takeover")
    assert re.search("other client (is )?named edge-agent-t", site.agent.stderr)
    wait_online(site, seen)
    site.require_well()


def test_an_unknown_host(
    make_agent: Callable[..., AgentProcess], broker: Broker, tiny: Path
) -> None:
    """A name that does not resolve may resolve later: retried, not fatal."""
    agent = make_agent(broker, tiny, mqtt={"host": "broker.invalid"}).start()
    wait_until(lambda: len(waits_s(agent)) >= 2, what="two attempts")
    assert "broker.invalid" in agent.stderr
    assert agent.stop() == 0
