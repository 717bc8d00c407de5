"""The page that Prometheus reads. A thread of its own, which asks the agent's loop for the numbers.

One scrape at a time; nothing here touches the agent but a signal in its inbox, so that a slow
reader delays nobody but the next reader.
"""

from __future__ import annotations

import errno
import queue
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from edge_agent.errors import ConfigError
from edge_agent.exposition import CONTENT_TYPE, exposition
from edge_agent.transport.base import Asked, Inbox
from edge_agent.types import JsonObject

PATH = "/metrics"
FREEBIND: dict[int, tuple[int, int]] = {
    socket.AF_INET: (socket.SOL_IP, 15),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 78),
}
"""IP_FREEBIND and IPV6_FREEBIND of Linux, which Python has no names for: ip(7), ipv6(7)."""
MAX_ANSWER_WAIT_S = 5.0
MAX_READER_WAIT_S = 5.0
MAX_END_WAIT_S = 1.0


class Exporter(HTTPServer):
    """Serves from ``start`` until ``close``. ConfigError when the address cannot be had."""

    request_queue_size = 5

    def __init__(self, host: str, port: int, inbox: Inbox) -> None:
        self._inbox = inbox
        self._answers: queue.SimpleQueue[JsonObject] = queue.SimpleQueue()
        self._asked = False
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._thread = threading.Thread(target=self.serve_forever, name="metrics", daemon=True)
        try:
            super().__init__((host, port), _Reader)
        except OSError as error:
            raise _not_to_be_had(host, port, error) from error

    def start(self) -> None:
        """Begins to serve."""
        self._thread.start()

    def close(self) -> None:
        """Gives the port back; a reader being served is waited for, but not for long."""
        threading.Thread(target=self.shutdown, daemon=True).start()
        self._thread.join(MAX_END_WAIT_S)
        self.server_close()

    def numbers(self) -> JsonObject | None:
        """Asks the loop. None when it does not answer in time; then the question still stands."""
        if not self._asked:
            self._asked = True
            self._inbox.put(Asked(self._answers.put))
        try:
            numbers = self._answers.get(timeout=MAX_ANSWER_WAIT_S)
        except queue.Empty:
            return None
        self._asked = False
        return numbers

    def server_bind(self) -> None:
        """Without the base class's look-up of our own name, which may ask a name server.

        The address may be one that the machine gets later: at boot the network is not up yet.
        """
        self.socket.setsockopt(*FREEBIND[self.address_family], 1)
        super(HTTPServer, self).server_bind()
        self.server_name, self.server_port = "", int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that hung up is nobody's trouble; all else is a bug, and is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Reader(BaseHTTPRequestHandler):
    server: Exporter
    timeout = MAX_READER_WAIT_S
    server_version = "edge-agent"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self._say(404, f"see {PATH}\n")
        elif (numbers := self.server.numbers()) is None:
            self._say(503, f"the agent has not answered within {MAX_ANSWER_WAIT_S:g} s\n")
        else:
            self._say(200, exposition(numbers))

    def _say(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE if status == 200 else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Scrapes are no news."""


def _not_to_be_had(host: str, port: int, error: OSError) -> ConfigError:
    fix = "set metrics.host to an address of this machine, and metrics.port from 1024 up"
    if error.errno == errno.EADDRINUSE:
        fix = (
            f"see who listens there with `ss -ltnp 'sport = :{port}'`, or set another metrics.port"
        )
    return ConfigError(f"metrics {host}:{port}: {error.strerror or error}", fix)
