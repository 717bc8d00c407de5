"""A message and its answer: read from JSON Lines, spelled as the runtime spells it. No torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.types import JsonObject
from tools.data import TextLine, numbered_lines, read_line

SHAPE = '{"text": "…", "output": {…}}'


@dataclass(frozen=True)
class Pair:
    """``answer`` is what is to be written about ``text``, character by character."""

    text: str
    answer: str

    @property
    def output(self) -> Any:
        """The answer as a JSON value."""
        return json.loads(self.answer)


class Line(TextLine):
    """One line of a file; other keys mean nothing here."""

    output: Any


def spelled(schema: JsonObject | None, output: Any) -> str:
    """The output as the grammar writes it: no white space, properties in the schema's order.

    ``schema`` is a narrowed one; without one the output is a text.
    """
    if schema is None:
        return str(output)
    return json.dumps(_ordered(schema, output), ensure_ascii=False, separators=(",", ":"))


def _ordered(schema: JsonObject, value: Any) -> Any:
    if isinstance(value, dict):
        known = schema.get("properties", {})
        names = [*(n for n in known if n in value), *(n for n in value if n not in known)]
        return {name: _ordered(known.get(name, {}), value[name]) for name in names}
    if isinstance(value, list):
        return [_ordered(schema.get("items", {}), item) for item in value]
    return value


def read_pairs(path: Path, schema: JsonObject | None) -> list[Pair]:
    """The pairs of a JSON Lines file. ToolError names a line that is none, by its number."""
    lines = [
        read_line(raw, f"{path}:{number}", Line, "no text and output", SHAPE)
        for number, raw in numbered_lines(path)
    ]
    return [Pair(line.text, spelled(schema, line.output)) for line in lines]
