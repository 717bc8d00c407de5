"""Examples to tensors: tokens, tags and masks of one training step. Knows nothing of models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from tools.corpus.annotation import Example
from tools.data import Vocabulary, tag_tokens

IGNORED_ROUTE = -100
POOL_BATCHES = 64


class Tokenised(Protocol):
    """One example as token ids."""

    @property
    def ids(self) -> list[int]:
        """All that the model reads of it."""


AnyRow = TypeVar("AnyRow", bound=Tokenised)


@dataclass(frozen=True)
class Row:
    """One tokenised message. ``kept`` are the places of the tokens that stand for characters.

    ``tags[i]`` is the tag of token ``kept[i]``; special tokens are read but never tagged.
    """

    text: str
    ids: list[int]
    kept: list[int]
    tags: list[int]
    route: int


@dataclass(frozen=True)
class Batch:
    """Tensors of one step, B messages of up to T tokens, L of them tagged.

    ``ids``, ``mask`` [B, T] int64; ``kept``, ``tags`` [B, L] int64; ``tagged`` [B, L] bool, true
    from the first column on; ``routes`` [B] int64.
    """

    texts: list[str]
    ids: Tensor
    mask: Tensor
    kept: Tensor
    tags: Tensor
    tagged: Tensor
    routes: Tensor


def load_tokenizer(path: Path, max_tokens: int) -> Tokenizer:
    """The base tokenizer without padding, cutting at ``max_tokens``."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


class Batcher:
    """Turns examples into rows and rows into batches. ``hole`` is the id of a hidden token."""

    def __init__(self, tokenizer: Tokenizer, vocabulary: Vocabulary, hole: int) -> None:
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary
        self.hole = hole

    def used(self, texts: Sequence[str]) -> Tensor:
        """Every token id in these texts, the padding and the hole, in order: [U] int64."""
        encodings = self.tokenizer.encode_batch(list(texts))
        return torch.tensor(sorted({0, self.hole, *(i for e in encodings for i in e.ids)}))

    def rows(self, examples: Sequence[Example]) -> list[Row]:
        """The examples, tokenised, in order."""
        encodings = self.tokenizer.encode_batch([example.text for example in examples])
        return [self._row(*pair) for pair in zip(examples, encodings, strict=True)]

    def _row(self, example: Example, encoding: object) -> Row:
        offsets = encoding.offsets
        kept = [i for i, (start, end) in enumerate(offsets) if end > start]
        tags = tag_tokens([offsets[i] for i in kept], example, self.vocabulary.labels)
        return Row(example.text, encoding.ids, kept, tags, self._route(example))

    def _route(self, example: Example) -> int:
        routes = self.vocabulary.routes
        return routes.index(example.route) if example.route in routes else IGNORED_ROUTE

    def batch(self, rows: Sequence[Row]) -> Batch:
        """The rows side by side, padded with zeros."""
        ids = _padded([row.ids for row in rows])
        return Batch(
            [row.text for row in rows],
            ids,
            _lengths_mask([len(row.ids) for row in rows]).long(),
            _padded([row.kept for row in rows]),
            _padded([row.tags for row in rows]),
            _lengths_mask([len(row.kept) for row in rows]),
            torch.tensor([row.route for row in rows]),
        )

    def batches(self, examples: Sequence[Example], size: int) -> Iterator[Batch]:
        """The examples in order, ``size`` at a time."""
        rows = self.rows(examples)
        for start in range(0, len(rows), size):
            yield self.batch(rows[start : start + size])


def shuffled(rows: Sequence[AnyRow], size: int, seed: int) -> list[list[AnyRow]]:
    """Batches in random order, each of messages of about one length, so little is padding."""
    generator = torch.Generator().manual_seed(seed)
    order = [rows[i] for i in torch.randperm(len(rows), generator=generator)]
    pool, batches = size * POOL_BATCHES, []
    for start in range(0, len(order), pool):
        near = sorted(order[start : start + pool], key=lambda row: len(row.ids))
        batches += [near[i : i + size] for i in range(0, len(near), size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator)]


def _padded(lists: list[list[int]]) -> Tensor:
    return pad_sequence([torch.tensor(x, dtype=torch.int64) for x in lists], batch_first=True)


def _lengths_mask(lengths: list[int]) -> Tensor:
    return torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
