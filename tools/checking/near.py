"""Messages of one split that are nearly a message of another: a score over them flatters.

Texts are sets of character 4-grams, case and runs of spaces aside. A sparse product gives the size
of each intersection, so the Jaccard similarity of every pair is exact; nothing is sampled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from tools.checking.findings import Finding, places, quote
from tools.checking.reading import Data, Entry, Split

GRAM_CHARS = 4
ALIKE = 0.8
CHUNK_ROWS = 256
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Twin:
    """``entry`` is nearly ``known``, of an earlier split; ``similarity`` from ALIKE to 1."""

    entry: Entry
    known: Entry
    similarity: float

    @property
    def at_odds(self) -> bool:
        """Whether the two have different routes."""
        return bool(self.entry.route and self.known.route and self.entry.route != self.known.route)

    @property
    def same_words(self) -> bool:
        """Whether the two differ in case and punctuation only."""
        one, other = (WORD.findall(entry.text.lower()) for entry in (self.entry, self.known))
        return one == other


def near_duplicates(data: Data) -> Iterator[Finding]:
    """The nearest twin of each message, those with another route first, then the most alike.

    Other words under another route are no leak but a contrast, which a model needs: left out.
    """
    best: dict[str, Twin] = {}
    for pair in combinations(data.splits, 2):
        for twin in twins(*pair):
            rival = best.get(twin.entry.where)
            if rival is None or twin.similarity > rival.similarity:
                best[twin.entry.where] = twin
    telling = [twin for twin in best.values() if twin.same_words or not twin.at_odds]
    for twin in sorted(telling, key=lambda t: (not t.at_odds, -t.similarity)):
        yield _finding(twin)


def _finding(twin: Twin) -> Finding:
    entry, known = twin.entry, twin.known
    routes = f", yet routed {entry.route} here and {known.route} there" if twin.at_odds else ""
    return Finding(
        "near-duplicate",
        "warning",
        entry.where,
        f"{quote(entry.text)} is {twin.similarity:.0%} like "
        f"{places([known.where])} {quote(known.text)}{routes}",
        "keep messages of one template, day or machine in one split",
    )


def twins(known: Split, later: Split) -> Iterator[Twin]:
    """For each text of ``later``, its nearest in ``known``, if alike; equal texts aside."""
    same = {entry.text for entry in known.entries}
    first_of = {entry.text: entry for entry in reversed(later.entries) if entry.text not in same}
    asked = list(reversed(first_of.values()))
    if not asked or not known.entries:
        return
    known_grams, asked_grams = _grams(list(known.entries), asked)
    known_sizes, turned = _sizes(known_grams), known_grams.T.tocsr()
    for first in range(0, len(asked), CHUNK_ROWS):
        chunk = asked_grams[first : first + CHUNK_ROWS]
        shared = (chunk @ turned).tocoo()
        union = _sizes(chunk)[shared.row] + known_sizes[shared.col] - shared.data
        for row, column, similarity in _best(shared, shared.data / union):
            yield Twin(asked[first + row], known.entries[column], similarity)


def _grams(known: list[Entry], asked: list[Entry]) -> tuple[Any, Any]:
    """``[len(known), G]`` and ``[len(asked), G]``, 1 where the text has the 4-gram."""
    from sklearn.feature_extraction.text import CountVectorizer  # noqa: PLC0415

    size = (GRAM_CHARS, GRAM_CHARS)
    counter = CountVectorizer(
        analyzer="char", ngram_range=size, binary=True, dtype=np.int32, preprocessor=_plain
    )
    grams = counter.fit_transform(entry.text for entry in [*known, *asked])
    return grams[: len(known)], grams[len(known) :]


def _plain(text: str) -> str:
    """Lower case, single spaces, and one at either end; filled up, so that all have a 4-gram."""
    return f" {' '.join(text.lower().split())} ".ljust(GRAM_CHARS, "_")


def _sizes(grams: Any) -> Any:
    return np.diff(grams.indptr)


def _best(shared: Any, similarity: Any) -> Iterator[tuple[int, int, float]]:
    """The best column of each row that has one of at least ALIKE."""
    alike = np.flatnonzero(similarity >= ALIKE)
    order = alike[np.lexsort((shared.col[alike], -similarity[alike], shared.row[alike]))]
    _, firsts = np.unique(shared.row[order], return_index=True)
    for i in order[firsts]:
        yield int(shared.row[i]), int(shared.col[i]), float(similarity[i])
