"""The transport over a real network. The only importer of paho, whose exceptions stop here.

Every connection gets a client object of its own, so nothing of an earlier one (packet
identifiers, queued publishes, late callbacks) can reach into the next. Only the network thread
writes to the socket: two writers could swap packets.
"""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
import time
from typing import Any

import paho.mqtt.client as mqtt
import paho.mqtt.properties as packed
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.errors import AgentError, SetupError
from edge_agent.transport import base
from edge_agent.transport.address import (
    BrokerAddress,
    broken,
    connack_refusal,
    overrun,
    read_password,
    said_goodbye,
    unreachable,
)
from edge_agent.transport.credentials import Credentials
from edge_agent.transport.held import HeldBytes
from edge_agent.transport.retry import Retry
from edge_agent.types import Delivery, Publication

LOOP_WAIT_S = 1.0
LAST_WORDS_S = 1.0
NO_LIMIT = 65535
UNSUPPORTED_VERSION = 0x84


class PahoTransport:
    """See ``Transport``. One network thread, which also does the waiting between connections."""

    def __init__(self, address: BrokerAddress) -> None:
        packed.readUTF = _read_text
        self._address = address
        self._connection: _Connection | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._inbox = base.Inbox(1)
        self._credentials = Credentials(address, lambda s: self._inbox.put(s))  # noqa: PLW0108

    def start(self, inbox: base.Inbox) -> None:
        """Begins to connect, and keeps at it."""
        self._inbox = inbox
        self._thread.start()

    def publish(self, publication: Publication, epoch: int) -> int | None:
        """Queues a PUBLISH at QoS 1 for the network thread, unless that connection is over."""
        connection = self._connection
        current = connection is not None and connection.epoch == epoch
        return connection.publish(publication) if connection and current else None

    def ack(self, delivery: Delivery) -> None:
        """Sends the PUBACK, unless the delivery is of an earlier connection."""
        connection = self._connection
        if connection and delivery.epoch == connection.epoch and delivery.qos == 1:
            connection.ack(delivery)

    def subscribe(self, filters: tuple[str, ...]) -> None:
        """Subscribes at QoS 1; on MQTT 5 retained messages come only with a new subscription."""
        if connection := self._connection:
            connection.subscribe(filters)

    def unsubscribe(self, filters: tuple[str, ...]) -> None:
        """Ends subscriptions a resumed session still has."""
        if (connection := self._connection) and filters:
            connection.client.unsubscribe(list(filters))

    def reconnect(self, error: AgentError) -> None:
        """Drops the connection for this reason; the thread makes the next."""
        if connection := self._connection:
            connection.close(error)

    def look_again(self) -> None:
        """Has the thread look whether the TLS files were renewed."""
        self._credentials.look_again()

    def stop(self, timeout_s: float) -> None:
        """Sends what is queued and DISCONNECT; paho's own stop would wait without limit."""
        self._stopping.set()
        if connection := self._connection:
            connection.client.disconnect()
        if self._thread.is_alive():
            self._thread.join(max(timeout_s, LAST_WORDS_S))

    def _run(self) -> None:
        """The thread: connect, serve, wait, again. A bug in it becomes a signal, never silence."""
        try:
            self._keep_connected()
        except BaseException as bug:  # noqa: BLE001 - the agent's loop raises it again
            self._inbox.put(base.Crashed(bug))

    def _keep_connected(self) -> None:
        retry = Retry(self._address.protocol, self._address.max_reconnect_wait_s)
        for epoch in itertools.count(1):
            connection = _Connection(self._credentials, retry.protocol, epoch, self._inbox)
            self._connection = connection
            error = connection.serve(self._stopping)
            self._connection = None
            retry.ended(
                accepted=connection.accepted,
                version_refused=connection.version_refused,
                hung_up=connection.hung_up,
            )
            wait_s = 0.0 if error is None else retry.wait_s()
            self._inbox.put(base.SessionEnded(epoch, error, wait_s))
            if isinstance(error, SetupError) or self._stopping.wait(wait_s):
                return


class _Connection:
    """One connection. The agent's thread publishes, acks and closes; ``serve`` runs in its own."""

    def __init__(
        self, credentials: Credentials, protocol: str, epoch: int, inbox: base.Inbox
    ) -> None:
        self._address = address = credentials.address
        self._credentials = credentials
        self._renewing = False
        self.epoch = epoch
        self.accepted = self.version_refused = self.hung_up = False
        self._protocol = protocol
        self._inbox = inbox
        self._error: AgentError | None = None
        self._held = HeldBytes(address.max_packet_bytes)
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=address.client_id,
            protocol=mqtt.MQTTv5 if protocol == "5" else mqtt.MQTTv311,
            clean_session=None if protocol == "5" else address.session_expiry_s == 0,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self.client.max_inflight_messages_set(0)
        self.client.connect_timeout = address.connect_timeout_s
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = self._on_message
        self.client.on_publish = self._on_publish
        self.client.on_subscribe = self._on_subscribe
        self.client.on_socket_open = _no_delay
        # With a writer registered, publish() wakes the network thread and leaves writing to it.
        self.client.on_socket_register_write = lambda *_: None

    def publish(self, publication: Publication) -> int | None:
        properties = self._properties(
            PacketTypes.PUBLISH,
            ContentType=publication.content_type,
            CorrelationData=publication.correlation_data,
        )
        topic, payload = publication.topic, publication.payload
        info = self.client.publish(topic, payload, 1, publication.retain, properties)
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def ack(self, delivery: Delivery) -> None:
        self.client.ack(delivery.mid, 1)
        if self._held.release(len(delivery.payload)):
            self.close(overrun(self._address, self._held.overrun_bytes))

    def subscribe(self, filters: tuple[str, ...]) -> None:
        if self._protocol == "5":
            options = SubscribeOptions(qos=1, retainHandling=1)
            self.client.subscribe([(name, options) for name in filters])
        else:
            self.client.subscribe([(name, 1) for name in filters])

    def close(self, error: AgentError) -> None:
        self._error = error
        self.client.disconnect()

    def serve(self, stopping: threading.Event) -> AgentError | None:
        """Connects and runs until the connection ends. None when we ended it ourselves."""
        try:
            self._connect()
        except (SetupError, ssl.SSLCertVerificationError) as error:
            return self._credentials.refused(error)
        except OSError as error:
            return unreachable(self._address, str(error) or type(error).__name__)
        limit_s = self._address.connect_timeout_s
        deadline_s = time.monotonic() + limit_s
        while self.client.loop(LOOP_WAIT_S) == MQTTErrorCode.MQTT_ERR_SUCCESS:
            if not self.accepted and time.monotonic() > deadline_s:
                self.hung_up = True  # as good as: a broker lost in a CONNECT it does not know
                return unreachable(self._address, f"no CONNACK within {limit_s:g} s")
            if self.accepted and self._credentials.renewed():
                self._renewing = True
                self.client.disconnect()
        return None if stopping.is_set() or self._renewing else self._why_it_ended()

    def _why_it_ended(self) -> AgentError:
        self.hung_up = not self.accepted and self._error is None
        if self.hung_up:
            return unreachable(self._address, "it hung up before CONNACK")
        return self._error or broken(self._address)

    def _connect(self) -> None:
        address, version_5 = self._address, self._protocol == "5"
        no_session = address.session_expiry_s == 0
        if address.username is not None:
            self.client.username_pw_set(address.username, read_password(address.password_file))
        if address.tls:
            self.client.tls_set_context(self._credentials.context())
        if will := address.will:
            typed = self._properties(PacketTypes.WILLMESSAGE, ContentType=will.content_type)
            self.client.will_set(will.topic, will.payload, qos=1, retain=True, properties=typed)
        self.client.connect(
            address.host,
            address.port,
            address.keepalive_s,
            clean_start=no_session if version_5 else mqtt.MQTT_CLEAN_START_FIRST_ONLY,
            properties=self._properties(
                PacketTypes.CONNECT,
                SessionExpiryInterval=address.session_expiry_s,
                ReceiveMaximum=address.receive_maximum,
                MaximumPacketSize=address.max_packet_bytes,
            ),
        )

    def _properties(self, packet: int, **values: Any) -> packed.Properties | None:
        """By the standard's names; None stays away. MQTT 3.1.1 has no properties."""
        if self._protocol != "5":
            return None
        properties = packed.Properties(packet)  # type: ignore[no-untyped-call]
        for name, value in values.items():
            if value is not None:
                setattr(properties, name, value)
        return properties

    def _on_connect(self, _c: Any, _u: Any, flags: Any, reason: ReasonCode, granted: Any) -> None:
        if reason.is_failure:
            self.version_refused = reason.value == UNSUPPORTED_VERSION
            refusal = connack_refusal(self._address, reason.value, str(reason))
            self._error = self._credentials.refused(refusal)
            return
        self.accepted = True
        self._credentials.accepted()
        window = getattr(granted, "ReceiveMaximum", NO_LIMIT)
        largest = getattr(granted, "MaximumPacketSize", None)
        limits = window, largest, granted.json() if granted else {}
        resumed = flags.session_present
        self._inbox.put(base.SessionStarted(self.epoch, resumed, self._protocol, *limits))

    def _on_disconnect(self, _c: Any, _u: Any, flags: Any, reason: ReasonCode, _p: Any) -> None:
        if self._error is None and flags.is_disconnect_packet_from_server:
            self._error = said_goodbye(self._address, reason.value, str(reason))

    def _on_message(self, _c: Any, _u: Any, message: mqtt.MQTTMessage) -> None:
        given = message.properties
        delivery = Delivery(
            topic=message.topic,
            payload=bytes(message.payload),
            qos=message.qos,
            mid=message.mid,
            epoch=self.epoch,
            received_s=time.monotonic(),
            received_at_s=time.time(),
            dup=message.dup,
            retain=message.retain,
            expiry_s=getattr(given, "MessageExpiryInterval", None),
            response_topic=getattr(given, "ResponseTopic", None),
            correlation_data=getattr(given, "CorrelationData", None),
            content_type=getattr(given, "ContentType", None),
        )
        if delivery.qos == 0 or self._held.take(len(delivery.payload)):
            self._inbox.put(base.Arrived(delivery))

    def _on_publish(self, _c: Any, _u: Any, mid: int, reason: ReasonCode, _p: Any) -> None:
        self._inbox.put(base.Delivered(self.epoch, mid, reason.value, str(reason)))

    def _on_subscribe(self, _c: Any, _u: Any, _m: int, reasons: list[ReasonCode], _p: Any) -> None:
        refusals = tuple(str(reason) if reason.is_failure else None for reason in reasons)
        self._inbox.put(base.Subscribed(self.epoch, refusals))


def _no_delay(_c: Any, _u: Any, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _read_text(buffer: bytes, room_bytes: int) -> tuple[str, int]:
    """For paho's, which hangs up on U+FEFF: MQTT 5 permits it (1.5.4), and it would come again."""
    end = 2 + int.from_bytes(buffer[:2], "big")
    if room_bytes < end:
        raise packed.MalformedPacket("a cut text")  # type: ignore[attr-defined]
    return buffer[2:end].decode(), end
