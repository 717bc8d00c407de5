"""What training minimises over messages that say little or nothing."""

from __future__ import annotations

import torch

from tests.factory.test_training import tiny_encoder
from tools.learning.batches import IGNORED_ROUTE, Batch
from tools.learning.loss import Loss, Wisdom
from tools.learning.recipe import Recipe


def unrouted() -> Batch:
    """Two messages of three tokens, without route or entity."""
    ids = torch.tensor([[1, 2, 3], [1, 4, 5]])
    kept = torch.tensor([[1, 2], [1, 2]])
    some = torch.ones_like(kept).bool()
    routes = torch.full((2,), IGNORED_ROUTE)
    return Batch(["a", "b"], ids, torch.ones_like(ids), kept, kept * 0, some, routes)


def taught(wisdom: Wisdom | None) -> torch.Tensor:
    """How the route head is moved by messages without a route."""
    encoder, batch = tiny_encoder(routes=3, labels=0), unrouted()
    Loss(Recipe(), tags=0)(encoder, batch, wisdom, batch.ids).backward()
    return encoder.route.weight.grad


def test_a_batch_without_a_single_route_teaches_nothing_and_ends_no_training() -> None:
    """Where most messages have none, such batches come."""
    assert not taught(None).any()


def test_a_teacher_is_heard_on_a_batch_without_a_single_route() -> None:
    """As on one where a single message has a route."""
    assert taught(Wisdom(torch.tensor([[0.8, 0.1, 0.1]] * 2), None)).any()
