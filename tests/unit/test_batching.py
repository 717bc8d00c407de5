"""When a batch closes: by count, by characters, by the wait of its oldest message."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.batching import Batcher


def batcher(
    messages: int = 3, chars: int = 100, wait_ms: int = 50, items: list[int] | None = None
) -> Batcher[int]:
    """Holds items of these lengths, each its own index, added at time 0."""
    made: Batcher[int] = Batcher(messages, chars, wait_ms)
    for i, length in enumerate(items or []):
        made.add(i, length, 0.0)
    return made


def test_nothing_waits_nothing_is_due() -> None:
    """An empty batcher never wakes anybody."""
    assert batcher().due_in_s(9.0) is None
    assert batcher().take() == []


def test_a_full_batch_is_due_at_once() -> None:
    """By count or by characters."""
    assert batcher(items=[1, 1]).due_in_s(0.0) == 0.05
    assert batcher(items=[1, 1, 1]).due_in_s(0.0) == 0
    assert batcher(items=[60, 39]).due_in_s(0.0) == 0.05
    assert batcher(items=[60, 40]).due_in_s(0.0) == 0


def test_the_oldest_sets_the_wait() -> None:
    """Later ones do not prolong it, and it never turns negative."""
    made = batcher(items=[1])
    made.add(1, 1, 0.04)
    assert round(made.due_in_s(0.04) or 0, 6) == 0.01
    assert made.due_in_s(7.0) == 0


def test_without_a_wait_one_message_is_due() -> None:
    """The default: a lone message goes at once."""
    assert batcher(wait_ms=0, items=[1]).due_in_s(0.0) == 0


def test_the_wait_starts_anew_with_the_rest() -> None:
    """After a batch the next oldest counts."""
    made = batcher(messages=1, items=[1])
    made.add(1, 1, 0.04)
    made.take()
    made.max_messages = 9
    assert round(made.due_in_s(0.05) or 0, 6) == 0.04


def test_a_message_above_the_limit_of_characters_goes_alone() -> None:
    """It is not held for ever."""
    made = batcher(items=[1000, 1])
    assert made.take() == [0]
    assert made.take() == [1]


@given(st.lists(st.integers(0, 30), max_size=30), st.integers(1, 5), st.integers(1, 40))
def test_batches_keep_order_and_limits(lengths: list[int], messages: int, chars: int) -> None:
    """All items come out once, in order, in batches that are within the limits or of one item."""
    made = batcher(messages, chars, items=lengths)
    batches = []
    while len(made):
        batches.append(made.take())
    assert [i for batch in batches for i in batch] == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= messages
        assert len(batch) == 1 or sum(lengths[i] for i in batch) <= chars
    assert made.due_in_s(0.0) is None


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30))
def test_the_count_of_characters_stays_right(lengths: list[int]) -> None:
    """After taking, a batch is due by characters exactly when the rest has enough of them."""
    made = batcher(4, 40, items=lengths)
    rest = lengths[len(made.take()) :]
    full = len(rest) >= 4 or sum(rest) >= 40
    assert (made.due_in_s(0.0) == 0) is full
