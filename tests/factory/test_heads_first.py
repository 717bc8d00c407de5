"""Heads before trunk: with messages of a small site and a base of a few KB."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.tiny_trainer import Forgetful, tiny_trainer
from tools.learning.recipe import Recipe
from tools.learning.training import HEADS, Verdict


@pytest.mark.parametrize(("share", "trunk_moves"), [(1.0, False), (0.5, True), (0.0, True)])
def test_the_trunk_stays_as_it_is_while_only_heads_learn(
    share: float, trunk_moves: bool, tmp_path: Path
) -> None:
    """For the share of steps that the recipe names; the heads learn from the first step on."""
    trainer, messages = tiny_trainer(tmp_path, Recipe(heads_first=share, quantise=False))
    encoder = trainer.model
    before = {name: x.detach().clone() for name, x in encoder.named_parameters()}
    trainer.fit([messages] * 2, lambda _: Verdict(0.0, "", 1), Forgetful())
    moved = {name for name, x in encoder.named_parameters() if not torch.equal(x, before[name])}
    assert {name for name in before if name.startswith(HEADS)} <= moved
    assert any(not name.startswith(HEADS) for name in moved) is trunk_moves
