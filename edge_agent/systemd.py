"""Datagrams to systemd: readiness, status, watchdog. Silent where systemd did not start us."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Speaks sd_notify(3); needs no library."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(0)
        self._status = ""

    def ready(self) -> None:
        """The agent works."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The agent begins to stop."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``; sent only when it changes."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def alive(self) -> None:
        """Feeds the watchdog."""
        self._send("WATCHDOG=1")

    def close(self) -> None:
        """Gives the socket back."""
        self._socket.close()

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError:
            return  # systemd is busy, gone or closed to us; the next datagram tries again


def watchdog_interval_s() -> float | None:
    """How often to feed the watchdog: half of what systemd asks; None when it asks for none."""
    wanted_us = os.environ.get("WATCHDOG_USEC", "")
    meant_for = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not wanted_us.isdigit() or meant_for != str(os.getpid()):
        return None
    return int(wanted_us) / 2e6
