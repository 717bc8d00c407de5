"""The two worlds in which transports must keep the same promises, and what watches them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

from edge_agent.errors import BrokerUnavailable
from edge_agent.transport.address import BrokerAddress
from edge_agent.transport.base import (
    Arrived,
    Crashed,
    Delivered,
    Inbox,
    SessionStarted,
    Signal,
    Subscribed,
    Transport,
)
from edge_agent.transport.loopback import LoopbackBroker, LoopbackTransport
from edge_agent.transport.paho import PahoTransport
from edge_agent.types import Delivery, Publication
from tests.support.broker import Broker
from tests.support.mqtt_client import MqttClient
from tests.support.waiting import wait_until
from tests.unit.samples import delivery

S = TypeVar("S", bound=Signal)
OUT = Publication("out/a", b"\x00result", "text/x-result", correlation_data=b"\x01c")
BROKEN = BrokerUnavailable("we broke it", "wait")
REFUSED_TOPIC = "forbidden/a"
STOP_TIMEOUT_S = 5.0


class World(ABC):
    """A broker, the outside, and transports of one identity, one after the other."""

    @abstractmethod
    def transport(self) -> Transport:
        """Not started."""

    @abstractmethod
    def send(self, topic: str, payload: bytes, qos: int = 1) -> None:
        """Somebody else publishes, with response topic ``r``, correlation ``c``, type ``t/t``."""

    @abstractmethod
    def outside(self) -> list[Publication]:
        """What others have received on ``out/#``."""


class Loopback(World):
    """In memory."""

    def __init__(self) -> None:
        self.broker = LoopbackBroker(refused_topics={REFUSED_TOPIC: 0x87})

    def transport(self) -> Transport:
        return LoopbackTransport(self.broker)

    def send(self, topic: str, payload: bytes, qos: int = 1) -> None:
        self.broker.send(
            delivery(
                payload,
                topic=topic,
                qos=qos,
                response_topic="r",
                correlation_data=b"c",
                content_type="t/t",
            )
        )

    def outside(self) -> list[Publication]:
        return self.broker.published


class Mosquitto(World):
    """The real thing."""

    def __init__(self, broker: Broker, client: MqttClient) -> None:
        self.broker, self.client = broker, client

    def transport(self) -> Transport:
        return PahoTransport(BrokerAddress("127.0.0.1", self.broker.port, "contract"))

    def send(self, topic: str, payload: bytes, qos: int = 1) -> None:
        self.client.publish(
            topic, payload, qos=qos, ResponseTopic="r", CorrelationData=b"c", ContentType="t/t"
        )

    def outside(self) -> list[Publication]:
        return [
            Publication(
                one.topic,
                one.payload,
                one.properties.get("ContentType", ""),
                correlation_data=one.properties.get("CorrelationData"),
            )
            for one in self.client.received
        ]


class Agent:
    """A started transport and the signals it gave so far."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.inbox = Inbox(100)
        self.signals: list[Signal] = []
        transport.start(self.inbox)
        self.session = self.wait_for(SessionStarted)

    def seen(self, kind: type[S]) -> list[S]:
        """All signals of a kind so far."""
        while (signal := self.inbox.get(0)) is not None:
            assert not isinstance(signal, Crashed), signal
            self.signals.append(signal)
        return [signal for signal in self.signals if isinstance(signal, kind)]

    def wait_for(self, kind: type[S], count: int = 1) -> S:
        """The signal of that kind that makes them so many."""
        wait_until(lambda: len(self.seen(kind)) >= count, what=f"{count} {kind.__name__}")
        return self.seen(kind)[count - 1]

    def deliveries(self, count: int) -> list[Delivery]:
        """All so far, at least so many."""
        self.wait_for(Arrived, count)
        return [signal.delivery for signal in self.seen(Arrived)]

    def subscribe(self, *filters: str) -> Subscribed:
        """And wait for the answer."""
        before = len(self.seen(Subscribed))
        self.transport.subscribe(filters)
        return self.wait_for(Subscribed, before + 1)

    def publish(self, publication: Publication) -> Delivered:
        """And wait for the answer."""
        before = len(self.seen(Delivered))
        mid = self.transport.publish(publication, self.session.epoch)
        answer = self.wait_for(Delivered, before + 1)
        assert (answer.mid, answer.epoch) == (mid, self.session.epoch)
        return answer

    def reconnect(self) -> None:
        """And wait until it is."""
        before = len(self.seen(SessionStarted))
        self.transport.reconnect(BROKEN)
        self.session = self.wait_for(SessionStarted, before + 1)

    def settle(self) -> None:
        """All that was on its way both ways has passed: the broker answers in order."""
        self.publish(Publication("out/settle", b"", "text/plain"))
