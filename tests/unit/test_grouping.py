"""Which texts run together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.inference.grouping import PAD_MULTIPLE_TOKENS, by_length, cost, padded


def whole_cost(groups: Sequence[Sequence[int]], lengths: Sequence[int]) -> int:
    return sum(cost(len(group), padded(max(lengths[i] for i in group))) for group in groups)


def splits(items: list[int]) -> Iterator[list[list[int]]]:
    """Every way to cut a list into runs."""
    if not items:
        yield []
    for end in range(1, len(items) + 1):
        yield from ([items[:end], *rest] for rest in splits(items[end:]))


@given(st.lists(st.integers(1, 256), max_size=9))
def test_no_split_by_length_costs_less(lengths: list[int]) -> None:
    """Brute force, over every split."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    found = by_length(lengths)
    least = min(whole_cost(groups, lengths) for groups in splits(order))
    assert whole_cost(found, lengths) == least


@given(st.lists(st.integers(1, 256), max_size=40))
def test_every_text_is_in_one_group_and_short_ones_come_first(lengths: list[int]) -> None:
    found = by_length(lengths)
    assert sorted(i for group in found for i in group) == list(range(len(lengths)))
    flat = [lengths[i] for group in found for i in group]
    assert flat == sorted(flat)


def test_texts_of_nearly_one_length_run_at_once() -> None:
    """A second run would cost more than it saves."""
    assert by_length([9, 8, 10, 11]) == [[1, 0, 2, 3]]


def test_one_long_text_does_not_widen_the_short_ones() -> None:
    assert by_length([8, 60, 8]) == [[0, 2], [1]]


def test_texts_that_are_padded_alike_never_run_apart() -> None:
    assert len(by_length([5, 6, 7, 8] * 50)) == 1


@given(st.integers(1, 300))
def test_a_length_is_rounded_up(length: int) -> None:
    assert padded(length) % PAD_MULTIPLE_TOKENS == 0
    assert 0 <= padded(length) - length < PAD_MULTIPLE_TOKENS
