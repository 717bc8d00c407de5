"""How to train: every number that shapes a training, in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Rates are per step of AdamW; shares are of all steps.

    Few messages get more epochs, so that there are ``fewest_steps`` at least. Training ends before
    its last epoch when ``patience_epochs`` in a row were no better on the development split.
    """

    epochs: int = 12
    fewest_steps: int = 600
    patience_epochs: int = 4
    batch_messages: int = 32
    seed: int = 7
    quantise: bool = True
    trunk_rate: float = 3e-4
    head_rate: float = 1e-3
    layer_decay: float = 0.85
    weight_decay: float = 0.01
    warm_up: float = 0.08
    float_share: float = 0.15
    refresh_steps: int = 25
    average: float = 0.995
    tag_weight: float = 1.0
    token_weight: float = 0.5
    smoothing: float = 0.1
    hole_share: float = 0.06
    class_weight_power: float = 0.0
    abstain_cost: float = 0.01
    teacher_weight: float = 0.5
    teacher_temperature: float = 2.0

    def epochs_over(self, messages: int) -> int:
        """Passes over that many messages."""
        fewest = math.ceil(self.fewest_steps * self.batch_messages / max(1, messages))
        return max(self.epochs, fewest)
