"""A message as a row of pieces, so that whatever changes a piece keeps the spans right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tools.corpus.annotation import Example, Span


@dataclass(frozen=True)
class Piece:
    """Some text, and the label of the entity it is, or None between entities."""

    text: str
    label: str | None = None


Pieces = list[Piece]


def cut(example: Example) -> Pieces:
    """The message in pieces; joined again they give the same message."""
    pieces, last = [], 0
    for span in sorted(example.entities, key=lambda span: span.start):
        pieces += [Piece(example.text[last : span.start])]
        pieces += [Piece(example.text[span.start : span.end], span.label)]
        last = span.end
    pieces.append(Piece(example.text[last:]))
    return [piece for piece in pieces if piece.text]


def joined(pieces: Iterable[Piece], route: str) -> Example:
    """The message of these pieces. Space at its ends goes, and at the ends of entities."""
    text, spans = "", []
    for piece in pieces:
        if piece.label and piece.text.strip():
            start = len(text) + len(piece.text) - len(piece.text.lstrip())
            spans.append(Span(start, start + len(piece.text.strip()), piece.label))
        text += piece.text
    shift = len(text) - len(text.lstrip())
    moved = tuple(Span(s.start - shift, s.end - shift, s.label) for s in spans)
    return Example(text.strip(), route, moved)
