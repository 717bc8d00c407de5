"""Which texts run together: padding costs as much as text, and so does every run. Pure."""

from __future__ import annotations

from collections.abc import Sequence

PAD_MULTIPLE_TOKENS = 4
"""Lengths are rounded up to it, so that few shapes reach the session."""
RUN_TOKENS = 6
"""A run of the session costs as much as so many tokens: measured, 3 at a width of 640, 8 at 384."""


def padded(length: int) -> int:
    """Rounded up, in tokens."""
    return -(-length // PAD_MULTIPLE_TOKENS) * PAD_MULTIPLE_TOKENS


def by_length(lengths: Sequence[int]) -> list[list[int]]:
    """Indices of the texts, group by group, the shortest first: the split that costs least."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    widths = [padded(lengths[i]) for i in order]
    cuts = [i for i in range(1, len(order)) if widths[i] > widths[i - 1]]
    ends = [*cuts, len(order)] if order else []
    return [order[start:end] for start, end in _cheapest(ends, [widths[e - 1] for e in ends])]


def cost(texts: int, width: int) -> int:
    """Of one run, in tokens."""
    return RUN_TOKENS + texts * width


def _cheapest(ends: Sequence[int], widths: Sequence[int]) -> list[tuple[int, int]]:
    """Slices that end at some of ``ends``; texts before ``ends[j]`` are ``widths[j]`` wide at most.

    ``least[j]`` is what the texts before ``starts[j]`` cost, ``back[j]`` where their last
    run starts.
    """
    starts = [0, *ends]
    least, back = [0], [0]
    for j, width in enumerate(widths):
        whole = [least[i] + cost(ends[j] - starts[i], width) for i in range(j + 1)]
        least.append(min(whole))
        back.append(whole.index(least[-1]))
    slices, j = [], len(ends)
    while j:
        slices.append((starts[back[j]], starts[j]))
        j = back[j]
    return slices[::-1]
