"""A session that ends with its connection, and what the broker grants in its CONNACK."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from edge_agent.transport.address import BrokerAddress
from edge_agent.transport.paho import PahoTransport
from tests.support.broker import Broker
from tests.unit.worlds import Agent

MakeBroker = Callable[..., Broker]


def connect_twice(address: BrokerAddress) -> Agent:
    """The second of two connections in turn, each ended in good order."""
    for _ in range(2):
        agent = Agent(PahoTransport(address))
        agent.subscribe("in/#")
        agent.transport.stop(5)
    return agent


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_nothing_is_kept_of_a_short_session(broker: Broker, protocol: str) -> None:
    """With an expiry of 0 the broker forgets it; with a longer one it is resumed."""
    short = BrokerAddress("127.0.0.1", broker.port, "short", protocol=protocol, session_expiry_s=0)
    assert not connect_twice(short).session.resumed
    assert connect_twice(replace(short, client_id="long", session_expiry_s=60)).session.resumed


def test_what_the_broker_grants(make_broker: MakeBroker) -> None:
    """All properties of the CONNACK, by the standard's names; none on MQTT 3.1.1."""
    broker = make_broker(extra="max_qos 1\nretain_available false\nmax_keepalive 20")
    agent = Agent(PahoTransport(BrokerAddress("127.0.0.1", broker.port, "a")))
    agent.transport.stop(5)
    granted = agent.session.granted
    assert {
        name: granted[name] for name in ("MaximumQoS", "RetainAvailable", "ServerKeepAlive")
    } == {
        "MaximumQoS": 1,
        "RetainAvailable": 0,
        "ServerKeepAlive": 20,
    }
    older = Agent(PahoTransport(BrokerAddress("127.0.0.1", broker.port, "b", protocol="3.1.1")))
    older.transport.stop(5)
    assert older.session.granted == {}
