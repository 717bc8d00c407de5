"""Heads before trunk: with messages of a small site and a base of a few KB."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.small_site import small_site
from tests.support.tiny_bases import MAKERS
from tools.bases.base import open_base
from tools.data import read_jsonl, vocabulary_of
from tools.learning.batches import Batcher, load_tokenizer
from tools.learning.loss import Loss
from tools.learning.marking import MarkingLesson
from tools.learning.recipe import Recipe
from tools.learning.training import HEADS, Trainer, Verdict
from tools.trunks.loading import load_encoder


class Forgetful:
    """Keeps no state between runs."""

    def load(self) -> None:
        return None

    def save(self, state: object) -> None:
        pass


@pytest.mark.parametrize(("share", "trunk_moves"), [(1.0, False), (0.5, True), (0.0, True)])
def test_the_trunk_stays_as_it_is_while_only_heads_learn(
    share: float, trunk_moves: bool, tmp_path: Path
) -> None:
    """For the share of steps that the recipe names; the heads learn from the first step on."""
    messages = read_jsonl(small_site(tmp_path / "site") / "train.jsonl")
    vocabulary, base = vocabulary_of(messages), open_base(MAKERS["bert"](tmp_path / "base"))
    torch.manual_seed(0)
    encoder = load_encoder(base, len(vocabulary.routes), len(vocabulary.labels), 32)
    batcher = Batcher(load_tokenizer(base.tokenizer, 32), vocabulary, base.hole)
    before = {name: x.detach().clone() for name, x in encoder.named_parameters()}
    recipe = Recipe(heads_first=share, quantise=False)
    trainer = Trainer(encoder, MarkingLesson(batcher, Loss(recipe, vocabulary.tags)))
    trainer.fit([messages] * 2, lambda _: Verdict(0.0, ""), Forgetful())
    moved = {name for name, x in encoder.named_parameters() if not torch.equal(x, before[name])}
    assert {name for name in before if name.startswith(HEADS)} <= moved
    assert any(not name.startswith(HEADS) for name in moved) is trunk_moves
