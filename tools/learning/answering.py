"""What a generator learns: the tokens of an answer behind a prompt. Knows no JSON.

Prompts are made by the runtime's own code, so what is learnt is what will be asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.rnn import pad_sequence

from edge_agent.inference.byte_pairs import BytePairs
from edge_agent.inference.prompt import Prompt, PromptEncoder
from tools.learning.recipe import Recipe
from tools.trunks.gemma3_generator import Gemma3Generator
from tools.writing.marks import Marks
from tools.writing.pairs import Pair


@dataclass(frozen=True)
class AnswerRow:
    """One pair as tokens: from ``ids[answer]`` on its answer, and last the token that ends it.

    ``marks`` tells what the tokens of the text belong to, by their number in ``ids``.
    """

    ids: list[int]
    answer: int
    marks: Mapping[int, int] = field(default_factory=dict)


class Tokens:
    """Prompts and answers to tokens. ``stop`` ends an answer, ``marks`` are learnt besides."""

    def __init__(
        self, tokenizer: BytePairs, prompts: PromptEncoder, stop: int, marks: Marks | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self.prompts = prompts
        self._marks = marks
        self._stop = stop

    def answer(self, text: str) -> list[int]:
        """The tokens of an answer, without that which ends it."""
        return self.tokenizer.spell(text)

    def row(self, pair: Pair) -> AnswerRow:
        """The whole of a pair."""
        prompt = self.prompts.encode(pair.text)
        ids = [*prompt.ids, *self.answer(pair.answer), self._stop]
        return AnswerRow(ids, len(prompt.ids), self._marked(pair, prompt))

    def _marked(self, pair: Pair, prompt: Prompt) -> dict[int, int]:
        """Of each token of the text, where it stands last: 0 nothing, else 1 + its place."""
        if self._marks is None:
            return {}
        spans = list(self._marks.of(pair, prompt.text))
        offsets = self.tokenizer.encode(prompt.text).offsets
        return {
            prompt.last + i: next((1 + n for a, b, n in spans if start < b and end > a), 0)
            for i, (start, end) in enumerate(offsets)
        }


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
        """Cross-entropy of each token of the answers, from what stands before it.

        And of what each token of the text belongs to, where the model has a head for that: a text
        says at each of its words what an answer says once.
        """
        lists = [torch.tensor(row.ids) for row in rows]
        ids = pad_sequence(lists, batch_first=True).to(self._device)
        ends = torch.tensor([len(row.ids) for row in rows])[:, None]
        starts = torch.tensor([row.answer for row in rows])[:, None]
        places = torch.arange(1, ids.shape[1])
        written = ((places >= starts) & (places < ends)).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16):
            states = model(ids[:, :-1])
            logits = model.words.logits(states[written])
        loss = F.cross_entropy(logits.float(), ids[:, 1:][written])
        if model.mark is None:
            return loss
        return loss + self.recipe.mark_weight * self._marking(model.mark, states, rows)

    def _marking(self, head: nn.Linear, states: Tensor, rows: Sequence[AnswerRow]) -> Tensor:
        found = [(n, i, mark) for n, row in enumerate(rows) for i, mark in row.marks.items()]
        numbers, tokens, marks = torch.tensor(found).to(self._device).T
        return F.cross_entropy(head(states[numbers, tokens].float()), marks)
