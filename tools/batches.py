"""Examples to tensors: ids, masks, and begin/inside tags of one training step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from tools.corpus.annotation import Example
from tools.data import Vocabulary, tag_tokens

IGNORED_ROUTE = -100


@dataclass(frozen=True)
class Batch:
    """Tensors of one step: ``ids``, ``mask``, ``tags`` [B, T] int64, ``routes`` [B] int64."""

    ids: Tensor
    mask: Tensor
    tags: Tensor
    routes: Tensor


def load_tokenizer(path: Path, max_tokens: int) -> Tokenizer:
    """The base tokenizer without padding, cutting at ``max_tokens``."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


class Batcher:
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
