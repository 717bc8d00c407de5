"""Messages to tensors: corpora read, split, and encoded into ids and begin/inside tags."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from tools.corpus.annotation import LABELS, ROUTES, Example, Span
from tools.errors import ToolError

OUT_OF_SCOPE = "other"
IGNORED_ROUTE = -100


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
        return OUT_OF_SCOPE if OUT_OF_SCOPE in self.routes else None


@dataclass(frozen=True)
class Batch:
    """Tensors of one step: ``ids``, ``mask``, ``tags`` [B, T] int64, ``routes`` [B] int64."""

    ids: Tensor
    mask: Tensor
    tags: Tensor
    routes: Tensor


def read_jsonl(path: Path) -> list[Example]:
    """Messages of a JSON Lines file; a null route becomes the empty string. Raises ToolError."""
    if not path.is_file():
        raise ToolError(f"{path}: no such file", "a data folder holds train.jsonl and dev.jsonl")
    examples = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            examples.append(_read_line(line, f"{path}:{number}"))
    if not examples:
        raise ToolError(f"{path}: holds no messages", "write one JSON object a line")
    return examples


def _read_line(line: str, where: str) -> Example:
    try:
        item = json.loads(line)
        spans = tuple(Span(e["start"], e["end"], e["label"]) for e in item.get("entities") or ())
        example = Example(item["text"], item.get("route") or "", spans)
    except (ValueError, KeyError, TypeError) as error:
        raise ToolError(
            f"{where}: not a message ({error})",
            'write {"text": …, "route": …, "entities": [{"start": 0, "end": 5, "label": …}]}',
        ) from error
    _check_spans(example, where)
    return example


def _check_spans(example: Example, where: str) -> None:
    last = 0
    for span in sorted(example.entities, key=lambda span: span.start):
        if not last <= span.start < span.end <= len(example.text):
            raise ToolError(
                f"{where}: span {span.start}..{span.end} overlaps another or leaves the text",
                "spans are half-open characters of the text and never overlap",
            )
        last = span.end


def vocabulary_of(examples: Iterable[Example]) -> Vocabulary:
    """Routes and labels that occur; ours in our order, then others by name."""
    routes, labels = set(), set()
    for example in examples:
        routes |= {example.route} - {""}
        labels |= {span.label for span in example.entities}
    return Vocabulary(_ordered(routes, ROUTES), _ordered(labels, LABELS))


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


def load_tokenizer(path: Path, max_tokens: int) -> Tokenizer:
    """The base tokenizer without padding, cutting at ``max_tokens``."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def tag_tokens(
    offsets: Sequence[tuple[int, int]], example: Example, labels: Sequence[str]
) -> list[int]:
    """The tag column of each token: 0 outside, then begin and inside of each label.

    Special tokens have the empty span and stay outside.
    """
    tags, previous = [], None
    for start, end in offsets:
        span = _span_at(example.entities, start, end) if end > start else None
        if span is None:
            tags.append(0)
        else:
            tags.append(1 + 2 * labels.index(span.label) + (span is previous))
        previous = span
    return tags


def _span_at(spans: Iterable[Span], start: int, end: int) -> Span | None:
    return next((s for s in spans if s.start < end and start < s.end), None)


class Encoder:
    """Turns examples into batches. Knows the tokenizer and the vocabulary."""

    def __init__(self, tokenizer: Tokenizer, vocabulary: Vocabulary) -> None:
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary

    def batch(self, examples: Sequence[Example]) -> Batch:
        encodings = self.tokenizer.encode_batch([e.text for e in examples])
        longest = max(len(encoding) for encoding in encodings)
        ids, mask, tags = torch.zeros(3, len(examples), longest, dtype=torch.int64)
        for row, (encoding, example) in enumerate(zip(encodings, examples, strict=True)):
            n = len(encoding)
            ids[row, :n] = torch.tensor(encoding.ids)
            mask[row, :n] = 1
            if self.vocabulary.labels:
                tags[row, :n] = torch.tensor(
                    tag_tokens(encoding.offsets, example, self.vocabulary.labels)
                )
        return Batch(ids, mask, tags, torch.tensor([self._route(e) for e in examples]))

    def batches(self, examples: Sequence[Example], size: int) -> Iterator[Batch]:
        for start in range(0, len(examples), size):
            yield self.batch(examples[start : start + size])

    def _route(self, example: Example) -> int:
        routes = self.vocabulary.routes
        return routes.index(example.route) if example.route in routes else IGNORED_ROUTE


def shuffled(examples: Sequence[Example], size: int, seed: int) -> list[list[Example]]:
    """Batches in random order, each of messages of about one length, so little is padding."""
    generator = torch.Generator().manual_seed(seed)
    order = [examples[i] for i in torch.randperm(len(examples), generator=generator)]
    pool, batches = size * 12, []
    for start in range(0, len(order), pool):
        near = sorted(order[start : start + pool], key=lambda e: len(e.text))
        batches += [near[i : i + size] for i in range(0, len(near), size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator)]
