"""Labelled messages: read, checked, split, and their entities as begin/inside tags. No torch."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.corpus.annotation import LABELS, ROUTES, Example, Span
from tools.errors import ToolError

OUT_OF_SCOPE = ("other", "oos", "out_of_scope")
"""Routes that stand for everything else: predicting one of them is abstaining."""

NOT_IN_TOPICS = re.compile(r"[\s/+#\x00-\x1f]+")
MAX_NAME_CHARS = 64


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


def read_jsonl(path: Path) -> list[Example]:
    """Messages of a JSON Lines file; a null route becomes the empty string. Raises ToolError."""
    if not path.is_file():
        raise ToolError(f"{path}: no such file", "a data folder holds train.jsonl and dev.jsonl")
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ToolError(f"{path}: not UTF-8 ({error})", f"iconv -t UTF-8 {path}") from error
    examples = []
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            examples.append(_read_line(line, f"{path}:{number}"))
    if not examples:
        raise ToolError(f"{path}: holds no messages", "write one JSON object a line")
    return examples


def _read_line(line: str, where: str) -> Example:
    try:
        item = json.loads(line)
        spans = tuple(
            Span(e["start"], e["end"], topic_name(e["label"])) for e in item.get("entities") or ()
        )
        example = Example(item["text"], topic_name(item.get("route") or ""), spans)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolError(
            f"{where}: not a message ({error})",
            'write {"text": …, "route": …, "entities": [{"start": 0, "end": 5, "label": …}]}',
        ) from error
    _check_spans(example, where)
    return example


def _check_spans(example: Example, where: str) -> None:
    last = 0
    for span in sorted(example.entities, key=lambda span: span.start):
        if (
            type(span.start) is not int
            or type(span.end) is not int
            or not last <= span.start < span.end <= len(example.text)
        ):
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
    return NOT_IN_TOPICS.sub("_", name)[:MAX_NAME_CHARS].strip("_")


def _ordered(names: set[str], known: Sequence[str]) -> tuple[str, ...]:
    return tuple(n for n in known if n in names) + tuple(sorted(names - set(known)))


def split(examples: list[Example], share: float = 0.1) -> tuple[list[Example], list[Example]]:
    """Train and dev by message, the same share of every route; stable while a corpus grows."""
    by_route = defaultdict(list)
    for example in examples:
        by_route[example.route].append(example)
    dev = set()
    for group in by_route.values():
        ranked = sorted(group, key=lambda e: hashlib.sha256(e.text.encode()).hexdigest())
        dev |= {example.text for example in ranked[: max(1, round(len(group) * share))]}
    return [e for e in examples if e.text not in dev], [e for e in examples if e.text in dev]


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
