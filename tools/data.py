"""Labelled messages: read, checked, split, and their entities as begin/inside tags. No torch."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from edge_agent.manifest import NOT_IN_TOPICS
from tools.corpus.annotation import LABELS, ROUTES, Example, Span
from tools.errors import ToolError

OUT_OF_SCOPE = ("other", "oos", "out_of_scope")
"""Routes that stand for everything else: predicting one of them is abstaining."""

UNFIT = re.compile(f"[{NOT_IN_TOPICS}]+")
MAX_NAME_CHARS = 64
MOST_LABELS = 340
"""What a transition from each tag to each leaves room for in ``bundle.json``."""
FEWER_LABELS = "merge some, or write several folders and train a bundle of each"
SHAPE = '{"text": …, "route": …, "entities": [{"start": 0, "end": 5, "label": …}]}'


@dataclass(frozen=True)
class Vocabulary:
    """The routes and labels of a bundle, in the order of its columns."""

    routes: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def tags(self) -> int:
        return 1 + 2 * len(self.labels) if self.labels else 0

    @property
    def out_of_scope(self) -> str | None:
        return next((name for name in OUT_OF_SCOPE if name in self.routes), None)


class SpanLine(BaseModel):
    """A span as written in a line: ``start`` and ``end`` may be nonsense."""

    model_config = ConfigDict(extra="allow", strict=True)
    start: int
    end: int
    label: str
    text: str | None = None
    surface: str | None = None


Read = TypeVar("Read", bound="TextLine")


class TextLine(BaseModel):
    """A line about a text, one JSON object. Types are never converted."""

    model_config = ConfigDict(strict=True)
    text: str


class Line(TextLine):
    """A message as written; other keys are kept."""

    model_config = ConfigDict(extra="allow")
    route: str | None = None
    entities: list[SpanLine] | None = None
    source: Any = None
    id: Any = None


def read_jsonl(path: Path, rewritten: dict[str, str] | None = None) -> list[Example]:
    """Messages of a JSON Lines file; a null route becomes the empty string. Raises ToolError.

    ``rewritten`` is filled with the names that ``topic_name`` changes, old to new.
    """
    examples = []
    for number, raw in numbered_lines(path):
        where = f"{path}:{number}"
        line = read_line(raw, where, Line, "not a message", SHAPE)
        examples.append(_example(line, where))
        if rewritten is not None:
            rewritten |= {old: new for old in _names(line) if (new := topic_name(old)) != old}
    if not examples:
        raise ToolError(f"{path}: holds no messages", "write one JSON object a line")
    return examples


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    """The lines that are not blank, counted from 1. Raises ToolError."""
    require_file(path)
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ToolError(f"{path}: not UTF-8 ({error})", f"iconv -t UTF-8 {path}") from error
    return [(number, raw) for number, raw in enumerate(content.split("\n"), 1) if raw.strip()]


def require_file(path: Path) -> None:
    """Raises ToolError where there is none."""
    if not path.is_file():
        raise ToolError(f"{path}: no such file", "a data folder holds train.jsonl")


def read_line(raw: str, where: str, model: type[Read], wrong: str, shape: str) -> Read:
    """Raises ToolError for broken JSON, lone surrogates, values of another type, empty texts.

    It says that the line is ``wrong``, and to write ``shape`` instead.
    """
    try:
        line = model.model_validate_json(raw)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        problem = ": ".join(part for part in (key_path(fault["loc"]), fault["msg"]) if part)
        raise ToolError(f"{where}: {wrong} ({problem})", f"write {shape}") from error
    if not line.text.strip():
        raise ToolError(f"{where}: {wrong} (text is empty)", "delete the line")
    return line


def key_path(parts: tuple[int | str, ...]) -> str:
    """``entities[0].start`` for ``("entities", 0, "start")``."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts).lstrip(".")


def _example(line: Line, where: str) -> Example:
    """Raises ToolError for names of which nothing is left, and for spans no text can have."""
    for name in _names(line):
        if not topic_name(name):
            raise ToolError(
                f"{where}: name {name!r} cannot stand in a topic, and nothing of it can",
                "give it a name of letters and digits",
            )
    spans = tuple(Span(e.start, e.end, topic_name(e.label)) for e in line.entities or ())
    example = Example(line.text, topic_name(line.route or ""), spans)
    _check_spans(example, where)
    return example


def _names(line: Line) -> list[str]:
    """Route and labels as written."""
    return [*([line.route] if line.route else []), *(span.label for span in line.entities or ())]


def _check_spans(example: Example, where: str) -> None:
    last = 0
    for span in sorted(example.entities, key=lambda span: span.start):
        if not last <= span.start < span.end <= len(example.text):
            raise ToolError(
                f"{where}: span {span.start}..{span.end} overlaps another or leaves the text",
                f"python -m tools check-data {where.rpartition(':')[0]} shows every such line",
            )
        last = span.end


def vocabulary_of(examples: Iterable[Example]) -> Vocabulary:
    """Routes and labels that occur; ours in our order, then others by name."""
    routes, labels = set(), set()
    for example in examples:
        routes |= {example.route} - {""}
        labels |= {span.label for span in example.entities}
    return Vocabulary(_ordered(routes, ROUTES), _ordered(labels, LABELS))


def topic_name(name: str) -> str:
    """The name as it stands in manifests and topics: ``Plugged / choked`` -> ``Plugged_choked``.

    Raises TypeError for what is no text.
    """
    return UNFIT.sub("_", name)[:MAX_NAME_CHARS].strip("_")


def _ordered(names: set[str], known: Sequence[str]) -> tuple[str, ...]:
    return tuple(n for n in known if n in names) + tuple(sorted(names - set(known)))


def split(examples: list[Example], share: float = 0.1) -> tuple[list[Example], list[Example]]:
    """Train and dev by text, the same share of every route; stable while a corpus grows."""
    dev = held_out([(example.route, example.text) for example in examples], share)
    return [e for e in examples if e.text not in dev], [e for e in examples if e.text in dev]


def held_out(messages: Iterable[tuple[str, str]], share: float = 0.1) -> set[str]:
    """The texts that ``split`` gives to dev, of pairs of a route and a text.

    A route's only text stays in train, however often it comes.
    """
    by_route: dict[str, set[str]] = defaultdict(set)
    for route, text in messages:
        by_route[route].add(text)
    dev, only = set(), set()
    for texts in by_route.values():
        ranked = sorted(texts, key=lambda text: hashlib.sha256(text.encode()).hexdigest())
        dev.update(ranked[: max(1, round(len(ranked) * share))])
        only.update(ranked if len(ranked) == 1 else ())
    return dev - only


def tag_tokens(
    offsets: Sequence[tuple[int, int]], example: Example, labels: Sequence[str]
) -> list[int]:
    """The tag column of each token: 0 outside, then begin and inside of each label.

    What carries a label not among ``labels`` stays outside.
    """
    tags, previous = [], None
    for start, end in offsets:
        span = _span_at(example.entities, start, end)
        if span is None or span.label not in labels:
            tags.append(0)
        else:
            tags.append(1 + 2 * labels.index(span.label) + (span is previous))
        previous = span
    return tags


def _span_at(spans: Iterable[Span], start: int, end: int) -> Span | None:
    return next((s for s in spans if s.start < end and start < s.end), None)
