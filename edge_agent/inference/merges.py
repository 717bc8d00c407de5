"""Byte pair merges from sorted arrays: a tenth of what a hash map of them takes. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np

GONE = -1

Merge = tuple[str, str] | str
"""Two pieces, or both in one string with a space between them."""
Due = tuple[int, int, int, int]
"""Rank, place of the left token, the pair, and what becomes of it."""


@dataclass(frozen=True, slots=True)
class Merges:
    """Which two tokens become one. ``pairs`` rise. In a word the lowest rank goes first."""

    pairs: array[int]  # left << 32 | right
    ranks: array[int]
    made: array[int]

    @classmethod
    def of(cls, merges: Sequence[Merge], vocabulary: Mapping[str, int]) -> Merges:
        """Of pieces, the first merge ranks lowest. KeyError when the vocabulary lacks a piece."""
        pairs, made = np.empty(len(merges), np.uint64), np.empty(len(merges), np.uint32)
        for rank, merge in enumerate(merges):
            left, right = merge.split(" ") if isinstance(merge, str) else merge
            pairs[rank] = _pair(vocabulary[left], vocabulary[right])
            made[rank] = vocabulary[left + right]
        order = np.argsort(pairs, kind="stable").astype(np.uint32)
        return cls(
            array("Q", pairs[order].tobytes()),
            array("I", order.tobytes()),
            array("I", made[order].tobytes()),
        )

    def apply(self, characters: Sequence[int]) -> list[tuple[int, int]]:
        """The tokens of a word, each with how many of the word's ``characters`` it took."""
        word = _Word(characters)
        due = [found for i in range(len(characters)) if (found := self._due(word, i))]
        heapify(due)
        while due:
            _, i, pair, made = heappop(due)
            if word.pair(i) == pair:
                word.merge(i, made)
                around = (self._due(word, place) for place in (word.before(i), i))
                for found in filter(None, around):
                    heappush(due, found)
        return word.tokens()

    def _due(self, word: _Word, i: int) -> Due | None:
        pair = word.pair(i)
        place = -1 if pair is None else bisect_right(self.pairs, pair) - 1
        if pair is None or place < 0 or self.pairs[place] != pair:
            return None
        return self.ranks[place], i, pair, self.made[place]


class _Word:
    """Its tokens, each at the place of its first character; at the others stands GONE."""

    def __init__(self, characters: Sequence[int]) -> None:
        self._tokens = [*characters]
        self._next = list(range(1, len(characters) + 1))
        self._before = list(range(-1, len(characters)))

    def pair(self, i: int) -> int | None:
        """The token at ``i`` and the next; None when there are no two."""
        if i < 0 or self._tokens[i] == GONE or self._next[i] == len(self._tokens):
            return None
        return _pair(self._tokens[i], self._tokens[self._next[i]])

    def before(self, i: int) -> int:
        """The place of the token before that at ``i``."""
        return self._before[i]

    def merge(self, i: int, made: int) -> None:
        """Makes one token of that at ``i`` and the next."""
        gone = self._next[i]
        self._tokens[i], self._tokens[gone] = made, GONE
        self._next[i] = self._next[gone]
        self._before[self._next[i]] = i

    def tokens(self) -> list[tuple[int, int]]:
        """Each with how many characters it took."""
        places = enumerate(zip(self._tokens, self._next, strict=True))
        return [(token, end - i) for i, (token, end) in places if token != GONE]


def _pair(left: int, right: int) -> int:
    return left << 32 | right
