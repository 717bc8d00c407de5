"""Scores of what was written, field by field. Knows no models.

A field is a place in the output (``/asset``; every item of a list has the place of its list) and
the value there. It is right when the very same value stands there; null is no value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edge_agent.types import Output
from tools.writing.pairs import Pair, spelled

Fields = Counter[tuple[str, str]]


@dataclass(frozen=True)
class FieldScore:
    """Counts of one field, or of all: right ones, written ones, those there should be."""

    right: int = 0
    written: int = 0
    wanted: int = 0

    @property
    def precision(self) -> float:
        """0 where nothing was written."""
        return self.right / self.written if self.written else 0.0

    @property
    def recall(self) -> float:
        """0 where nothing was wanted."""
        return self.right / self.wanted if self.wanted else 0.0

    @property
    def f1(self) -> float:
        """1 where nothing was wanted, and nothing written."""
        both = self.written + self.wanted
        return 2 * self.right / both if both else 1.0

    def as_dict(self) -> dict[str, float]:
        shares = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {**{k: round(v, 4) for k, v in shares.items()}, "wanted": self.wanted}


@dataclass(frozen=True)
class WritingScores:
    """Of outputs against the answers they should be."""

    messages: int
    complete: int
    exact: int
    invented: int
    all: FieldScore
    fields: dict[str, FieldScore]

    def as_dict(self) -> dict[str, Any]:
        """Shares of the messages, and the scores of all fields and of each."""
        return {
            "messages": self.messages,
            "valid": round(self.complete / max(1, self.messages), 4),
            "exact": round(self.exact / max(1, self.messages), 4),
            "invented_spans": self.invented,
            "field_f1": round(self.all.f1, 4),
            "field_precision": round(self.all.precision, 4),
            "field_recall": round(self.all.recall, 4),
            "fields": {name: score.as_dict() for name, score in self.fields.items()},
        }


def score_writing(pairs: Sequence[Pair], outputs: Sequence[Output]) -> WritingScores:
    """One output a pair. An output that is not whole has no fields."""
    wanted = [fields_of(pair.output) for pair in pairs]
    found = [fields_of(output.value) if output.complete else Counter() for output in outputs]
    right = [one & other for one, other in zip(wanted, found, strict=True)]
    names = dict.fromkeys(name for fields in wanted for name, _ in fields)
    exact = sum(one == other for one, other in zip(wanted, found, strict=True))
    return WritingScores(
        len(pairs),
        sum(output.complete for output in outputs),
        exact,
        sum(invented(pair, output) for pair, output in zip(pairs, outputs, strict=True)),
        FieldScore(_total(right), _total(found), _total(wanted)),
        {n: FieldScore(_total(right, n), _total(found, n), _total(wanted, n)) for n in names},
    )


def fields_of(value: Any) -> Fields:
    """How often each value stands at each place."""
    return Counter(_walk(value, ""))


def invented(pair: Pair, output: Output) -> int:
    """How many extracted strings do not stand in the text where the output says."""
    spans = (pair.text[one.start : one.end] for one in output.extracts)
    values = [_at(output.value, one.path) for one in output.extracts]
    return sum(span != value for span, value in zip(spans, values, strict=True))


def _walk(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _walk(item, f"{place}/{name}")
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item, place)
    elif value is not None:
        yield place, spelled({}, value)


def _at(value: Any, path: str) -> Any:
    """The value at a JSON Pointer."""
    for part in path.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        value = value[int(name)] if isinstance(value, list) else value[name]
    return value


def _total(counted: Sequence[Fields], name: str | None = None) -> int:
    return sum(
        count for fields in counted for (place, _), count in fields.items()
        if name is None or place == name
    )  # fmt: skip
