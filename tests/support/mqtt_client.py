"""A small MQTT 5 client for tests: publishes with PUBACK, collects in arrival order."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.support.waiting import PATIENCE_S

MAX_BACKLOG = 10_000
"""paho keeps unacknowledged publishes by packet identifier, of which there are 65535."""
MARKS = "tests/mark"
"""Below it stands what `catch_up` sends: it is not among the messages received."""


@dataclass(frozen=True)
class Received:
    """One message as it came. ``properties`` are those of MQTT 5, by paho's names."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: dict[str, Any]
    received_s: float

    @property
    def json(self) -> Any:
        """The payload, parsed."""
        return json.loads(self.payload)


@dataclass(frozen=True)
class ClientOptions:
    """How to connect. ``persistent`` keeps the session over reconnects and brokers' restarts."""

    client_id: str = ""
    username: str | None = None
    password: str | None = None
    persistent: bool = False
    window: int = 20


class MqttClient:
    """Connects at once and reconnects by itself. Use as a context manager."""

    def __init__(self, port: int, options: ClientOptions | None = None) -> None:
        self.options = options = options or ClientOptions()
        self._changed = threading.Condition()
        self._received: list[Received] = []
        self._reasons: dict[int, str] = {}
        self._pending: set[int] = set()
        self._filters: list[str] = []
        self._marks = itertools.count(1)
        self._last_mark = b""
        self.refused: str | None = None
        self._client = client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=options.client_id, protocol=mqtt.MQTTv5
        )
        client.max_inflight_messages_set(options.window)
        client.max_queued_messages_set(0)
        client.reconnect_delay_set(1, 1)
        if options.username is not None:
            client.username_pw_set(options.username, options.password)
        client.on_socket_open = _send_at_once
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        self._port = port
        self._connects = 0

    def __enter__(self) -> MqttClient:
        properties = Properties(PacketTypes.CONNECT)
        if self.options.persistent:
            properties.SessionExpiryInterval = 3600
        self._client.connect(
            "127.0.0.1",
            self._port,
            clean_start=not self.options.persistent,
            properties=properties,
        )
        self._client.loop_start()
        self.wait(lambda: self._connects > 0 or self.refused, PATIENCE_S, "connection")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, *filters: str, qos: int = 1) -> None:
        """Subscribes and waits until the broker has granted it."""
        for filter_ in filters:
            self._filters.append(filter_)
            self._subscribe(filter_, qos)
            self.wait(lambda: not self._pending, PATIENCE_S, f"SUBACK of {filter_}")

    def publish(self, topic: str, payload: bytes | str, **more: Any) -> str:
        """Publishes at QoS 1 and waits for the PUBACK. Returns its reason, ``Success`` if granted.

        ``more``: ``qos``, ``retain``, and MQTT 5 properties by paho's names.
        """
        info = self.send(topic, payload, **more)
        info.wait_for_publish(PATIENCE_S)
        assert info.is_published(), f"no PUBACK of {topic} within {PATIENCE_S} s"
        return self._reasons.get(info.mid, "Success")

    def send(self, topic: str, payload: bytes | str, **more: Any) -> mqtt.MQTTMessageInfo:
        """Publishes without waiting for the PUBACK, unless too many are without one."""
        while len(self._client._out_messages) >= MAX_BACKLOG:
            time.sleep(0.001)
        qos, retain = more.pop("qos", 1), more.pop("retain", False)
        properties = Properties(PacketTypes.PUBLISH)
        for name, value in more.items():
            setattr(properties, name, value)
        return self._client.publish(topic, payload, qos, retain, properties)

    @property
    def received(self) -> list[Received]:
        """All messages so far, in arrival order."""
        with self._changed:
            return list(self._received)

    def wait_until_acknowledged(self, timeout_s: float) -> None:
        """Until each publish sent so far has its PUBACK."""
        self.wait(lambda: not self._client._out_messages, timeout_s, "PUBACKs")

    @property
    def connects(self) -> int:
        """How often it has connected."""
        return self._connects

    def wait_until_back(self, connects: int, timeout_s: float) -> None:
        """Until it has connected more often than that, and every filter is granted."""
        self.wait(
            lambda: self._connects > connects and not self._pending, timeout_s, "the connection"
        )

    def catch_up(self) -> None:
        """Until all has come that the broker has for us: whatever it had taken before this call.

        To one client it sends in the order in which it took what it sends. A mark at QoS 1 is
        overtaken by messages at QoS 0 at the most, and overtakes none.
        """
        topic, mark = f"{MARKS}/{self.options.client_id}", str(next(self._marks)).encode()
        if topic not in self._filters:
            self.subscribe(topic)
        self.publish(topic, mark)
        self.wait(lambda: self._last_mark == mark, what="our own mark")

    def since(self, index: int) -> list[Received]:
        """The messages from this one on, counted from 0 in arrival order."""
        with self._changed:
            return self._received[index:]

    @property
    def count(self) -> int:
        """How many messages have come so far."""
        return len(self._received)

    def wait(
        self, probe: Callable[[], Any], timeout_s: float = PATIENCE_S, what: str = "condition"
    ) -> Any:
        """The first true value of ``probe``, asked after each thing that happens here."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while not (value := probe()):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    topics = [message.topic for message in self._received[-5:]]
                    raise AssertionError(
                        f"not within {timeout_s} s: {what}; {len(self._received)} messages, "
                        f"the last on {topics}"
                    )
                self._changed.wait(min(left_s, 0.5))
            return value

    def wait_for(
        self,
        matching: Callable[[Received], bool],
        timeout_s: float = PATIENCE_S,
        what: str = "message",
    ) -> Received:
        """The first message received, before or after now, that matches."""
        seen = 0

        def probe() -> Received | None:
            nonlocal seen
            fresh, seen = self._received[seen:], len(self._received)
            return next((message for message in fresh if matching(message)), None)

        found: Received = self.wait(probe, timeout_s, what)
        return found

    def wait_for_topic(self, topic: str, timeout_s: float = PATIENCE_S) -> Received:
        """The first message on exactly this topic."""
        return self.wait_for(lambda message: message.topic == topic, timeout_s, f"a {topic}")

    def _subscribe(self, filter_: str, qos: int = 1) -> None:
        options = SubscribeOptions(qos, retainHandling=SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE)
        with self._changed:
            mid = self._client.subscribe(filter_, options=options)[1]
            assert mid is not None
            self._pending.add(mid)

    def _on_connect(self, _c: Any, _u: Any, flags: Any, reason: Any, _p: Any) -> None:
        with self._changed:
            if reason.is_failure:
                self.refused = str(reason)
            elif self._connects and not flags.session_present:
                for filter_ in self._filters:
                    self._subscribe(filter_)
            self._connects += not reason.is_failure
            self._changed.notify_all()

    def _on_message(self, _c: Any, _u: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic.startswith(MARKS):
            with self._changed:
                self._last_mark = message.payload
                self._changed.notify_all()
            return
        properties = dict(vars(message.properties)) if message.properties else {}
        received = Received(
            message.topic,
            message.payload,
            message.qos,
            message.retain,
            properties,
            time.monotonic(),
        )
        with self._changed:
            self._received.append(received)
            self._changed.notify_all()

    def _on_publish(self, _c: Any, _u: Any, mid: int, reason: Any, _p: Any) -> None:
        with self._changed:
            self._reasons[mid] = str(reason)
            self._changed.notify_all()

    def _on_subscribe(self, _c: Any, _u: Any, mid: int, _reasons: Any, _p: Any) -> None:
        with self._changed:
            self._pending.discard(mid)
            self._changed.notify_all()


def _send_at_once(_c: Any, _u: Any, sock: Any) -> None:
    """Without this a publish may wait up to 40 ms for TCP to confirm the last packet."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
