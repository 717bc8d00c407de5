"""The training loop: float warm start, then quantisation in the loop; keeps a moving average.

Knows nothing of files: it hands out its state after each judgement of dev and goes on from one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from tools.corpus.annotation import Example
from tools.learning.batches import Batch, Batcher, shuffled
from tools.learning.loss import Loss, Wisdom, at_kept
from tools.learning.recipe import Recipe
from tools.trunks.loading import Encoder


class Teacher(Protocol):
    """Tells what it thinks of a batch."""

    def __call__(self, batch: Batch) -> Wisdom:
        """Its probabilities."""


class Keeper(Protocol):
    """Keeps the state of a training between runs."""

    def load(self) -> dict[str, Any] | None:
        """The last state, if there is one."""

    def save(self, state: dict[str, Any]) -> None:
        """Keeps this one instead."""


@dataclass(frozen=True)
class Verdict:
    """What the development split says of the model: a score to compare by, and a line to read."""

    score: float
    line: str


Judge = Callable[[Encoder], Verdict]
HEADS = ("route", "tag", "transitions")


class Trainer:
    """Owns the model in training, the average of its weights, and the best average so far."""

    def __init__(
        self, encoder: Encoder, batcher: Batcher, loss: Loss, teacher: Teacher | None = None
    ) -> None:
        self.encoder = encoder
        self.batcher = batcher
        self.loss = loss
        self.recipe: Recipe = loss.recipe
        self.teacher = teacher
        self.average = copy.deepcopy(encoder).eval()
        self.optimiser = torch.optim.AdamW(_groups(encoder, self.recipe), fused=True)
        self.rates = [group["lr"] for group in self.optimiser.param_groups]
        self.epoch = self.step = self.worse = 0
        self.best_score = -math.inf
        self.best: dict[str, Tensor] = {}

    def fit(self, epochs: list[list[Example]], judge: Judge, keeper: Keeper) -> Encoder:
        """Trains on one list of messages an epoch; gives the average that was best on dev."""
        size = self.recipe.batch_messages
        total = sum(-(-len(examples) // size) for examples in epochs)
        self._resume(keeper.load())
        with _progress() as progress:
            task = progress.add_task("training", total=total, completed=self.step, note="")
            while self.epoch < len(epochs) and self.worse < self.recipe.patience:
                rows = self.batcher.rows(epochs[self.epoch])
                for batch in shuffled(rows, size, self.recipe.seed + self.epoch):
                    loss = self._step(self.batcher.batch(batch), total)
                    progress.update(task, advance=1, note=f"loss {loss:.2f}")
                self.epoch += 1
                if self.recipe.is_judged(self.epoch, len(epochs)):
                    line = self._judged(judge)
                    progress.console.print(f"epoch {self.epoch}/{len(epochs)}: {line}")
                    keeper.save(self._state())
        return self.finished()

    def finished(self) -> Encoder:
        """The averaged model, ready to export."""
        if self.best:
            self.average.load_state_dict(self.best)
        self.average.words.widen()
        self.average.set_quantise(self.recipe.quantise)
        return self.average

    def _judged(self, judge: Judge) -> str:
        """Has the average judged as it would be packed, and keeps it when it is the best."""
        if self.recipe.quantise and not self._quantising():
            return "without quantisation yet"
        self.average.set_quantise(self.recipe.quantise)
        verdict = judge(self.average)
        self.worse += 1
        if verdict.score >= self.best_score:
            self.best_score, self.worse = verdict.score, 0
            self.best = {name: x.clone() for name, x in self.average.state_dict().items()}
        return verdict.line

    def _step(self, batch: Batch, total: int) -> float:
        self._schedule(total)
        self.encoder.train()
        wisdom = self.teacher(batch) if self.teacher else None
        loss = self.loss(self.encoder, batch, wisdom, self._holed(batch))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), 1.0)
        self.optimiser.step()
        self._follow()
        self.step += 1
        return loss.item()

    def _holed(self, batch: Batch) -> Tensor:
        """The ids with some tokens hidden, so that a route does not hang on one word."""
        hidden = torch.rand(batch.kept.shape) < self.recipe.hole_share
        rows, columns = (hidden & batch.tagged).nonzero(as_tuple=True)
        ids = batch.ids.clone()
        ids[rows, batch.kept[rows, columns]] = self.batcher.hole
        return ids

    def _schedule(self, total: int) -> None:
        """Warm-up, then cosine to a hundredth; quantisation on after its share of steps."""
        recipe, step = self.recipe, self.step
        warm = max(1, round(recipe.warm_up * total))
        far = min(1.0, max(0.0, (step - warm) / max(1, total - warm)))
        factor = min((step + 1) / warm, 0.01 + 0.99 * (1 + math.cos(math.pi * far)) / 2)
        heads_only = step < recipe.heads_first * total
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = 0.0 if heads_only and not group["head"] else rate * factor
        if recipe.quantise and step == round(recipe.float_share * total):
            self.encoder.set_quantise(True)
        elif recipe.quantise and step % recipe.refresh_steps == 0 and self._quantising():
            self.encoder.refresh()

    def _quantising(self) -> bool:
        return self.encoder.words.quantise

    def _follow(self) -> None:
        """Moves the average towards the weights; quickly at first."""
        share = max(1 - self.recipe.average, 1 / (1 + self.step / 4))
        with torch.no_grad():
            slow, fast = list(self.average.parameters()), list(self.encoder.parameters())
            torch._foreach_lerp_(slow, fast, share)

    def _state(self) -> dict[str, Any]:
        return {
            "encoder": self.encoder.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "best": self.best,
            "marks": [self.epoch, self.step, self.worse, self.best_score],
            "quantising": self._quantising(),
            "random": torch.get_rng_state(),
        }

    def _resume(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        if state["quantising"]:
            self.encoder.set_quantise(True)
        self.encoder.load_state_dict(state["encoder"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.best = state["best"]
        self.epoch, self.step, self.worse, self.best_score = state["marks"]
        torch.set_rng_state(state["random"])
        print(f"going on after epoch {self.epoch}", flush=True)


def _groups(encoder: Encoder, recipe: Recipe) -> list[dict[str, object]]:
    """Parameter groups: lower layers move less, vectors are not decayed."""
    groups: dict[tuple[float, float, bool], dict[str, Any]] = {}
    for name, parameter in encoder.named_parameters():
        rate, head = _rate(name, recipe, encoder.shape.layers), name.startswith(HEADS)
        decay = recipe.weight_decay if parameter.ndim > 1 and name != "positions" else 0.0
        fresh = {"params": [], "lr": rate, "weight_decay": decay, "head": head}
        groups.setdefault((rate, decay, head), fresh)["params"].append(parameter)
    return list(groups.values())


def _rate(name: str, recipe: Recipe, layers: int) -> float:
    if name.startswith(HEADS):
        return recipe.head_rate
    depth = int(name.split(".")[1]) + 1 if name.startswith("layers.") else 0
    return recipe.trunk_rate * recipe.layer_decay ** (layers - depth)


def logits(
    encoder: Encoder, batcher: Batcher, examples: list[Example]
) -> Iterator[tuple[Tensor | None, Tensor | None]]:
    """Route logits [R] and tag logits [L, C] of each message, without gradients."""
    encoder.eval()
    for batch in batcher.batches(examples, 32):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            routes, tags = encoder(batch.ids, batch.mask)
        kept = None if tags is None else at_kept(tags, batch)
        for row, length in enumerate(batch.tagged.sum(1).tolist()):
            route = None if routes is None else routes[row]
            yield route, None if kept is None else kept[row, :length]


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
