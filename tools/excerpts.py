"""Parts of messages beside the whole ones, so that an entity is known by what it is.

Seeing nothing but whole messages of one site, a model learns the site's habits instead: that each
begins with an id, whatever stands there. Deterministic for a seed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from random import Random

from tools.corpus.annotation import Example
from tools.corpus.segments import Piece, Pieces, cut, joined
from tools.learning.recipe import Recipe

WORD = re.compile(r"\S+\s*|\s+")
FEWEST_WORDS = 2
SEPARATORS = " \t,;:|/.-"
NO_ROUTE = ""
"""What is left of a message may be for somebody else."""


def with_excerpts(epochs: Sequence[Sequence[Example]], recipe: Recipe) -> list[list[Example]]:
    """The same passes, a share of their messages cut. Where no entity is marked, as they are."""
    rng = Random(recipe.seed)
    share = recipe.excerpt if any(e.entities for e in chain.from_iterable(epochs)) else 0.0
    return [[excerpt(e, rng) if rng.random() < share else e for e in epoch] for epoch in epochs]


def excerpt(example: Example, rng: Random) -> Example:
    """Without one of its entities, or some of its words in a row. Of two words all are left."""
    pieces, drops = cut(example), bool(example.entities) and rng.random() < 0.5
    left = _without_one(pieces, rng) if drops else _in_a_row(pieces, rng)
    shorter = joined(left, NO_ROUTE)
    return shorter if shorter.text else example


def _without_one(pieces: Pieces, rng: Random) -> Pieces:
    """A separator that would then come first goes too; entities stay whole."""
    at = rng.choice([i for i, piece in enumerate(pieces) if piece.label])
    before, after = pieces[:at], pieces[at + 1 :]
    if after and not before and not after[0].label:
        after = [Piece(after[0].text.lstrip(SEPARATORS)), *after[1:]]
    return [*before, *after]


def _in_a_row(pieces: Pieces, rng: Random) -> Pieces:
    parts = [part for piece in pieces for part in _parts(piece)]
    if len(parts) <= FEWEST_WORDS:
        return []
    count = rng.randint(FEWEST_WORDS, len(parts) - 1)
    first = rng.randint(0, len(parts) - count)
    return parts[first : first + count]


def _parts(piece: Piece) -> Pieces:
    return [piece] if piece.label else [Piece(word) for word in WORD.findall(piece.text)]
