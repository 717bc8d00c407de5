"""What training minimises: routes, tag sequences, and agreement with a teacher where there is one.

Knows nothing of optimisers or of where batches come from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from tools.learning.batches import Batch, Row
from tools.learning.crf import forbidden, negative_log_likelihood
from tools.learning.recipe import Recipe
from tools.trunks.loading import Encoder

HEAVIEST = 5.0
TYPICAL_TOKENS = 4


@dataclass(frozen=True)
class Wisdom:
    """A teacher's probabilities for one batch: ``routes`` [B, R], ``tags`` [B, L, C], or None."""

    routes: Tensor | None
    tags: Tensor | None


class Loss:
    """The loss of one batch. ``class_weights`` [R] count rare routes for more."""

    def __init__(self, recipe: Recipe, tags: int, class_weights: Tensor | None = None) -> None:
        self.recipe = recipe
        self.fixed = forbidden(tags)
        self.class_weights = class_weights

    def __call__(
        self, encoder: Encoder, batch: Batch, wisdom: Wisdom | None, ids: Tensor
    ) -> Tensor:
        """Runs the encoder over ``ids`` [B, T], the batch's own with some tokens hidden."""
        with torch.autocast("cpu", torch.bfloat16):
            routes, tags = encoder(ids, batch.mask)
        loss = _nothing(routes, tags)
        if routes is not None:
            loss = loss + self._route_loss(routes, batch, wisdom)
        if tags is not None and batch.tagged.any():
            loss = loss + self._tag_loss(at_kept(tags, batch), batch, encoder.transitions, wisdom)
        return loss

    def _route_loss(self, routes: Tensor, batch: Batch, wisdom: Wisdom | None) -> Tensor:
        known = batch.routes >= 0
        loss = torch.zeros(())
        if known.any():
            smoothing = self.recipe.smoothing
            loss = F.cross_entropy(
                routes[known], batch.routes[known], self.class_weights, label_smoothing=smoothing
            )
        return self._with_teacher(loss, routes, wisdom and wisdom.routes)

    def _tag_loss(
        self, emissions: Tensor, batch: Batch, transitions: Tensor, wisdom: Wisdom | None
    ) -> Tensor:
        """CRF over the sequence, and plain cross-entropy of each token beside it."""
        some = batch.tagged.any(1)
        chain = negative_log_likelihood(
            emissions[some], transitions + self.fixed, batch.tags[some], batch.tagged[some]
        )
        length = batch.tagged[some].float().sum(1).mean()
        flat, gold = emissions[batch.tagged], batch.tags[batch.tagged]
        taught = None if wisdom is None or wisdom.tags is None else wisdom.tags[batch.tagged]
        single = self._with_teacher(F.cross_entropy(flat, gold), flat, taught)
        weights = self.recipe
        return weights.tag_weight * chain * TYPICAL_TOKENS / length + weights.token_weight * single

    def _with_teacher(self, loss: Tensor, logits: Tensor, taught: Tensor | None) -> Tensor:
        """Cross-entropy against the teacher, both softened, mixed in by its weight."""
        if taught is None:
            return loss
        heat, share = self.recipe.teacher_temperature, self.recipe.teacher_weight
        soft = F.softmax(taught.clamp_min(1e-8).log() / heat, -1)
        agreement = -(soft * F.log_softmax(logits / heat, -1)).sum(-1).mean() * heat**2
        return (1 - share) * loss + share * agreement


def _nothing(*logits: Tensor | None) -> Tensor:
    """0 that gradients can be taken of: a batch may hold messages of no route only."""
    return sum(((0 * x).sum() for x in logits if x is not None), torch.zeros(()))


def at_kept(tags: Tensor, batch: Batch) -> Tensor:
    """Tag logits of the tokens that stand for characters: [B, T, C] -> [B, L, C]."""
    return tags.gather(1, batch.kept.unsqueeze(-1).expand(-1, -1, tags.shape[-1]))


def class_weights(rows: Sequence[Row], routes: int, power: float) -> Tensor | None:
    """``(mean count / count) ** power`` of each route [R], capped; None for power 0."""
    if not power or not routes:
        return None
    counts = Counter(row.route for row in rows if row.route >= 0)
    mean = counts.total() / routes
    weights = [(mean / max(1, counts[route])) ** power for route in range(routes)]
    return torch.tensor(weights).clamp(1 / HEAVIEST, HEAVIEST)
