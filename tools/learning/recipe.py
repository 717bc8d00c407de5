"""How to train: every number that shapes a training, in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Rates are per step of AdamW; shares are of all steps.

    Few messages get more epochs, so that there are ``fewest_steps`` at least. The development split
    judges about ``judgements`` times; training ends early when ``patience`` of them in a row were
    worse than the best by more than its standard error. In the share ``heads_first`` only the heads
    learn: a head of random weights would pull the base away from what it knows (LP-FT, arXiv
    2202.10054). ``excerpt`` is the share of messages shown in part. ``mark_weight`` is that of
    where extracted values stand, beside the answers of what writes.
    """

    epochs: int = 10
    fewest_steps: int = 600
    judgements: int = 12
    patience: int = 5
    batch_messages: int = 32
    seed: int = 7
    quantise: bool = True
    trunk_rate: float = 3e-4
    head_rate: float = 1e-3
    layer_decay: float = 0.85
    weight_decay: float = 0.01
    warm_up: float = 0.08
    heads_first: float = 0.0
    float_share: float = 0.15
    refresh_steps: int = 25
    average: float = 0.995
    tag_weight: float = 1.0
    token_weight: float = 0.5
    smoothing: float = 0.1
    hole_share: float = 0.06
    slip: float = 0.3
    swap: float = 0.4
    excerpt: float = 0.1
    class_weight_power: float = 0.0
    abstain_cost: float = 0.01
    mark_weight: float = 0.0
    teacher_weight: float = 0.5
    teacher_temperature: float = 2.0

    def epochs_over(self, messages: int) -> int:
        """Passes over that many messages."""
        fewest = math.ceil(self.fewest_steps * self.batch_messages / max(1, messages))
        return max(self.epochs, fewest)

    def is_judged(self, epoch: int, epochs: int) -> bool:
        """Whether dev judges after that epoch, counted from 1."""
        return epoch == epochs or epoch % max(1, epochs // self.judgements) == 0
