"""What a generator learns: the tokens of an answer behind a prompt. Knows no JSON.

Prompts are made by the runtime's own code, so what is learnt is what will be asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.rnn import pad_sequence

from edge_agent.inference.byte_pairs import BytePairs
from edge_agent.inference.prompt import PromptEncoder
from tools.learning.recipe import Recipe
from tools.trunks.gemma3_generator import Gemma3Generator
from tools.writing.pairs import Pair


@dataclass(frozen=True)
class AnswerRow:
    """One pair as tokens: from ``ids[answer]`` on its answer, and last the token that ends it."""

    ids: list[int]
    answer: int


class Tokens:
    """Prompts and answers to tokens. ``stop`` ends an answer."""

    def __init__(self, tokenizer: BytePairs, prompts: PromptEncoder, stop: int) -> None:
        self.tokenizer = tokenizer
        self.prompts = prompts
        self._stop = stop

    def answer(self, text: str) -> list[int]:
        """The tokens of an answer, without that which ends it."""
        return self.tokenizer.encode(text).ids

    def row(self, pair: Pair) -> AnswerRow:
        """The whole of a pair."""
        prompt = self.prompts.encode(pair.text).ids
        return AnswerRow([*prompt, *self.answer(pair.answer), self._stop], len(prompt))


class AnsweringLesson:
    """The loss is on the tokens of the answers only."""

    def __init__(self, recipe: Recipe, tokens: Tokens, device: torch.device) -> None:
        self.recipe = recipe
        self._tokens = tokens
        self._device = device

    def rows(self, examples: Iterable[Pair]) -> list[AnswerRow]:
        """The pairs, tokenised, in order."""
        return [self._tokens.row(pair) for pair in examples]

    def loss(self, model: Gemma3Generator, rows: Sequence[AnswerRow]) -> Tensor:
        """Cross-entropy of each token of the answers, from what stands before it."""
        lists = [torch.tensor(row.ids) for row in rows]
        ids = pad_sequence(lists, batch_first=True).to(self._device)
        ends = torch.tensor([len(row.ids) for row in rows])[:, None]
        starts = torch.tensor([row.answer for row in rows])[:, None]
        places = torch.arange(1, ids.shape[1])
        written = ((places >= starts) & (places < ends)).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16):
            states = model(ids[:, :-1])[written]
            logits = model.words.logits(states)
        return F.cross_entropy(logits.float(), ids[:, 1:][written])
