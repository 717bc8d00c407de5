"""A TCP proxy that can cut every connection through it, as a failing network does."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading

from tests.support.broker import free_port

LINGER_ZERO = struct.pack("ii", 1, 0)
"""Closing with this sends a reset instead of an orderly end."""


class TcpProxy:
    """Listens on ``port`` and passes bytes both ways to ``target_port``. A context manager."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self._target_port = target_port
        self._lock = threading.Lock()
        self._open = True
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> TcpProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def shut(self) -> None:
        """Turns new connections away until ``open``."""
        self._open = False

    def open(self) -> None:
        """Lets new connections through again."""
        self._open = True

    def cut(self) -> int:
        """Resets every connection, both ways. Returns how many there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for end in (end for pair in pairs for end in pair):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
                end.shutdown(socket.SHUT_RD)
            end.close()
        return len(pairs)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                if not self._open:
                    raise ConnectionRefusedError
                far = socket.create_connection(("127.0.0.1", self._target_port), 5)
            except OSError:
                near.close()
                continue
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.append((near, far))
            threading.Thread(target=self._pass_on, args=(near, far), daemon=True).start()

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        with selectors.DefaultSelector() as selector, contextlib.suppress(OSError, ValueError):
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in selector.select(1):
                    chunk = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not chunk:
                        raise ConnectionResetError
                    key.data.sendall(chunk)
        with self._lock, contextlib.suppress(ValueError):
            self._pairs.remove((near, far))
        near.close()
        far.close()
