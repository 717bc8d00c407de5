"""How many bytes one connection has brought that are not acknowledged yet. Knows no sockets.

Receive Maximum is not enough: Mosquitto 2.0.11, with a backlog, answers every PUBACK with another
full window, and soon has more in flight than there are packet identifiers.

From when a broker overruns the limit, what comes is let go; once all before it is acknowledged
the connection should end, and the next one brings it again. Ending at once would meet the same
overrun again, for ever.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

DELIVERY_BYTES = 4096
"""What a delivery costs us beside its payload, about: its objects, and its event in the outbox."""


@dataclass
class HeldBytes:
    """Counted by two threads. ``overrun_bytes`` is what would have been held, 0 until then."""

    limit_bytes: int
    overrun_bytes: int = 0
    _held_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, size_bytes: int) -> bool:
        """Whether to keep a delivery with a payload of this size.

        One that comes alone may have any size: none must block the rest.
        """
        with self._lock:
            wanted_bytes = self._held_bytes + size_bytes + DELIVERY_BYTES
            if self._held_bytes and wanted_bytes > self.limit_bytes and not self.overrun_bytes:
                self.overrun_bytes = wanted_bytes
            if self.overrun_bytes:
                return False
            self._held_bytes = wanted_bytes
            return True

    def release(self, size_bytes: int) -> bool:
        """After an acknowledgement: whether the connection should end now."""
        with self._lock:
            self._held_bytes -= size_bytes + DELIVERY_BYTES
            return self.overrun_bytes > 0 and self._held_bytes <= 0
