"""Which parts of a text may be a value: runs of whole words, and where they stand. Pure."""

from __future__ import annotations

import re
from itertools import accumulate

WORD = re.compile(r"\w+|\s+|[^\w\s]")
"""A word, white space, or one other character. A span begins and ends where one does."""


def words(text: str) -> list[str]:
    """The parts of a text, whose concatenation is the text."""
    return WORD.findall(text)


def whole_words(text: str, most_chars: int) -> str:
    """The beginning of a text without the word that the limit would cut: half of it is another."""
    parts = WORD.finditer(text, 0, most_chars + 1)
    return text[: max((part.end() for part in parts if part.end() <= most_chars), default=0)]


def find_span(text: str, value: str) -> tuple[int, int] | None:
    """Where a run of whole words first stands in the text, half-open; None where it does not."""
    parts = words(text)
    ends = list(accumulate(map(len, parts)))
    starts, borders = [0, *ends[:-1]], set(ends)
    for start in starts:
        end = start + len(value)
        if end in borders and value and text.startswith(value, start):
            return start, end
    return None
