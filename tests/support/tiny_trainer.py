"""A trainer of a base of a few KB on the messages of a small site."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.support.small_site import small_site
from tests.support.tiny_bases import MAKERS
from tools.bases.base import open_base
from tools.corpus.annotation import Example
from tools.data import read_jsonl, vocabulary_of
from tools.learning.batches import Batcher, load_tokenizer
from tools.learning.loss import Loss
from tools.learning.marking import MarkingLesson
from tools.learning.recipe import Recipe
from tools.learning.training import Trainer
from tools.trunks.joint import Encoder
from tools.trunks.loading import load_encoder


class Forgetful:
    """Keeps no state between runs."""

    def load(self) -> None:
        return None

    def save(self, state: object) -> None:
        pass


def tiny_trainer(folder: Path, recipe: Recipe) -> tuple[Trainer[Encoder], list[Example]]:
    """The trainer, and messages for its epochs."""
    messages = read_jsonl(small_site(folder / "site") / "train.jsonl")
    vocabulary, base = vocabulary_of(messages), open_base(MAKERS["bert"](folder / "base"))
    torch.manual_seed(0)
    encoder = load_encoder(base, len(vocabulary.routes), len(vocabulary.labels), 32)
    batcher = Batcher(load_tokenizer(base.tokenizer, 32), vocabulary, base.hole)
    lesson = MarkingLesson(batcher, Loss(recipe, vocabulary.tags))
    return Trainer(encoder, lesson), messages
