"""The training loop: float warm start, then quantisation in the loop; keeps a moving average."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from tools.batches import Batch, Batcher, shuffled
from tools.corpus.annotation import Example
from tools.crf import forbidden, negative_log_likelihood
from tools.model import Encoder


@dataclass(frozen=True)
class Recipe:
    """How to train. Rates are per step of AdamW; shares are of all steps.

    Few messages get more epochs, so that there are ``fewest_steps`` at least.
    """

    epochs: int = 12
    fewest_steps: int = 600
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
    learn_words: bool = True
    hole_share: float = 0.06

    def epochs_over(self, messages: int) -> int:
        """Passes over that many messages."""
        fewest = math.ceil(self.fewest_steps * self.batch_messages / max(1, messages))
        return max(self.epochs, fewest)


class Trainer:
    """Owns the model in training and the average of its weights."""

    def __init__(self, encoder: Encoder, batcher: Batcher, recipe: Recipe) -> None:
        self.encoder = encoder
        self.batcher = batcher
        self.recipe = recipe
        self.average = copy.deepcopy(encoder).eval()
        self.hole = batcher.tokenizer.token_to_id("[MASK]")
        marks = ("[CLS]", "[SEP]", "[PAD]")
        self.special = torch.tensor([batcher.tokenizer.token_to_id(mark) for mark in marks])
        self.fixed = forbidden(encoder.shape.tags)
        encoder.words.weight.requires_grad_(recipe.learn_words)
        self.optimiser = torch.optim.AdamW(_groups(encoder, recipe), fused=True)
        self.rates = [group["lr"] for group in self.optimiser.param_groups]

    def fit(self, epochs: list[list[Example]], report: Callable[[int, Encoder], str]) -> Encoder:
        """Trains on one list of messages an epoch; ``report`` says how the average does."""
        plan = [
            shuffled(examples, self.recipe.batch_messages, self.recipe.seed + number)
            for number, examples in enumerate(epochs)
        ]
        total, step = sum(map(len, plan)), 0
        with _progress() as progress:
            task = progress.add_task("training", total=total, note="")
            for number, batches in enumerate(plan, 1):
                for examples in batches:
                    loss = self._step(self.batcher.batch(examples), step, total)
                    step += 1
                    progress.update(task, advance=1, note=f"loss {loss:.2f}")
                progress.console.print(
                    f"epoch {number}/{len(plan)}: {report(number, self.average)}"
                )
        return self.finished()

    def finished(self) -> Encoder:
        """The averaged model, ready to export."""
        self.average.set_quantise(self.recipe.quantise)
        return self.average

    def _step(self, batch: Batch, step: int, total: int) -> float:
        self._schedule(step, total)
        self.encoder.train()
        with torch.autocast("cpu", torch.bfloat16):
            outputs = self.encoder(self._holed(batch), batch.mask)
        loss = self._loss(batch, *outputs)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), 1.0)
        self.optimiser.step()
        self._follow(step)
        return loss.item()

    def _holed(self, batch: Batch) -> Tensor:
        """The ids with some tokens hidden, so that a route does not hang on one word."""
        holes = torch.rand(batch.ids.shape) < self.recipe.hole_share
        special = torch.isin(batch.ids, self.special)
        return torch.where(holes & ~special, self.hole, batch.ids)

    def _schedule(self, step: int, total: int) -> None:
        """Warm-up, then cosine to a hundredth; quantisation on after its share of steps."""
        recipe = self.recipe
        warm = max(1, round(recipe.warm_up * total))
        far = min(1.0, max(0.0, (step - warm) / max(1, total - warm)))
        factor = min((step + 1) / warm, 0.01 + 0.99 * (1 + math.cos(math.pi * far)) / 2)
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        if recipe.quantise and step == round(recipe.float_share * total):
            self.encoder.set_quantise(True)
        elif recipe.quantise and step % recipe.refresh_steps == 0 and self._quantising():
            self.encoder.refresh()

    def _quantising(self) -> bool:
        return self.encoder.words.quantise

    def _loss(self, batch: Batch, routes: Tensor | None, tags: Tensor | None) -> Tensor:
        loss = torch.zeros(())
        if routes is not None and (batch.routes >= 0).any():
            loss = loss + F.cross_entropy(
                routes, batch.routes, label_smoothing=self.recipe.smoothing
            )
        if tags is not None:
            loss = loss + self._tag_loss(batch, tags)
        return loss

    def _tag_loss(self, batch: Batch, tags: Tensor) -> Tensor:
        """CRF over the tokens between the special ones, and plain cross-entropy beside it."""
        emissions, gold, mask = tags[:, 1:-1], batch.tags[:, 1:-1], batch.mask[:, 2:]
        transitions = self.encoder.transitions + self.fixed
        chain = negative_log_likelihood(emissions, transitions, gold, mask)
        single = F.cross_entropy(emissions[mask.bool()], gold[mask.bool()])
        length = mask.float().sum(1).mean()
        return self.recipe.tag_weight * chain * 4 / length + self.recipe.token_weight * single

    def _follow(self, step: int) -> None:
        """Moves the average towards the weights; quickly at first."""
        share = max(1 - self.recipe.average, 1 / (1 + step / 4))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.encoder.parameters(), strict=True)
            moving = [(slow, fast) for slow, fast in pairs if fast.requires_grad]
            torch._foreach_lerp_([slow for slow, _ in moving], [f for _, f in moving], share)


def _groups(encoder: Encoder, recipe: Recipe) -> list[dict[str, object]]:
    """Parameter groups: lower layers move less, vectors are not decayed."""
    groups = {}
    for name, parameter in encoder.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = _rate(name, recipe, encoder.shape.layers)
        decay = recipe.weight_decay if parameter.ndim > 1 and name != "positions" else 0.0
        group = groups.setdefault((rate, decay), {"params": [], "lr": rate, "weight_decay": decay})
        group["params"].append(parameter)
    return list(groups.values())


def _rate(name: str, recipe: Recipe, layers: int) -> float:
    if name.startswith(("route", "tag", "transitions")):
        return recipe.head_rate
    depth = int(name.split(".")[1]) + 1 if name.startswith("layers.") else 0
    return recipe.trunk_rate * recipe.layer_decay ** (layers - depth)


def logits(
    encoder: Encoder, batcher: Batcher, examples: list[Example]
) -> Iterator[tuple[Tensor | None, Tensor | None]]:
    """Route logits [R] and tag logits [T, C] of each message, without gradients."""
    encoder.eval()
    for batch in batcher.batches(examples, 32):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            routes, tags = encoder(batch.ids, batch.mask)
        for row, length in enumerate(batch.mask.sum(1).tolist()):
            route = None if routes is None else routes[row]
            yield route, None if tags is None else tags[row, :length]


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
