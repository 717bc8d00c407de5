"""Datagrams, received on a real socket."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.systemd import Notifier, watchdog_interval_s


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Systemd's end, named in the environment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def received(listening: socket.socket) -> list[bytes]:
    """All that is there."""
    listening.setblocking(False)
    found = []
    while True:
        try:
            found.append(listening.recv(4096))
        except BlockingIOError:
            return found


def test_says_what_systemd_understands(systemd: socket.socket) -> None:
    """One assignment a datagram."""
    notifier = Notifier()
    notifier.ready()
    notifier.alive()
    notifier.status("subscribed")
    notifier.stopping()
    notifier.close()
    assert received(systemd) == [b"READY=1", b"WATCHDOG=1", b"STATUS=subscribed", b"STOPPING=1"]


def test_the_same_status_is_said_once(systemd: socket.socket) -> None:
    """Until another comes between."""
    notifier = Notifier()
    for text in ("a", "a", "b", "a"):
        notifier.status(text)
    notifier.close()
    assert received(systemd) == [b"STATUS=a", b"STATUS=b", b"STATUS=a"]


def test_an_abstract_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """``@`` stands for a leading NUL."""
    name = f"edge-agent-test-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notifier = Notifier()
        notifier.ready()
        notifier.close()
        assert received(listening) == [b"READY=1"]


def test_a_busy_systemd_does_not_stop_the_agent(systemd: socket.socket) -> None:
    """A full queue drops datagrams and never blocks."""
    notifier = Notifier()
    for _ in range(5000):
        notifier.alive()
    notifier.close()
    assert 0 < len(received(systemd)) < 5000


@pytest.mark.parametrize("address", ["", "/nowhere/notify"])
def test_silent_without_systemd(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """No address, or nobody there."""
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notifier = Notifier()
    notifier.ready()
    notifier.close()


def test_silent_when_systemd_went_away(systemd: socket.socket) -> None:
    """The file of the socket is there, nobody listens."""
    systemd.close()
    notifier = Notifier()
    notifier.alive()
    notifier.close()


@pytest.mark.parametrize(
    ("microseconds", "pid", "interval_s"),
    [
        ("60000000", None, 30.0),
        pytest.param("60000000", str(os.getpid()), 30.0, id="this process"),
        ("60000000", "1", None),
        ("", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_asked(
    monkeypatch: pytest.MonkeyPatch,
    microseconds: str | None,
    pid: str | None,
    interval_s: float | None,
) -> None:
    """And only when it is meant for this process."""
    for name, value in (("WATCHDOG_USEC", microseconds), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert watchdog_interval_s() == interval_s


def test_a_socket_that_takes_no_datagrams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody hears, and the agent goes on: systemd's own limits end a start that it never hears."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        notifier = Notifier()
        notifier.ready()
        notifier.close()
