"""The training loop: float warm start, then quantisation in the loop; keeps a moving average.

Of the averages that dev finds as good as the best, the last is taken: where rates have fallen and
quantisation has been learnt for longest. As good means within a standard error.

Knows nothing of files: it hands out its state after each judgement of dev and goes on from one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from tools.learning.batches import Tokenised, shuffled
from tools.learning.recipe import Recipe
from tools.trunks.parts import QuantModel

Model = TypeVar("Model", bound=QuantModel)


class Lesson(Protocol):
    """What is to be learnt: examples to rows of tokens, rows to a loss."""

    recipe: Recipe

    def rows(self, examples: Sequence[Any]) -> list[Any]:
        """The examples, tokenised, in order."""

    def loss(self, model: Any, rows: Sequence[Tokenised]) -> Tensor:
        """Of one step."""


class Keeper(Protocol):
    """Keeps the state of a training between runs."""

    def load(self) -> dict[str, Any] | None:
        """The last state, if there is one."""

    def save(self, state: dict[str, Any]) -> None:
        """Keeps this one instead."""


@dataclass(frozen=True)
class Verdict:
    """What the development split says of the model: a score to compare by, and a line to read.

    ``score`` is a share of ``messages``.
    """

    score: float
    line: str
    messages: int

    @property
    def standard_error(self) -> float:
        """Of the score, as that of a proportion."""
        return math.sqrt(self.score * (1 - self.score) / self.messages)


Judge = Callable[[Any], Verdict]
Epochs = Sequence[Sequence[Any]]
HEADS = ("route", "tag", "transitions", "mark")


class Trainer(Generic[Model]):
    """Owns the model in training, the average of its weights, and that to be taken so far."""

    def __init__(self, model: Model, lesson: Lesson) -> None:
        self.model = model
        self.lesson = lesson
        self.recipe: Recipe = lesson.recipe
        self.average = copy.deepcopy(model).eval()
        self.optimiser = torch.optim.AdamW(_groups(model, self.recipe), fused=True)
        self.rates = [group["lr"] for group in self.optimiser.param_groups]
        self.epoch = self.step = self.worse = 0
        self.best_score = -math.inf
        self.kept: dict[str, Tensor] = {}

    def fit(self, epochs: Epochs, judge: Judge, keeper: Keeper) -> Model:
        """Trains on one list of messages an epoch; gives the average to be taken."""
        size = self.recipe.batch_messages
        total = sum(-(-len(examples) // size) for examples in epochs)
        self._resume(keeper.load())
        with _progress() as progress:
            task = progress.add_task("training", total=total, completed=self.step, note="")
            while self.epoch < len(epochs) and self.worse < self.recipe.patience:
                rows = self.lesson.rows(epochs[self.epoch])
                for batch in shuffled(rows, size, self.recipe.seed + self.epoch):
                    loss = self._step(batch, total)
                    progress.update(task, advance=1, note=f"loss {loss:.2f}")
                self.epoch += 1
                if self.recipe.is_judged(self.epoch, len(epochs)):
                    line = self._judged(judge)
                    progress.console.print(f"epoch {self.epoch}/{len(epochs)}: {line}")
                    keeper.save(self._state())
        return self.finished()

    def finished(self) -> Model:
        """The averaged model, ready to export."""
        if self.kept:
            self.average.load_state_dict(self.kept)
        self.average.words.widen()
        self.average.set_quantise(self.recipe.quantise)
        return self.average

    def _judged(self, judge: Judge) -> str:
        """Has the average judged as it would be packed, and keeps it unless it is worse."""
        if self.recipe.quantise and not self._quantising():
            return "without quantisation yet"
        self.average.set_quantise(self.recipe.quantise)
        verdict = judge(self.average)
        self.worse += 1
        self.best_score = max(self.best_score, verdict.score)
        if verdict.score >= self.best_score - verdict.standard_error:
            self.worse = 0
            self.kept = {name: x.clone() for name, x in self.average.state_dict().items()}
        return verdict.line

    def _step(self, rows: Sequence[Tokenised], total: int) -> float:
        self._schedule(total)
        self.model.train()
        loss = self.lesson.loss(self.model, rows)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self._follow()
        self.step += 1
        return loss.item()

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
            self.model.set_quantise(True)
        elif recipe.quantise and step % recipe.refresh_steps == 0 and self._quantising():
            self.model.refresh()

    def _quantising(self) -> bool:
        return self.model.words.quantise

    def _follow(self) -> None:
        """Moves the average towards the weights; quickly at first."""
        share = max(1 - self.recipe.average, 1 / (1 + self.step / 4))
        with torch.no_grad():
            slow, fast = list(self.average.parameters()), list(self.model.parameters())
            torch._foreach_lerp_(slow, fast, share)

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "kept": self.kept,
            "marks": [self.epoch, self.step, self.worse, self.best_score],
            "quantising": self._quantising(),
            "random": torch.get_rng_state(),
        }

    def _resume(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        if state["quantising"]:
            self.model.set_quantise(True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.kept = state["kept"]
        self.epoch, self.step, self.worse, self.best_score = state["marks"]
        torch.set_rng_state(state["random"])
        print(f"going on after epoch {self.epoch}", flush=True)


def _groups(model: QuantModel, recipe: Recipe) -> list[dict[str, object]]:
    """Parameter groups: lower layers move less, vectors are not decayed."""
    groups: dict[tuple[float, float, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        rate, head = _rate(name, recipe, model.shape.layers), name.startswith(HEADS)
        decay = recipe.weight_decay if parameter.ndim > 1 and name != "positions" else 0.0
        fresh = {"params": [], "lr": rate, "weight_decay": decay, "head": head}
        groups.setdefault((rate, decay, head), fresh)["params"].append(parameter)
    return list(groups.values())


def _rate(name: str, recipe: Recipe, layers: int) -> float:
    if name.startswith(HEADS):
        return recipe.head_rate
    depth = int(name.split(".")[1]) + 1 if name.startswith("layers.") else 0
    return recipe.trunk_rate * recipe.layer_decay ** (layers - depth)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
