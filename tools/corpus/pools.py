"""Surfaces that may stand in for one another: same label, same route, same make.

The make of a surface is its shape (letters, digits, separators, number of words), its verb form,
and whether it stands in front of a bracket or colon as program names do.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from random import Random

from tools.corpus.annotation import Example
from tools.corpus.lexicons import EVERYWHERE, PROGRAMS, STAND_INS
from tools.corpus.segments import Pieces, cut

ROUTES = ("alarm", "security", "connectivity", "fault", "maintenance", "command", "question")
FEWEST = 4
SAME_ROUTE_ONLY = frozenset({"symptom", "action"})
LOG_MARKS = tuple("[:=(\"'")
LONGEST_WORDS = 4

Key = tuple[str, str, str]


class Pools:
    """Draws replacements. Built from training messages and lexicons, never from held-out ones."""

    def __init__(self, examples: Iterable[Example]) -> None:
        pools: dict[Key, set[str]] = defaultdict(set)
        for example in examples:
            pieces = cut(example)
            for at, piece in enumerate(pieces):
                if piece.label:
                    self._put(pools, piece.label, example.route, piece.text, logged(pieces, at))
        self._put_lexicons(pools)
        self._pools = {key: sorted(found) for key, found in sorted(pools.items())}

    def draw(self, label: str, route: str, surface: str, rng: Random, *, log: bool) -> str | None:
        """Another surface of the same make, or None where too few are known."""
        keys = [(label, route, make(surface, log=log))]
        if label not in SAME_ROUTE_ONLY:
            keys.append((label, "", keys[0][2]))
        for key in keys:
            if len(self._pools.get(key, ())) >= FEWEST:
                return cased_like(rng.choice(self._pools[key]), surface)
        return None

    def _put_lexicons(self, pools: dict[Key, set[str]]) -> None:
        for label, routes, entries in STAND_INS:
            for route in sorted(routes):
                for entry in entries:
                    self._put(pools, label, route, entry, log=False)
        for label, entries in EVERYWHERE:
            for entry in entries:
                self._put(pools, label, "", entry, log=False)
        for entry in PROGRAMS:
            self._put(pools, "asset", "", entry, log=True)

    @staticmethod
    def _put(pools: dict[Key, set[str]], label: str, route: str, surface: str, log: bool) -> None:
        kind = make(surface, log=log)
        pools[label, route, kind].add(surface)
        pools[label, "", kind].add(surface)


def logged(pieces: Pieces, at: int) -> bool:
    """Whether the piece stands before a bracket, colon or quote, as names in logs do."""
    return at + 1 < len(pieces) and pieces[at + 1].text.startswith(LOG_MARKS)


def make(surface: str, *, log: bool) -> str:
    """The shape that replacements must share, for instance ``a a ing``."""
    shape = re.sub(r"[^\W\d_]+", "a", surface.lower())
    shape = re.sub(r"\d+", "9", shape)
    words = shape.split(" ")
    if len(words) > LONGEST_WORDS:
        shape = f"{LONGEST_WORDS}+"
    elif all(word == "a" for word in words):
        shape = "a" if len(words) == 1 else "a+"
    ending = re.search(r"(ing|ed)\b", surface.lower())
    return f"{shape} {ending.group() if ending else ''}{' log' if log else ''}"


def cased_like(text: str, model: str) -> str:
    """``text`` in capitals where ``model`` is, else as it is."""
    letters = [c for c in model if c.isalpha()]
    return text.upper() if len(letters) > 1 and all(c.isupper() for c in letters) else text
