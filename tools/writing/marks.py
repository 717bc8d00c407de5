"""Where a message holds what is extracted from it. Knows nothing of models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge_agent.inference.output_schema import EXTRACTIVE, escaped, extractive_values
from edge_agent.inference.spans import find_span
from edge_agent.types import JsonObject
from tools.writing.pairs import Pair


@dataclass(frozen=True)
class Marks:
    """``places`` are the extractive parts of a narrowed schema: JSON Pointers without indices."""

    schema: JsonObject
    places: tuple[str, ...]

    @classmethod
    def under(cls, schema: JsonObject | None) -> Marks | None:
        """None where nothing is extracted."""
        places = tuple(dict.fromkeys(map(_place, _pointers(schema or {}, ""))))
        return cls(schema, places) if schema and places else None

    def of(self, pair: Pair, text: str) -> Iterator[tuple[int, int, int]]:
        """Start, end and number of the place of each extracted value that stands in ``text``."""
        for pointer, surface in extractive_values(self.schema, pair.output):
            if span := find_span(text, surface):
                yield *span, self.places.index(_place(pointer))


def _pointers(schema: JsonObject, pointer: str) -> Iterator[str]:
    if schema.get(EXTRACTIVE):
        yield pointer
    for name, part in schema.get("properties", {}).items():
        yield from _pointers(part, f"{pointer}/{escaped(name)}")
    if "items" in schema:
        yield from _pointers(schema["items"], pointer)


def _place(pointer: str) -> str:
    """All items of a list are one place."""
    return "/".join(part for part in pointer.split("/") if not part.isdigit())
