"""A message and its answer: read from JSON Lines, spelled as the runtime spells it. No torch."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from decimal import Decimal
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
    """The output as the grammar writes it: no white space, properties in the schema's order, no
    exponents.

    ``schema`` is a narrowed one; without one the output is a text.
    """
    if schema is None:
        return str(output)
    return _spelled(schema, output)


def _spelled(schema: JsonObject, value: Any) -> str:
    if isinstance(value, dict):
        known = _meant(schema, value).get("properties", {})
        names = [*(n for n in known if n in value), *(n for n in value if n not in known)]
        pairs = (f"{_spelled({}, n)}:{_spelled(known.get(n, {}), value[n])}" for n in names)
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, list):
        items = _meant(schema, value).get("items", {})
        return f"[{','.join(_spelled(items, item) for item in value)}]"
    if isinstance(value, float) and math.isfinite(value):
        return f"{Decimal(repr(value)):f}".removesuffix(".0")
    return json.dumps(value, ensure_ascii=False)


def _meant(schema: JsonObject, value: dict[str, Any] | list[Any]) -> JsonObject:
    """Of alternatives the first that has room for what the value holds."""
    for part in schema.get("anyOf", []):
        found = _meant(part, value)
        names = found.get("properties", {}).keys()
        is_list = isinstance(value, list)
        if "items" in found if is_list else {*found.get("required", ())} <= {*value} <= names:
            return found
    return schema


def read_pairs(path: Path, schema: JsonObject | None) -> list[Pair]:
    """The pairs of a JSON Lines file. ToolError names a line that is none, by its number."""
    lines = [
        read_line(raw, f"{path}:{number}", Line, "no text and output", SHAPE)
        for number, raw in numbered_lines(path)
    ]
    return [Pair(line.text, spelled(schema, line.output)) for line in lines]
