"""A broker of few words that keeps none of MQTT's promises: what Mosquitto cannot be made to do.

Speaks as much of MQTT 5 as the doctor's visits need.
"""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from dataclasses import dataclass, field

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 12, 14
CONNACK, PUBACK, SUBACK, PINGRESP = 0x20, 0x40, 0x90, 0xD0
UNSUPPORTED_VERSION = 0x84

MAXIMUM_QOS = b"\x24"
RETAIN_AVAILABLE = b"\x25"
MAXIMUM_PACKET_SIZE = b"\x27"
WILDCARDS_AVAILABLE = b"\x28"
SHARED_AVAILABLE = b"\x2a"
SESSION_EXPIRY = b"\x11"
NO = b"\x00"


@dataclass
class StubBroker:
    """A context manager. Remembers no session; forwards without any window.

    ``properties`` are those of the CONNACK, encoded; ``reason`` its reason code; ``suback`` the
    answer to each filter, None to hang up on whoever subscribes; ``echoes`` whether it forwards;
    ``keeps`` whether the next to connect gets what was published before.
    """

    properties: bytes = b""
    reason: int = 0
    suback: int | None = 1
    puback: int = 0
    session_present: bool = False
    echoes: bool = True
    keeps: bool = False
    kept: list[bytes] = field(default_factory=list)
    subscribers: list[tuple[bytes, socket.socket]] = field(default_factory=list)

    def __enter__(self) -> StubBroker:
        stub = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                while packet := read_packet(self.request):
                    if not stub.answer(self.request, *packet):
                        return

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self._server.server_address[1])

    def answer(self, client: socket.socket, kind: int, body: bytes) -> bool:
        """Answers one packet; whether the connection goes on."""
        if kind == CONNECT:
            head = bytes([self.session_present, self.reason, len(self.properties)])
            send(client, CONNACK, head + self.properties)
            while self.kept:
                send(client, 0x32, self.kept.pop())
            return self.reason == 0
        if kind == SUBSCRIBE:
            return self._subscribe(client, body)
        if kind == PUBLISH:
            self._publish(client, body)
        elif kind == PINGREQ:
            send(client, PINGRESP, b"")
        return kind != DISCONNECT

    def _subscribe(self, client: socket.socket, body: bytes) -> bool:
        if self.suback is None:
            return False
        at, answers = 3 + body[2], b""
        while at < len(body):
            (size,) = struct.unpack_from("!H", body, at)
            self.subscribers.append((body[at + 2 : at + 2 + size], client))
            at, answers = at + 3 + size, answers + bytes([self.suback])
        send(client, SUBACK, body[:2] + b"\x00" + answers)
        return True

    def _publish(self, client: socket.socket, body: bytes) -> None:
        (size,) = struct.unpack_from("!H", body)
        topic, mid = body[2 : 2 + size], body[2 + size : 4 + size]
        send(client, PUBACK, mid + bytes([self.puback, 0]))
        wanted = [other for name, other in self.subscribers if name == topic and self.echoes]
        self.kept += [body] if self.keeps else []
        for other in wanted:
            send(other, 0x32, body)


def send(client: socket.socket, first: int, body: bytes) -> None:
    """One packet of fewer than 16,384 bytes."""
    size = len(body)
    length = bytes([size]) if size < 128 else bytes([size % 128 | 0x80, size // 128])
    client.sendall(bytes([first]) + length + body)


def read_packet(client: socket.socket) -> tuple[int, bytes] | None:
    """Type and body of the next packet, None when there is no more."""
    first = client.recv(1)
    if not first:
        return None
    size = shift = 0
    while True:
        (byte,) = client.recv(1)
        size, shift = size | (byte & 0x7F) << shift, shift + 7
        if not byte & 0x80:
            break
    body = b""
    while len(body) < size and (more := client.recv(size - len(body))):
        body += more
    return first[0] >> 4, body
