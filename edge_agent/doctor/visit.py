"""Short visits to the broker under a name of the doctor's own: the daemon keeps its session.

By the transport of the agent itself, so a visit meets what the agent would meet.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from edge_agent.config import Config
from edge_agent.errors import AgentError, BrokerUnavailable, SetupError
from edge_agent.transport.address import BrokerAddress, broken, broker_address, unreachable
from edge_agent.transport.base import (
    Arrived,
    Crashed,
    Delivered,
    Inbox,
    LossyArrived,
    SessionEnded,
    SessionStarted,
    Signal,
    Subscribed,
)
from edge_agent.transport.paho import PahoTransport
from edge_agent.types import Delivery, Publication

CONNECT_LIMIT_S = 2.0
ANSWER_LIMIT_S = 1.5
RETAINED_LIMIT_S = 0.7
MAX_WAITING = 1000
SYS_VERSION = "$SYS/broker/version"
SYS_DROPPED = "$SYS/broker/publish/messages/dropped"

S = TypeVar("S", bound=Signal)


def visitor(config: Config, name: str = "doctor") -> BrokerAddress:
    """How the doctor reaches the broker: as the agent does, with another client id."""
    address = broker_address(config)
    return replace(
        address,
        client_id=f"{address.client_id}-{name}",
        session_expiry_s=0,
        connect_timeout_s=min(address.connect_timeout_s, CONNECT_LIMIT_S),
    )


class Visit:
    """One connection, open as long as the ``with`` block. AgentError when it cannot be had.

    With ``hold`` nothing that arrives is acknowledged.
    """

    def __init__(self, address: BrokerAddress, *, hold: bool = False) -> None:
        self._address = address
        self._hold = hold
        self._inbox = Inbox(MAX_WAITING)
        self._transport = PahoTransport(address)
        self.arrived: list[Delivery] = []

    def __enter__(self) -> Visit:
        """Connects: with MQTT 5, else with 3.1.1 where the configuration lets it choose."""
        auto = self._address.protocol == "auto"
        first, *others = ("5", "3.1.1") if auto else (self._address.protocol,)
        try:
            self.started = self._connect(first)
        except SetupError:
            raise
        except AgentError as error:
            if not others:
                raise
            self.started = self._connect_otherwise(others[0], error)
        return self

    def __exit__(self, *_: object) -> None:
        """DISCONNECT, in bounded time."""
        self._transport.stop(0)

    def subscribe(self, *filters: str) -> tuple[str | None, ...]:
        """For each filter why it was refused, or None."""
        self._transport.subscribe(filters)
        return self._answer(Subscribed, ANSWER_LIMIT_S).refusals

    def publish(self, publication: Publication) -> Delivered:
        """The broker's answer."""
        if self._transport.publish(publication, self.started.epoch) is None:
            raise broken(self._address)
        return self._answer(Delivered, ANSWER_LIMIT_S)

    def wait_for(self, enough: Callable[[], bool], limit_s: float) -> bool:
        """Lets messages arrive until there are enough; whether there are."""
        end_s = time.monotonic() + limit_s
        while not enough() and (left_s := end_s - time.monotonic()) > 0:
            self._next(left_s)
        return enough()

    def _connect_otherwise(self, protocol: str, first: AgentError) -> SessionStarted:
        try:
            return self._connect(protocol)
        except SetupError:
            raise
        except AgentError:
            raise first from None

    def _connect(self, protocol: str) -> SessionStarted:
        self._inbox = Inbox(MAX_WAITING)
        self._transport = PahoTransport(replace(self._address, protocol=protocol))
        self._transport.start(self._inbox)
        try:
            return self._answer(SessionStarted, self._address.connect_timeout_s)
        except AgentError:
            self._transport.stop(0)
            raise

    def _answer(self, kind: type[S], limit_s: float) -> S:
        end_s = time.monotonic() + limit_s
        while (left_s := end_s - time.monotonic()) > 0:
            signal = self._next(left_s)
            if isinstance(signal, kind):
                return signal
        raise unreachable(self._address, f"it did not answer within {limit_s:g} s")

    def _next(self, limit_s: float) -> Signal | None:
        signal = self._inbox.get(limit_s)
        match signal:
            case Arrived(delivery):
                self._take(delivery)
            case LossyArrived():
                while self._inbox.lossy:
                    self._take(self._inbox.take_lossy())
            case SessionEnded(_, error):
                raise error or broken(self._address)
            case Crashed(bug):
                raise bug
        return signal

    def _take(self, delivery: Delivery) -> None:
        self.arrived.append(delivery)
        if not self._hold:
            self._transport.ack(delivery)


@dataclass(frozen=True)
class Reception:
    """How the broker received the doctor, and what it keeps ready for whoever subscribes."""

    started: SessionStarted
    retained: dict[str, Delivery]
    connect_ms: float


def call_on(config: Config) -> Reception:
    """One visit that gathers all that can be had without sending. AgentError without a broker."""
    topics = (SYS_VERSION, SYS_DROPPED, f"{config.prefix}/state", f"{config.prefix}/health")
    begun_s = time.monotonic()
    with Visit(visitor(config)) as visit:
        connect_ms = (time.monotonic() - begun_s) * 1000
        try:
            visit.subscribe(*topics)
            visit.wait_for(lambda: len(visit.arrived) >= len(topics), RETAINED_LIMIT_S)
        except BrokerUnavailable:
            pass  # some brokers hang up on whoever asks for more than it may read
        retained = {delivery.topic: delivery for delivery in visit.arrived}
        return Reception(visit.started, retained, connect_ms)
