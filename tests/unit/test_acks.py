"""The ledger: PUBACKs in order of arrival, once, and only on the connection that delivered."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_agent.acks import AckLedger, Entry
from edge_agent.types import Delivery
from tests.unit.samples import delivery

MIDS = 3
"""Few, so that packet identifiers are used again and again."""


def arrive(ledger: AckLedger, mid: int, *, outstanding: int = 1, **changes: Any) -> Entry:
    entry = ledger.arrive(delivery(f"message {mid}", mid=mid, **changes))
    assert entry is not None
    entry.outstanding = outstanding
    return entry


def released(ledger: AckLedger) -> list[tuple[int, int]]:
    """(epoch, packet identifier) of each PUBACK due now."""
    return [(one.epoch, one.mid) for one in ledger.release()]


def test_what_is_not_settled_is_not_acknowledged() -> None:
    """An entry with messages outstanding stays; the last PUBACK of its results lets it go."""
    ledger = AckLedger()
    entry = arrive(ledger, 1, outstanding=2)
    entry.outstanding -= 1
    assert released(ledger) == []
    entry.outstanding -= 1
    assert released(ledger) == [(1, 1)]


def test_acks_follow_the_order_of_arrival() -> None:
    """A settled entry waits for those that arrived before it."""
    ledger = AckLedger()
    first, second, third = (arrive(ledger, mid) for mid in (7, 3, 5))
    second.outstanding = third.outstanding = 0
    assert released(ledger) == []
    first.outstanding = 0
    assert released(ledger) == [(1, 7), (1, 3), (1, 5)]


def test_each_is_acknowledged_once() -> None:
    """What was released is gone."""
    ledger = AckLedger()
    arrive(ledger, 1, outstanding=0)
    assert released(ledger) == [(1, 1)]
    assert released(ledger) == []
    assert len(ledger) == 0


def test_qos_0_owes_nothing() -> None:
    """A QoS 0 delivery gets an entry of its own each time, and never a PUBACK."""
    ledger = AckLedger()
    arrive(ledger, 0, qos=0, outstanding=0)
    arrive(ledger, 0, qos=0, outstanding=0)
    assert len(ledger) == 0
    assert released(ledger) == []


def test_nothing_of_an_ended_connection_is_acknowledged() -> None:
    """Settled but not acknowledged in time: it waits to be delivered again."""
    ledger = AckLedger()
    entry = arrive(ledger, 1)
    ledger.session_started(resumed=True)
    entry.outstanding = 0
    assert released(ledger) == []


def test_a_redelivery_takes_up_where_it_was() -> None:
    """No second entry to work on, and the PUBACK is for the new connection."""
    ledger = AckLedger()
    entry = arrive(ledger, 1)
    ledger.session_started(resumed=True)
    again = replace(entry.delivery, epoch=2, dup=True)
    assert ledger.arrive(again) is None
    assert released(ledger) == []
    entry.outstanding = 0
    assert released(ledger) == [(2, 1)]


def test_redeliveries_are_acknowledged_in_their_new_order() -> None:
    """The order is that of arrival on the present connection."""
    ledger = AckLedger()
    first, second = arrive(ledger, 1, outstanding=0), arrive(ledger, 2, outstanding=0)
    ledger.session_started(resumed=True)
    for entry in (second, first):
        ledger.arrive(replace(entry.delivery, epoch=2, dup=True))
    assert released(ledger) == [(2, 2), (2, 1)]


def test_a_connection_lost_before_the_redelivery_forgets_nothing() -> None:
    """Two reconnects in a row: what was set aside at the first is still known."""
    ledger = AckLedger()
    entry = arrive(ledger, 1)
    ledger.session_started(resumed=True)
    ledger.session_started(resumed=True)
    assert ledger.arrive(replace(entry.delivery, epoch=3, dup=True)) is None


def test_a_new_session_starts_empty() -> None:
    """Its packet identifiers mean other messages: even an equal one is worked on anew."""
    ledger = AckLedger()
    old = arrive(ledger, 1, outstanding=0)
    ledger.session_started(resumed=False)
    assert released(ledger) == []
    new = ledger.arrive(replace(old.delivery, epoch=2, dup=True))
    assert new is not None
    assert new is not old


def test_a_reused_packet_identifier_is_a_new_message() -> None:
    """Without DUP, or with other bytes or topic, it is not the one set aside."""
    for changes in ({"dup": False}, {"payload": b"other"}, {"topic": "site/b"}):
        ledger = AckLedger()
        old = arrive(ledger, 1)
        ledger.session_started(resumed=True)
        again = replace(old.delivery, **{"epoch": 2, "dup": True, **changes})  # type: ignore[arg-type]
        new = ledger.arrive(again)
        assert new is not None, changes
        assert new is not old, changes


def test_a_packet_identifier_used_again_in_between_is_not_confused() -> None:
    """The older of two messages under one identifier is gone for good."""
    ledger = AckLedger()
    old = arrive(ledger, 1)
    ledger.session_started(resumed=True)
    new = ledger.arrive(delivery("other", mid=1, epoch=2))
    assert new is not None
    new.outstanding = 0
    old.outstanding = 0
    assert [one.payload for one in ledger.release()] == [b"other"]


def test_a_packet_identifier_used_again_on_one_connection_takes_its_new_place() -> None:
    """No broker should; the newer message is acknowledged after those that came before it."""
    ledger = AckLedger()
    arrive(ledger, 1, outstanding=0)
    arrive(ledger, 2, outstanding=0)
    ledger.arrive(delivery("newer", mid=1))
    assert released(ledger) == [(1, 2), (1, 1)]


def test_an_equal_message_after_an_acknowledged_redelivery_is_worked_on() -> None:
    """It was lost on the way, so that it too comes marked DUP for the first time we see it."""
    ledger = AckLedger()
    first = arrive(ledger, 1, outstanding=0)
    ledger.session_started(resumed=True)
    assert ledger.arrive(replace(first.delivery, epoch=2, dup=True)) is None
    assert released(ledger) == [(2, 1)]
    ledger.session_started(resumed=True)
    assert ledger.arrive(replace(first.delivery, epoch=3, dup=True)) is not None


def test_equal_messages_under_one_packet_identifier_are_counted() -> None:
    """Some brokers use the lowest free identifier: a new one differs, a redelivery does not."""
    ledger = AckLedger()
    repeats = []
    for dup in (False, False, True, False):
        entry = ledger.arrive(delivery("ok", mid=1, dup=dup))
        assert entry is not None
        repeats.append(entry.delivery.repeat)
        assert len(list(ledger.release())) == 1
    assert repeats == [0, 1, 1, 2]
    other = ledger.arrive(delivery("other", mid=1))
    assert other is not None
    assert other.delivery.repeat == 0


def test_equal_messages_with_others_in_between_are_counted() -> None:
    """As of a door that opens and shuts: each time is an event of its own, with its own id."""
    ledger = AckLedger()
    repeats = []
    for text in ("open", "shut", "open", "shut", "open"):
        entry = ledger.arrive(delivery(text, mid=1))
        assert entry is not None
        repeats.append(entry.delivery.repeat)
        assert len(list(ledger.release())) == 1
    assert repeats == [0, 0, 1, 1, 2]


class BrokerModel(RuleBasedStateMachine):
    """A simple broker that sends in order, and again after a reconnect, beside the ledger.

    ``unacked`` is what the broker has sent and has no PUBACK for; each text is sent once by its
    author, so that working on a text twice while it is in hand shows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ledger = AckLedger()
        self.epoch = 1
        self.texts = 0
        self.unacked: dict[int, Delivery] = {}
        self.to_resend: deque[Delivery] = deque()
        self.in_hand: dict[bytes, Entry] = {}
        self.arrived: list[int] = []

    @precondition(lambda self: not self.to_resend and len(self.unacked) < MIDS)
    @rule(outstanding=st.integers(0, 2), repeat=st.booleans())
    def send(self, outstanding: int, repeat: bool) -> None:
        """A new message under any free identifier; its bytes may be those of an older one."""
        mid = next(m for m in range(1, MIDS + 1) if m not in self.unacked)
        self.texts += not repeat
        one = delivery(f"{mid} {self.texts}", mid=mid, epoch=self.epoch)
        if one.payload in self.in_hand:
            return
        self.unacked[mid] = one
        self._take(one, outstanding)

    @precondition(lambda self: not self.to_resend and len(self.unacked) < MIDS)
    @rule(repeat=st.booleans())
    def send_into_the_void(self, repeat: bool) -> None:
        """The connection breaks before it arrives: its first arrival will be marked DUP."""
        mid = next(m for m in range(1, MIDS + 1) if m not in self.unacked)
        self.texts += not repeat
        one = delivery(f"{mid} {self.texts}", mid=mid, epoch=self.epoch)
        if one.payload not in self.in_hand:
            self.unacked[mid] = one
            self.reconnect()

    @precondition(lambda self: self.to_resend)
    @rule(outstanding=st.integers(0, 2))
    def resend(self, outstanding: int) -> None:
        """The next of those without a PUBACK, marked DUP."""
        one = replace(self.to_resend.popleft(), epoch=self.epoch, dup=True)
        self.unacked[one.mid] = one
        self._take(one, outstanding)

    @precondition(lambda self: self.in_hand)
    @rule(data=st.data())
    def settle_one(self, data: st.DataObject) -> None:
        """One message of a delivery gets the PUBACK of its result."""
        entry = self.in_hand[data.draw(st.sampled_from(sorted(self.in_hand)))]
        entry.outstanding -= entry.outstanding > 0

    @rule()
    def release(self) -> None:
        """Every PUBACK is due, current, in order; and none that is due is left out."""
        due = []
        for mid in self.arrived:
            if not self.in_hand[self.unacked[mid].payload].settled:
                break
            due.append(mid)
        for one, mid in zip(self.ledger.release(), due, strict=True):
            assert (one.mid, one.epoch) == (mid, self.epoch)
            del self.in_hand[self.unacked.pop(mid).payload]
            self.arrived.remove(mid)

    @rule()
    def reconnect(self) -> None:
        """The broker kept the session: all without a PUBACK will come again, in order."""
        self.epoch += 1
        self.to_resend = deque(self.unacked.values())
        self.arrived = []
        self.ledger.session_started(resumed=True)

    @rule()
    def new_session(self) -> None:
        """The broker knows nothing any more, and counts from 1."""
        self.epoch += 1
        self.unacked, self.in_hand, self.arrived = {}, {}, []
        self.to_resend.clear()
        self.ledger.session_started(resumed=False)

    @invariant()
    def holds_what_arrived(self) -> None:
        """On this connection, neither more nor less."""
        assert len(self.ledger) == len(self.arrived)

    def _take(self, one: Delivery, outstanding: int) -> None:
        entry = self.ledger.arrive(one)
        self.arrived.append(one.mid)
        if one.payload in self.in_hand:
            assert entry is None, "worked on twice"
        else:
            assert entry is not None, "never worked on"
            entry.outstanding = outstanding
            self.in_hand[one.payload] = entry


BrokerModel.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLedgerAgainstBroker = BrokerModel.TestCase
