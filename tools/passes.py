"""What each pass over a site's messages shows. Few messages are seen often, so most of the times a
little changed: another of the site's own words in the place of an entity, or, where none is marked,
a typing error. Beside entities such errors cost more in entities than they gain in routes.

Deterministic for a seed. Where messages are many, every pass shows them as they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from random import Random

from tools.corpus.annotation import Example
from tools.corpus.noise import slip
from tools.corpus.segments import Piece, Pieces, cut, joined
from tools.learning.recipe import Recipe

Surfaces = dict[tuple[str, str], list[str]]


def passes(examples: Sequence[Example], recipe: Recipe) -> list[list[Example]]:
    """One list an epoch. The share of changed messages is that of epochs beyond the usual."""
    epochs = recipe.epochs_over(len(examples))
    changed = 1 - recipe.epochs / epochs
    if changed <= 0:
        return [list(examples)] * epochs
    rng, surfaces = Random(recipe.seed), surfaces_of(examples)
    return [
        [vary(e, surfaces, recipe, rng) if rng.random() < changed else e for e in examples]
        for _ in range(epochs)
    ]


def surfaces_of(examples: Sequence[Example]) -> Surfaces:
    """Every surface of a label under a route, as often as it occurs."""
    found: Surfaces = defaultdict(list)
    for example in examples:
        for span in example.entities:
            found[example.route, span.label].append(example.text[span.start : span.end])
    return found


def vary(example: Example, surfaces: Surfaces, recipe: Recipe, rng: Random) -> Example:
    """A copy with other words in its entities or, where it has none, a typing error, by chance."""
    pieces: Pieces = [
        Piece(rng.choice(surfaces[example.route, piece.label]), piece.label)
        if piece.label and rng.random() < recipe.swap
        else piece
        for piece in cut(example)
    ]
    if not example.entities and rng.random() < recipe.slip:
        pieces = slip(pieces, rng)
    changed = joined(pieces, example.route)
    return changed if changed.text else example
