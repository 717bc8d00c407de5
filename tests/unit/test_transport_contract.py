"""The same promises, kept by the loopback and by paho with a real Mosquitto."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from edge_agent.transport.base import (
    Arrived,
    Delivered,
    SessionEnded,
    SessionStarted,
    Subscribed,
)
from edge_agent.types import Publication
from tests.support.broker import Broker
from tests.support.mqtt_client import ClientOptions, MqttClient
from tests.support.waiting import wait_until
from tests.unit.worlds import (
    BROKEN,
    OUT,
    REFUSED_TOPIC,
    STOP_TIMEOUT_S,
    Agent,
    Loopback,
    Mosquitto,
    World,
)


@pytest.fixture(params=["loopback", pytest.param("mosquitto", marks=pytest.mark.broker)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Each promise is kept by both."""
    if request.param == "loopback":
        yield Loopback()
        return
    make_broker: Callable[..., Broker] = request.getfixturevalue("make_broker")
    broker = make_broker(acl="topic readwrite #\ntopic deny forbidden/#\n")
    with MqttClient(broker.port, ClientOptions("outside")) as client:
        client.subscribe("out/#")
        yield Mosquitto(broker, client)


@pytest.fixture
def start(world: World) -> Iterator[Callable[[], Agent]]:
    """Starts transports; they stop with the test."""
    agents: list[Agent] = []

    def start_() -> Agent:
        agents.append(Agent(world.transport()))
        return agents[-1]

    yield start_
    for agent in agents:
        agent.transport.stop(STOP_TIMEOUT_S)


@pytest.fixture
def agent(start: Callable[[], Agent]) -> Agent:
    """Connected for the first time, subscribed to ``in/#``."""
    agent = start()
    agent.subscribe("in/#")
    return agent


def test_the_first_connection_begins_a_session(agent: Agent) -> None:
    """Over MQTT 5, as epoch 1, with a window to publish in."""
    assert (agent.session.epoch, agent.session.resumed) == (1, False)
    assert agent.session.protocol == "5"
    assert agent.session.receive_maximum >= 1


def test_subscriptions_are_answered_in_order(agent: Agent) -> None:
    """One answer for all filters of a call."""
    answer = agent.subscribe("in/a", "in/b", "other/#")
    assert (answer.epoch, answer.refusals) == (1, (None, None, None))


def test_a_message_arrives_as_it_was_sent(agent: Agent, world: World) -> None:
    """Bytes, topic and properties; with a packet identifier of this connection."""
    world.send("in/ä", b"\x00\xff")
    (one,) = agent.deliveries(1)
    assert (one.topic, one.payload, one.qos, one.dup, one.retain) == (
        "in/ä",
        b"\x00\xff",
        1,
        False,
        False,
    )
    assert (one.response_topic, one.correlation_data, one.content_type) == ("r", b"c", "t/t")
    assert (one.epoch, one.expiry_s) == (1, None)
    assert one.mid > 0


def test_messages_arrive_in_order(agent: Agent, world: World) -> None:
    """With different packet identifiers while none is acknowledged."""
    for i in range(10):
        world.send("in/a", b"%d" % i)
    found = agent.deliveries(10)
    assert [one.payload for one in found] == [b"%d" % i for i in range(10)]
    assert len({one.mid for one in found}) == 10


def test_qos_0_goes_where_the_oldest_is_dropped(agent: Agent, world: World) -> None:
    """Not among the signals."""
    world.send("in/a", b"x", qos=0)
    wait_until(lambda: agent.inbox.lossy, what="a QoS 0 message")
    assert agent.inbox.lossy[0].payload == b"x"
    assert agent.seen(Arrived) == []


def test_a_topic_nobody_subscribed_to_does_not_arrive(agent: Agent, world: World) -> None:
    """Nor one unsubscribed from; a message after it shows that it did not come."""
    agent.subscribe("more/#")
    agent.transport.unsubscribe(("more/#",))
    agent.settle()
    world.send("more/a", b"no")
    world.send("else/a", b"no")
    world.send("in/a", b"yes")
    assert [one.payload for one in agent.deliveries(1)] == [b"yes"]


def test_a_publish_is_answered_and_seen_outside(agent: Agent, world: World) -> None:
    """With its content type and correlation data."""
    assert agent.publish(OUT).reason < 0x80
    wait_until(lambda: OUT in world.outside(), what="the publication outside")


def test_publishes_are_answered_in_order(agent: Agent, world: World) -> None:
    """Each under its own packet identifier."""
    mids = [agent.transport.publish(OUT, 1) for _ in range(5)]
    agent.wait_for(Delivered, 5)
    assert [one.mid for one in agent.seen(Delivered)] == mids
    assert len(set(mids)) == 5


def test_a_refused_publish_says_so(agent: Agent, world: World) -> None:
    """By its reason code; it is not seen outside."""
    answer = agent.publish(Publication(REFUSED_TOPIC, b"x", "text/plain"))
    assert answer.reason == 0x87
    assert answer.reason_name


def test_what_is_not_acknowledged_comes_again(agent: Agent, world: World) -> None:
    """In order, marked DUP, as deliveries of the new connection; what was acknowledged does not."""
    for payload in (b"a", b"b", b"c"):
        world.send("in/a", payload)
    first, second, third = agent.deliveries(3)
    agent.transport.ack(first)
    agent.settle()
    agent.reconnect()
    again = agent.deliveries(5)[3:]
    assert [one.payload for one in again] == [b"b", b"c"]
    assert [(one.mid, one.epoch, one.dup) for one in again] == [
        (second.mid, 2, True),
        (third.mid, 2, True),
    ]


def test_a_reconnect_says_why_the_old_connection_ended(agent: Agent) -> None:
    """Before the new one begins, in the session that is resumed."""
    agent.reconnect()
    (ended,) = agent.seen(SessionEnded)
    assert (ended.epoch, ended.error) == (1, BROKEN)
    assert (agent.session.epoch, agent.session.resumed) == (2, True)
    kinds = [type(one) for one in agent.signals if not isinstance(one, Subscribed)]
    assert kinds == [SessionStarted, SessionEnded, SessionStarted]


def test_an_ack_of_an_older_connection_does_nothing(agent: Agent, world: World) -> None:
    """Its packet identifier may name another message by now."""
    world.send("in/a", b"a")
    (old,) = agent.deliveries(1)
    agent.reconnect()
    agent.deliveries(2)
    agent.transport.ack(old)
    agent.settle()
    agent.reconnect()
    assert agent.deliveries(3)[2].payload == b"a"


def test_a_publish_meant_for_an_older_connection_is_not_sent(agent: Agent) -> None:
    """Its packet identifier would confuse the outbox."""
    agent.reconnect()
    assert agent.transport.publish(OUT, 1) is None
    assert agent.transport.publish(OUT, 2) is not None


def test_a_stop_keeps_the_session(agent: Agent, world: World, start: Callable[[], Agent]) -> None:
    """What is sent meanwhile waits for the next transport of the same name."""
    agent.transport.stop(STOP_TIMEOUT_S)
    ended = agent.wait_for(SessionEnded)
    assert (ended.epoch, ended.error) == (1, None)
    assert agent.transport.publish(OUT, 1) is None
    world.send("in/a", b"meanwhile")
    later = start()
    assert later.session.resumed
    (one,) = later.deliveries(1)
    assert (one.payload, one.dup) == (b"meanwhile", False)


def test_what_was_published_before_a_stop_goes_out(agent: Agent, world: World) -> None:
    """The farewell, for instance."""
    agent.transport.publish(OUT, 1)
    agent.transport.stop(STOP_TIMEOUT_S)
    wait_until(lambda: OUT in world.outside(), what="the publication outside")
