"""Which deliveries we still owe the broker a PUBACK. Pure; knows nothing of sockets or models.

PUBACKs go out in the order of arrival [MQTT-4.6.0-2], each once, only on the connection that
brought the delivery. When a connection ends, what is unacknowledged is set aside: a resumed
session sends it again, marked DUP, and the entry takes up where it was, so that no work is done
twice. A new session starts empty, because its packet identifiers mean other messages.

Some brokers give each message the lowest free packet identifier, so that a message equal to an
earlier one looks like that delivered twice. ``Delivery.repeat`` tells them apart: it counts how
often this packet identifier has brought the same bytes and been acknowledged before, whatever came
in between, as far back as ``REMEMBERED_ACKS``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from edge_agent.types import Delivery

REMEMBERED_ACKS = 1024


@dataclass(slots=True, eq=False)
class Entry:
    """One delivery in hand. ``outstanding`` counts its messages whose result has no PUBACK yet.

    ``rejected``: one of its messages has become a dead letter or an error reply.
    """

    delivery: Delivery
    outstanding: int = 0
    rejected: bool = False

    @property
    def settled(self) -> bool:
        """Everything that came of it is with the broker."""
        return self.outstanding == 0


class AckLedger:
    """See the module. Entries of QoS 0 deliveries are handed out but not kept: nothing is owed."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._set_aside: dict[int, Entry] = {}
        self._acked: OrderedDict[int, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def arrive(self, delivery: Delivery) -> Entry | None:
        """The entry to work on, or None when this is a redelivery of one already in hand."""
        if delivery.qos == 0:
            return Entry(delivery)
        known = self._set_aside.pop(delivery.mid, None) or self._entries.get(delivery.mid)
        if known and delivery.dup and _same(known.delivery, delivery):
            known.delivery = replace(delivery, repeat=known.delivery.repeat)
            self._entries[delivery.mid] = known
            return None
        entry = Entry(self._counted(delivery))
        self._entries.pop(delivery.mid, None)
        self._entries[delivery.mid] = entry
        return entry

    def oldest_received_s(self) -> float | None:
        """When the oldest delivery in hand came."""
        return next((entry.delivery.received_s for entry in self._entries.values()), None)

    def session_started(self, *, resumed: bool) -> None:
        """A new connection: nothing can be acknowledged until it is delivered again."""
        self._set_aside = {**self._set_aside, **self._entries} if resumed else {}
        self._entries = {}
        if not resumed:
            self._acked.clear()

    def release(self) -> Iterator[Delivery]:
        """Takes out the deliveries to acknowledge now: the settled ones at the head."""
        while self._entries:
            mid, entry = next(iter(self._entries.items()))
            if not entry.settled:
                return
            del self._entries[mid]
            self._remember(entry.delivery)
            yield entry.delivery

    def _counted(self, delivery: Delivery) -> Delivery:
        repeat = self._acked.get(_look(delivery))
        if repeat is None:
            return delivery
        return replace(delivery, repeat=repeat if delivery.dup else repeat + 1)

    def _remember(self, delivery: Delivery) -> None:
        look = _look(delivery)
        self._acked[look] = delivery.repeat
        self._acked.move_to_end(look)
        if len(self._acked) > REMEMBERED_ACKS:
            self._acked.popitem(last=False)


def _look(delivery: Delivery) -> int:
    """What a redelivery of it would look like."""
    return hash((delivery.mid, delivery.topic, delivery.payload))


def _same(one: Delivery, other: Delivery) -> bool:
    return one.topic == other.topic and one.payload == other.payload
