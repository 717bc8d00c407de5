"""What the agent asks of a transport, and the signals a transport puts into the inbox.

A transport keeps connecting for as long as it runs; each connection is an epoch. It publishes and
acknowledges, and decides nothing: what a signal means is the agent's business.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge_agent.certificates import Certificate
from edge_agent.errors import AgentError
from edge_agent.memory import Churn
from edge_agent.types import Delivery, JsonObject, Publication

NO_MATCHING_SUBSCRIBERS = 0x10
FAILURE = 0x80
"""Reason codes (MQTT 5, 2.4): this one and those above it say no."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A PUBLISH came in."""

    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Delivered:
    """The broker answered our PUBLISH. ``reason`` is that of the PUBACK (MQTT 5, 3.4.2.1)."""

    epoch: int
    mid: int
    reason: int
    reason_name: str

    @property
    def refused(self) -> bool:
        """Whether the broker did not take it."""
        return self.reason >= FAILURE

    @property
    def heard(self) -> bool:
        """Whether anybody has subscribed to it; True where the broker does not say."""
        return self.reason != NO_MATCHING_SUBSCRIBERS


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """The broker accepted our CONNECT. ``resumed``: it kept the session, with what we owe it.

    ``granted`` holds all properties of an MQTT 5 CONNACK by the standard's names, such as
    ``MaximumQoS``; what is absent is as the standard's defaults have it (3.2.2.3).
    """

    epoch: int
    resumed: bool
    protocol: str
    receive_maximum: int = 65535
    max_packet_bytes: int | None = None
    granted: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The broker answered SUBSCRIBE: for each filter in order, why it was refused, or None."""

    epoch: int
    refusals: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """A connection, or the attempt at one, is over. A SetupError in it is final."""

    epoch: int
    error: AgentError | None
    retry_in_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Crashed:
    """The transport's thread met a bug."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody asks the agent to end."""

    reason: str


@dataclass(frozen=True, slots=True)
class CredentialsSeen:
    """The transport looked at its TLS files: the certificate that ends first, by ca and client.

    ``error`` says why what is in the files now is not used. ``renewed``: it is from now on, with a
    new connection.
    """

    certificates: Mapping[str, Certificate]
    error: AgentError | None = None
    renewed: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """Another thread asks for the numbers; ``answer`` takes them and returns at once."""

    answer: Callable[[JsonObject], None]


@dataclass(frozen=True, slots=True)
class Reload:
    """Somebody asks to take up what has changed on disk."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReloadEnded:
    """The loader is done and holds the result."""


@dataclass(frozen=True, slots=True)
class LossyArrived:
    """``Inbox.lossy`` is no longer empty."""


Signal = (
    Arrived
    | Delivered
    | SessionStarted
    | Subscribed
    | SessionEnded
    | Crashed
    | Stop
    | CredentialsSeen
    | Asked
    | Reload
    | ReloadEnded
    | LossyArrived
)


@dataclass
class Inbox:
    """Signals for the agent's loop. ``put`` may be called from any thread and signal handler.

    Deliveries at QoS 0 wait in ``lossy``, where the newest push out the oldest when there are too
    many of them, or too many bytes; all other signals are bounded by the windows of MQTT.
    """

    max_lossy_messages: int
    max_lossy_bytes: int = 16 << 20
    signals: queue.SimpleQueue[Signal] = field(default_factory=queue.SimpleQueue)
    dropped: int = 0
    lossy: deque[Delivery] = field(default_factory=deque)
    _lossy_bytes: int = 0
    _churn: Churn = field(default_factory=Churn)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, signal: Signal) -> None:
        """Takes a signal in."""
        if not isinstance(signal, Arrived) or signal.delivery.qos > 0:
            self.signals.put(signal)
            return
        with self._lock:
            was_empty = not self.lossy
            self.lossy.append(signal.delivery)
            self._lossy_bytes += len(signal.delivery.payload)
            while self._too_much():
                self._take_oldest()
                self.dropped += 1
        if was_empty:
            self.signals.put(LossyArrived())

    def take_lossy(self) -> Delivery:
        """The oldest delivery at QoS 0. IndexError when there is none."""
        with self._lock:
            delivery = self._take_oldest()
        self._churn.add(len(delivery.payload))
        return delivery

    def _take_oldest(self) -> Delivery:
        delivery = self.lossy.popleft()
        self._lossy_bytes -= len(delivery.payload)
        return delivery

    def _too_much(self) -> bool:
        count = len(self.lossy)
        return count > self.max_lossy_messages or (
            count > 1 and self._lossy_bytes > self.max_lossy_bytes
        )

    def get(self, timeout_s: float) -> Signal | None:
        """The next signal, or None when none comes in time."""
        try:
            signal = self.signals.get(timeout_s > 0, timeout_s)
        except queue.Empty:
            return None
        if isinstance(signal, Arrived):
            self._churn.add(len(signal.delivery.payload))
        return signal


@dataclass(frozen=True, slots=True)
class LastWill:
    """What the broker publishes, retained, when we vanish."""

    topic: str
    payload: bytes
    content_type: str


class Transport(Protocol):
    """One MQTT client identity. Methods may be called only from the agent's thread."""

    def start(self, inbox: Inbox) -> None:
        """Begins to connect, and keeps at it. Signals go into the inbox."""

    def publish(self, publication: Publication, epoch: int) -> int | None:
        """Sends at QoS 1 on that connection; the packet identifier, or None when it is over."""

    def ack(self, delivery: Delivery) -> None:
        """Sends the PUBACK of a delivery of the current epoch; drops it otherwise."""

    def subscribe(self, filters: tuple[str, ...]) -> None:
        """Subscribes at QoS 1; the answer comes as ``Subscribed``."""

    def unsubscribe(self, filters: tuple[str, ...]) -> None:
        """Ends subscriptions a resumed session still has."""

    def reconnect(self, error: AgentError) -> None:
        """Drops the connection, whose ``SessionEnded`` carries the error, and connects again."""

    def look_again(self) -> None:
        """Looks soon whether its TLS files were renewed; says so with ``CredentialsSeen``."""

    def stop(self, timeout_s: float) -> None:
        """Disconnects, keeping the session, and ends the thread; bounded."""
