"""The joint encoder: a trunk, a route head on pooled tokens, a tag head on each token.

B messages, T tokens, H hidden, R routes, C = 1 + 2 * labels tag columns. Products of the trunk and
the word table are fake-quantised while asked to; everything else is float32. Which trunk it is, a
subclass says.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tools.trunks.parts import QuantModel, Words

DROPOUT = 0.1


@dataclass(frozen=True)
class Shape:
    """Sizes every encoder has. ``tap`` numbers the layer whose output the tag head sees as well."""

    routes: int
    labels: int
    hidden: int
    heads: int
    ffn: int
    layers: int
    max_tokens: int
    vocabulary: int
    epsilon: float = 1e-12

    @property
    def tags(self) -> int:
        return 1 + 2 * self.labels if self.labels else 0

    @property
    def tap(self) -> int:
        return max(1, self.layers // 2)


class Encoder(QuantModel):
    """Heads over a trunk. A head that has nothing to say (no routes, no labels) is absent.

    A subclass fills ``layers`` and gives ``states``.
    """

    layers: nn.ModuleList

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.words = Words(shape.vocabulary, shape.hidden)
        self.dropout = nn.Dropout(DROPOUT)
        self.route = nn.Linear(3 * shape.hidden, shape.routes) if shape.routes else None
        self.tag = nn.Linear(2 * shape.hidden, shape.tags) if shape.tags else None
        self.transitions = nn.Parameter(torch.zeros(shape.tags, shape.tags))

    def states(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Ids and mask [B, T] int64 -> the last states and those of the tapped layer, [B, T, H]."""
        raise NotImplementedError

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Ids and mask [B, T] int64 -> route logits [B, R], tag logits [B, T, C]."""
        last, tapped = self.states(ids, mask)
        return self._route(last, mask), self._tag(last, tapped)

    def _route(self, x: Tensor, mask: Tensor) -> Tensor | None:
        if self.route is None:
            return None
        return _in_float(self.route, self.dropout(pool(x.float(), mask)))

    def _tag(self, x: Tensor, tapped: Tensor) -> Tensor | None:
        if self.tag is None:
            return None
        return _in_float(self.tag, self.dropout(torch.cat([x, tapped], -1).float()))


def pool(x: Tensor, mask: Tensor) -> Tensor:
    """First token, mean and maximum over real tokens. [B, T, H] -> [B, 3 H]."""
    real = mask[:, :, None].to(x.dtype)
    mean = (x * real).sum(1) / real.sum(1)
    largest = (x + (real - 1) * 1e4).amax(1)
    return torch.cat([x[:, 0], mean, largest], -1)


def _in_float(head: nn.Linear, features: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return head(features)
