"""Publications on their way to the broker, in order, within its window. Pure; sends nothing.

A publication stays here until the broker's PUBACK. After a reconnect every one without a PUBACK
is sent again, in the same order, before anything newer. What settles no delivery (our own state
and health) is not: every connection writes it anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from edge_agent.acks import Entry
from edge_agent.types import Publication


@dataclass(slots=True, eq=False)
class Parcel:
    """A publication and the delivery it settles (None for our own state and health)."""

    publication: Publication
    entry: Entry | None = None


@dataclass
class Outbox:
    """See the module."""

    window: int = 1
    _waiting: deque[Parcel] = field(default_factory=deque)
    _in_flight: dict[int, tuple[Parcel, float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_flight)

    def add(self, publication: Publication, entry: Entry | None = None) -> None:
        """Takes a publication in; its PUBACK settles one message of the delivery."""
        self._waiting.append(Parcel(publication, entry))

    def add_first(self, publication: Publication) -> None:
        """Takes a publication in that goes out before all that waits."""
        self._waiting.appendleft(Parcel(publication))

    def send(self, publish: Callable[[Publication], int | None], now_s: float) -> None:
        """Publishes what the window lets out, until ``publish`` gives no packet identifier."""
        while self._waiting and len(self._in_flight) < self.window:
            parcel = self._waiting[0]
            mid = publish(parcel.publication)
            if mid is None:
                return
            self._waiting.popleft()
            self._in_flight[mid] = (parcel, now_s)

    def confirm(self, mid: int) -> None:
        """The broker has it: settles one message of its delivery."""
        parcel, _ = self._in_flight.pop(mid)
        if parcel.entry is not None:
            parcel.entry.outstanding -= 1

    def in_flight(self, mid: int) -> Publication | None:
        """What was sent under this packet identifier and has no PUBACK yet."""
        parcel, _ = self._in_flight.get(mid, (None, 0.0))
        return parcel.publication if parcel else None

    def restart(self, window: int) -> None:
        """A new connection: all that was in flight waits again, oldest first."""
        self.window = window
        parcels = [parcel for parcel, _ in self._in_flight.values()] + list(self._waiting)
        self._waiting = deque(parcel for parcel in parcels if parcel.entry is not None)
        self._in_flight.clear()

    def oldest_sent_s(self) -> float | None:
        """When the oldest publication without a PUBACK was sent."""
        return next((sent_s for _, sent_s in self._in_flight.values()), None)
