"""The outbox: in order, within the broker's window, and again after a reconnect."""

from __future__ import annotations

from edge_agent.acks import Entry
from edge_agent.outbox import Outbox
from edge_agent.types import Publication
from tests.unit.samples import DELIVERY, publication


class Wire:
    """Takes publications under growing packet identifiers while it is ``up``."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.up = True

    def __call__(self, one: Publication) -> int | None:
        if not self.up:
            return None
        self.sent.append(one.payload.decode())
        return len(self.sent)


def filled(count: int, window: int) -> tuple[Outbox, Wire]:
    outbox, wire = Outbox(window), Wire()
    for i in range(count):
        outbox.add(publication(i), Entry(DELIVERY, outstanding=1))
    outbox.send(wire, 0.0)
    return outbox, wire


def test_goes_out_in_order_within_the_window() -> None:
    """The window counts what has no PUBACK; each PUBACK lets the next out."""
    outbox, wire = filled(4, window=2)
    assert wire.sent == ["0", "1"]
    outbox.confirm(1)
    outbox.send(wire, 0.0)
    assert wire.sent == ["0", "1", "2"]
    assert len(outbox) == 3


def test_a_puback_settles_one_message_of_its_delivery() -> None:
    """And nothing settles before."""
    outbox, wire, entry = Outbox(9), Wire(), Entry(DELIVERY, outstanding=2)
    outbox.add(publication(), entry)
    outbox.add(publication(), entry)
    outbox.send(wire, 0.0)
    assert entry.outstanding == 2
    outbox.confirm(2)
    assert entry.outstanding == 1
    outbox.confirm(1)
    assert entry.settled
    assert len(outbox) == 0


def test_nothing_is_lost_when_publishing_fails() -> None:
    """Without a connection all of it waits, in order."""
    outbox, wire = filled(1, window=9)
    wire.up = False
    outbox.add(publication("later"))
    outbox.send(wire, 0.0)
    assert wire.sent == ["0"]
    wire.up = True
    outbox.send(wire, 0.0)
    assert wire.sent == ["0", "later"]


def test_after_a_restart_the_old_go_first_in_their_order() -> None:
    """What had no PUBACK is sent again before anything newer; what had one is not."""
    outbox, wire = filled(5, window=3)
    outbox.confirm(2)
    wire.sent.clear()
    outbox.restart(9)
    outbox.add_first(publication("birth"))
    outbox.send(wire, 0.0)
    assert wire.sent == ["birth", "0", "2", "3", "4"]


def test_a_restart_drops_what_settles_no_delivery() -> None:
    """Each connection writes birth and health anew; old ones would pile up."""
    outbox, wire = filled(1, window=1)
    outbox.add(publication("health"))
    wire.sent.clear()
    outbox.restart(9)
    outbox.send(wire, 0.0)
    assert wire.sent == ["0"]
    assert len(outbox) == 1


def test_a_restart_takes_the_new_window() -> None:
    """Each connection announces its own."""
    outbox, wire = filled(3, window=3)
    wire.sent.clear()
    outbox.restart(1)
    outbox.send(wire, 0.0)
    assert wire.sent == ["0"]


def test_knows_what_a_packet_identifier_carries() -> None:
    """Until its PUBACK; a foreign identifier carries nothing."""
    outbox, _ = filled(1, window=1)
    assert outbox.in_flight(1) == publication(0)
    assert outbox.in_flight(2) is None
    outbox.confirm(1)
    assert outbox.in_flight(1) is None


def test_the_age_of_the_oldest_without_puback() -> None:
    """Counts from the last sending, not from the first."""
    outbox, wire = Outbox(9), Wire()
    assert outbox.oldest_sent_s() is None
    for sent_s in (1.0, 2.0):
        outbox.add(publication(), Entry(DELIVERY, outstanding=1))
        outbox.send(wire, sent_s)
    assert outbox.oldest_sent_s() == 1.0
    outbox.confirm(1)
    assert outbox.oldest_sent_s() == 2.0
    outbox.restart(9)
    assert outbox.oldest_sent_s() is None
    outbox.send(wire, 5.0)
    assert outbox.oldest_sent_s() == 5.0
