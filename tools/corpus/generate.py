"""Multiplies hand-written messages: other surfaces in their slots, then surface noise.

Deterministic for a seed. ``other`` and orders to a machine in words get little of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tools.corpus import noise
from tools.corpus.annotation import Example
from tools.corpus.pools import Pools, logged
from tools.corpus.segments import Piece, Pieces, cut, joined
from tools.corpus.surfaces import respelled
from tools.corpus.telemetry import structured


@dataclass(frozen=True)
class Rates:
    """Chances of each kind of change."""

    original: float = 0.3
    swap: float = 0.35
    respell: float = 0.75
    slip: float = 0.15
    shorten: float = 0.15
    recase: float = 0.1
    unpunctuate: float = 0.12
    reseparate: float = 0.15
    unprefix: float = 0.2
    prefix: float = 0.12


GENTLE = Rates(original=0.5, swap=0.0, shorten=0.05, reseparate=0.0, prefix=0.0)
TALK = Rates(prefix=0.0, reseparate=0.05)
BY_ROUTE = {"other": GENTLE, "question": TALK, "command": TALK}
MAX_SWAPS = 3
STRUCTURED_SHARE = 0.06


def variants(examples: list[Example], epochs: int, seed: int) -> list[list[Example]]:
    """One list an epoch: each message once, as written or changed, then structured ones."""
    pools = Pools(examples)
    rng = Random(seed)
    built = round(len(examples) * STRUCTURED_SHARE)
    return [
        [vary(example, pools, rng) for example in examples]
        + [structured(rng) for _ in range(built)]
        for _ in range(epochs)
    ]


def vary(example: Example, pools: Pools, rng: Random) -> Example:
    """The message itself, or a changed copy with the same route and the same entities marked."""
    rates = BY_ROUTE.get(example.route, Rates())
    if rng.random() < rates.original:
        return example
    pieces = swapped(cut(example), example.route, pools, rng, rates)
    changed = joined(disturbed(pieces, example.route, rng, rates), example.route)
    return changed if changed.text else example


def swapped(pieces: Pieces, route: str, pools: Pools, rng: Random, rates: Rates) -> Pieces:
    """Entities replaced by others of the same make, or spelled anew."""
    frozen = frozenset({"action"} if sum(p.label == "action" for p in pieces) > 1 else ())
    result, swaps = [], 0
    for at, piece in enumerate(pieces):
        text = piece.text
        if piece.label and piece.label not in frozen and swaps < MAX_SWAPS:
            other = None
            if rng.random() < rates.swap:
                log = logged(pieces, at)
                other = pools.draw(piece.label, route, text, rng, log=log)
            swaps += other is not None
            text = other or text
        if piece.label and rng.random() < rates.respell:
            text = respelled(text, piece.label, rng)
        result.append(Piece(text, piece.label))
    return result


def disturbed(pieces: Pieces, route: str, rng: Random, rates: Rates) -> Pieces:
    """Surface noise, each kind by its own chance."""
    for kind in ("shorten", "slip", "recase", "unpunctuate", "reseparate", "unprefix"):
        if rng.random() < getattr(rates, kind):
            pieces = getattr(noise, kind)(pieces, rng) or pieces
    if rng.random() < rates.prefix:
        pieces = noise.prefix(pieces, route, rng)
    return pieces
