"""What an encoder learns: the route of a message and the tags of its tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from tools.corpus.annotation import Example
from tools.learning.batches import Batch, Batcher, Row
from tools.learning.loss import Loss, Wisdom, at_kept
from tools.learning.recipe import Recipe
from tools.trunks.loading import Encoder


class Teacher(Protocol):
    """Tells what it thinks of a batch."""

    def __call__(self, batch: Batch) -> Wisdom:
        """Its probabilities."""


class MarkingLesson:
    """Routes and tags, from a teacher's answers too where there is one."""

    def __init__(self, batcher: Batcher, loss: Loss, teacher: Teacher | None = None) -> None:
        self.recipe: Recipe = loss.recipe
        self._batcher = batcher
        self._loss = loss
        self._teacher = teacher

    def rows(self, examples: Sequence[Example]) -> list[Row]:
        """The examples, tokenised, in order."""
        return self._batcher.rows(examples)

    def loss(self, encoder: Encoder, rows: Sequence[Row]) -> Tensor:
        """Of one step over these rows."""
        batch = self._batcher.batch(rows)
        wisdom = self._teacher(batch) if self._teacher else None
        return self._loss(encoder, batch, wisdom, self._holed(batch))

    def _holed(self, batch: Batch) -> Tensor:
        """The ids with some tokens hidden, so that a route does not hang on one word."""
        hidden = torch.rand(batch.kept.shape) < self.recipe.hole_share
        rows, columns = (hidden & batch.tagged).nonzero(as_tuple=True)
        ids = batch.ids.clone()
        ids[rows, batch.kept[rows, columns]] = self._batcher.hole
        return ids


def logits(
    encoder: Encoder, batcher: Batcher, examples: list[Example]
) -> Iterator[tuple[Tensor | None, Tensor | None]]:
    """Route logits [R] and tag logits [L, C] of each message, without gradients."""
    encoder.eval()
    for batch in batcher.batches(examples, 32):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            routes, tags = encoder(batch.ids, batch.mask)
        kept = None if tags is None else at_kept(tags, batch)
        for row, length in enumerate(batch.tagged.sum(1).tolist()):
            route = None if routes is None else routes[row]
            yield route, None if kept is None else kept[row, :length]
