"""What may be in hand unacknowledged, and when the connection must end to be rid of the rest."""

from __future__ import annotations

import pytest

from edge_agent.transport.held import DELIVERY_BYTES, HeldBytes


def test_within_the_limit_everything_is_kept() -> None:
    """And an acknowledgement makes room."""
    held = HeldBytes(2 * (DELIVERY_BYTES + 10))
    assert held.take(10)
    assert held.take(10)
    assert not held.release(10)
    assert held.take(10)


def test_beyond_it_all_is_let_go_until_the_rest_is_acknowledged() -> None:
    """Then the connection should end, once; what came in between would come again on the next."""
    held = HeldBytes(2 * DELIVERY_BYTES)
    assert held.take(0)
    assert held.take(0)
    assert not held.take(0)
    assert not held.release(0)
    assert not held.take(0)
    assert held.release(0)
    assert held.overrun_bytes == 3 * DELIVERY_BYTES


def test_empty_messages_count_too() -> None:
    """A flood of small ones fills memory, and packet identifiers, as surely as large ones."""
    held = HeldBytes(16 << 20)
    kept = sum(held.take(0) for _ in range(65_535))
    assert kept == (16 << 20) // DELIVERY_BYTES


@pytest.mark.parametrize("size", [1 << 20, 1 << 28])
def test_one_that_comes_alone_may_have_any_size(size: int) -> None:
    """Else it would come again for ever."""
    assert HeldBytes(1024).take(size)
