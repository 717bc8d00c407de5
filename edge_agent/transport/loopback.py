"""The transport in memory, and the broker it speaks to: the twin of ``paho.py`` for tests.

No threads, no sockets, no waiting: everything happens inside the call that causes it. The broker
knows one client, QoS 0 and 1, and keeps that client's session until told to lose it. It does not
check what a real one would: packet sizes, malformed topics, the order of PUBACKs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from edge_agent.errors import AgentError, SetupError
from edge_agent.topics import matches
from edge_agent.transport import base
from edge_agent.types import Delivery, Publication

MAX_MID = 65535


@dataclass
class LoopbackBroker:
    """``window`` is the client's Receive Maximum; ``receive_maximum`` is the broker's own.

    Scripted: ``refused_topics`` to PUBACK reasons, ``refused_filters`` to texts, ``answering``
    False for a broker that takes publishes and sends no PUBACK, ``refused_connects`` one by one.
    """

    receive_maximum: int = MAX_MID
    max_packet_bytes: int | None = None
    window: int = MAX_MID
    now_s: Callable[[], float] = lambda: 0.0
    answering: bool = True
    refused_topics: dict[str, int] = field(default_factory=dict)
    refused_filters: dict[str, str] = field(default_factory=dict)
    refused_connects: deque[AgentError] = field(default_factory=deque)
    published: list[Publication] = field(default_factory=list)
    acked: list[Delivery] = field(default_factory=list)
    filters: set[str] = field(default_factory=set)
    client: LoopbackTransport | None = None
    has_session: bool = False
    _unacked: dict[int, Delivery] = field(default_factory=dict)
    _queued: deque[Delivery] = field(default_factory=deque)
    _mid: int = 0

    def send(self, delivery: Delivery) -> None:
        """A message from elsewhere, for the client if a filter of its session fits."""
        if not any(matches(name, delivery.topic) for name in self.filters):
            return
        if delivery.qos > 0:
            self._queued.append(delivery)
            self.flush()
        elif self.client is not None:
            self.client.receive(replace(delivery, mid=0))

    def flush(self) -> None:
        """Delivers what waits, as far as the client's window lets it."""
        while self.client and self._queued and len(self._unacked) < self.window:
            self._mid = self._mid % MAX_MID + 1
            delivery = replace(self._queued.popleft(), mid=self._mid)
            self._unacked[self._mid] = delivery
            self.client.receive(delivery)

    def accept(self, epoch: int) -> base.SessionStarted:
        """The CONNACK."""
        resumed, self.has_session = self.has_session, True
        limits = self.receive_maximum, self.max_packet_bytes
        return base.SessionStarted(epoch, resumed, "5", *limits)

    def resume(self, client: LoopbackTransport) -> None:
        """What the client did not acknowledge comes again, then what waited."""
        self.client = client
        for delivery in list(self._unacked.values()):
            client.receive(replace(delivery, dup=True))
        self.flush()

    def acknowledged(self, delivery: Delivery) -> None:
        """A PUBACK came."""
        if self._unacked.pop(delivery.mid, None) is not None:
            self.acked.append(delivery)
            self.flush()

    def judge(self, publication: Publication) -> tuple[int, str]:
        """The reason code of its PUBACK, and the code's name; what is accepted is kept."""
        reason = self.refused_topics.get(publication.topic, 0)
        if reason == 0:
            self.published.append(publication)
        return reason, f"reason {reason:#x}" if reason else "Success"

    def lose_session(self) -> None:
        """Forgets the session, as a broker without persistence that starts again."""
        self.has_session = False
        self.filters.clear()
        self._unacked.clear()
        self._queued.clear()
        self._mid = 0


class LoopbackTransport:
    """See ``Transport``."""

    def __init__(self, broker: LoopbackBroker) -> None:
        self._broker = broker
        self._inbox = base.Inbox(1)
        self._epoch = 0
        self._outbound_mid = 0

    def start(self, inbox: base.Inbox) -> None:
        """Connects at once; refused, it tries again as often as the script refuses it."""
        self._inbox = inbox
        self._connect()

    def publish(self, publication: Publication, epoch: int) -> int | None:
        """Sends on that connection; the PUBACK is in the inbox when this returns."""
        if self._broker.client is not self or epoch != self._epoch:
            return None
        self._outbound_mid = self._outbound_mid % MAX_MID + 1
        if self._broker.answering:
            reason, name = self._broker.judge(publication)
            self._inbox.put(base.Delivered(epoch, self._outbound_mid, reason, name))
        return self._outbound_mid

    def ack(self, delivery: Delivery) -> None:
        """Acknowledges a delivery of the current connection."""
        if self._broker.client is self and delivery.epoch == self._epoch and delivery.qos == 1:
            self._broker.acknowledged(delivery)

    def subscribe(self, filters: tuple[str, ...]) -> None:
        """Adds to the session what the script does not refuse."""
        refusals = tuple(self._broker.refused_filters.get(name) for name in filters)
        self._broker.filters.update(set(filters) - self._broker.refused_filters.keys())
        self._inbox.put(base.Subscribed(self._epoch, refusals))

    def unsubscribe(self, filters: tuple[str, ...]) -> None:
        """Takes filters out of the session."""
        self._broker.filters.difference_update(filters)

    def reconnect(self, error: AgentError) -> None:
        """Ends this connection and makes the next."""
        if self._broker.client is self:
            self._end(error)
            self._connect()

    def look_again(self) -> None:
        """Memory has no files."""

    def stop(self, timeout_s: float) -> None:  # noqa: ARG002 - nothing here takes time
        """Disconnects; the broker keeps the session."""
        if self._broker.client is self:
            self._end(None)

    def receive(self, delivery: Delivery) -> None:
        """The broker delivers."""
        now_s = self._broker.now_s()
        self._inbox.put(base.Arrived(replace(delivery, epoch=self._epoch, received_s=now_s)))

    def _connect(self) -> None:
        broker, refusal = self._broker, None
        while not isinstance(refusal, SetupError):
            self._epoch += 1
            if not broker.refused_connects:
                self._inbox.put(broker.accept(self._epoch))
                broker.resume(self)
                return
            refusal = broker.refused_connects.popleft()
            self._inbox.put(base.SessionEnded(self._epoch, refusal))

    def _end(self, error: AgentError | None) -> None:
        self._broker.client = None
        self._inbox.put(base.SessionEnded(self._epoch, error))
