"""Which deliveries we still owe the broker a PUBACK. Pure; knows nothing of sockets or models.

PUBACKs go out in the order of arrival [MQTT-4.6.0-2], each once, only on the connection that
brought the delivery. When a connection ends, what is unacknowledged is set aside: a resumed
session sends it again, marked DUP, and the entry takes up where it was, so that no work is done
twice. A new session starts empty, because its packet identifiers mean other messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge_agent.types import Delivery


@dataclass(slots=True, eq=False)
class Entry:
    """One delivery in hand. ``outstanding`` counts its messages whose result has no PUBACK yet."""

    delivery: Delivery
    outstanding: int = 0

    @property
    def settled(self) -> bool:
        """Everything that came of it is with the broker."""
        return self.outstanding == 0


class AckLedger:
    """See the module. Entries of QoS 0 deliveries are handed out but not kept: nothing is owed."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._set_aside: dict[int, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def arrive(self, delivery: Delivery) -> Entry | None:
        """The entry to work on, or None when this is a redelivery of one already in hand."""
        if delivery.qos == 0:
            return Entry(delivery)
        known = self._set_aside.pop(delivery.mid, None) or self._entries.get(delivery.mid)
        if known and delivery.dup and _same(known.delivery, delivery):
            known.delivery = delivery
            self._entries[delivery.mid] = known
            return None
        entry = Entry(delivery)
        self._entries.pop(delivery.mid, None)
        self._entries[delivery.mid] = entry
        return entry

    def session_started(self, *, resumed: bool) -> None:
        """A new connection: nothing can be acknowledged until it is delivered again."""
        self._set_aside = {**self._set_aside, **self._entries} if resumed else {}
        self._entries = {}

    def release(self) -> Iterator[Delivery]:
        """Takes out the deliveries to acknowledge now: the settled ones at the head."""
        while self._entries:
            mid, entry = next(iter(self._entries.items()))
            if not entry.settled:
                return
            del self._entries[mid]
            yield entry.delivery


def _same(one: Delivery, other: Delivery) -> bool:
    return one.topic == other.topic and one.payload == other.payload
