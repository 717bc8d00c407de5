"""Pieces in which entities begin or end: without them a model can tell such entities apart.

A model marks whole pieces of its vocabulary. Of ``SupTmp``, a medium and a measure, WordPiece makes
``su ##pt ##mp``, and nothing it learns finds the border. Knows nothing of models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tokenizers import Encoding, Tokenizer

from tools.bases.pieces import Trimmed, spelled_by_others, without
from tools.corpus.annotation import Example

LEAST_SHARE = 0.005
"""Of the entities: fewer with a hidden border are slips of who labelled, and change nothing."""
INSIDE_WORDS = 0.05
"""Of the entities: where more have a hidden border, words are names put together rather than prose,
and pieces that no training message needs are left out too if they hide borders."""
PIECE_SHARE = 0.03
"""A piece is left out when a border lies in more of its occurrences."""
MOST_ROUNDS = 10
"""The pieces that take the place of one are shorter, and may hide borders too."""


@dataclass
class _Reading:
    """Messages as a tokenizer cuts them: how often each piece occurs, and with a border inside."""

    entities: int = 0
    hidden: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)

    @property
    def hidden_share(self) -> float:
        """Of the entities: those with a hidden border."""
        return self.hidden / max(1, self.entities)

    @property
    def hiding(self) -> frozenset[str]:
        """The pieces in which too many borders lie."""
        return frozenset(n for n, count in self.cut.items() if count > PIECE_SHARE * self.seen[n])

    def add(self, encoding: Encoding, example: Example) -> None:
        borders = {at for span in example.entities for at in (span.start, span.end)}
        inside = set[int]()
        for name, start, end in _pieces(encoding, example.text):
            found = borders.intersection(range(start + 1, end))
            self.seen[name] += 1
            self.cut[name] += bool(found)
            inside |= found
        self.entities += len(example.entities)
        self.hidden += sum(not inside.isdisjoint((s.start, s.end)) for s in example.entities)


def hiding_pieces(
    content: bytes, train: Sequence[Example], dev: Sequence[Example]
) -> frozenset[str]:
    """The pieces of the tokenizer.json in ``content`` to leave out, by name; mostly none.

    Those in which entities of ``train`` begin or end; where that are many, and ``dev`` shows that
    other pieces would hide more, all that ``train`` does not need.
    """
    possible, gone = spelled_by_others(content), frozenset[str]()
    if not possible:
        return gone
    first = reading = _read(content.decode(), train)
    for _ in range(MOST_ROUNDS):
        more = reading.hiding & possible
        if not more or reading.hidden_share <= LEAST_SHARE:
            break
        gone |= more
        reading = _read(without(content, gone).tokenizer, train)
    if first.hidden_share > INSIDE_WORDS and _hides(without(content, gone), dev):
        gone |= possible - reading.seen.keys()
    return gone


def _hides(left: Trimmed, examples: Sequence[Example]) -> bool:
    return _read(left.tokenizer, examples).hidden_share > LEAST_SHARE


def _read(tokenizer_json: str, examples: Sequence[Example]) -> _Reading:
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    reading = _Reading()
    encodings = tokenizer.encode_batch([example.text for example in examples])
    for example, encoding in zip(examples, encodings, strict=True):
        reading.add(encoding, example)
    return reading


def _pieces(encoding: Encoding, text: str) -> Iterator[tuple[str, int, int]]:
    """Each piece and where it stands, without white space around it."""
    for name, (first, last) in zip(encoding.tokens, encoding.offsets, strict=True):
        surface = text[first:last]
        start = last - len(surface.lstrip())
        yield name, start, start + len(surface.strip())
