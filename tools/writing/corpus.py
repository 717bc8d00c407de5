"""What the training of a generator reads: a site's own pairs, or our work orders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.inference.output_schema import narrow
from edge_agent.manifest import GenerationTask
from edge_agent.types import JsonObject
from tools.data import held_out
from tools.errors import ToolError
from tools.learning.recipe import Recipe
from tools.orders import corpus as orders
from tools.writing.pairs import Pair, read_pairs
from tools.writing.task import read_task

DEV_SHARE = 0.1


@dataclass(frozen=True)
class WritingCorpus:
    """Pairs to learn from, one list an epoch, pairs held out, and the task of both."""

    task: GenerationTask
    epochs: Sequence[Any]
    dev: list[Pair]
    source: str

    @property
    def schema(self) -> JsonObject | None:
        """The narrowed schema of the output."""
        return None if self.task.output_schema is None else narrow(self.task.output_schema)

    @property
    def digest(self) -> str:
        """sha256 over the first epoch and what is held out."""
        lines = [repr(pair) for pair in [*self.epochs[0], *self.dev]]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def texts(self) -> Iterator[str]:
        """Texts and answers of the first epochs, for a tokenizer to learn from."""
        for pairs in self.epochs[:2]:
            for pair in pairs:
                yield pair.text
                yield pair.answer


def read_writing(folder: Path | None, task: Path, recipe: Recipe) -> WritingCorpus:
    """The pairs of a folder as they are; without a folder our work orders, multiplied by noise.

    Raises ToolError.
    """
    read = read_task(task)
    return _work_orders(read, recipe) if folder is None else _site(folder, read, recipe)


def _work_orders(task: GenerationTask, recipe: Recipe) -> WritingCorpus:
    if task.output_schema != json.loads(orders.TASK.read_text(encoding="utf-8"))["output_schema"]:
        raise ToolError(
            "without --data the pairs are work orders, and the task has another schema",
            f"--data DIR with train.jsonl, or --task {orders.TASK}",
        )
    examples, others, dev = orders.held_out()
    passes = orders.passes(examples, others, recipe.epochs_over(len(examples)), recipe.seed)
    return WritingCorpus(task, passes, [orders.pair_of(e) for e in dev], orders.SOURCE)


def _site(folder: Path, task: GenerationTask, recipe: Recipe) -> WritingCorpus:
    """``dev.jsonl`` is held out; without it, a tenth of ``train.jsonl``."""
    schema = None if task.output_schema is None else narrow(task.output_schema)
    train, dev = read_pairs(folder / "train.jsonl", schema), []
    if (folder / "dev.jsonl").is_file():
        dev = read_pairs(folder / "dev.jsonl", schema)
    if not dev:
        train, dev = _held_out(folder, train)
    if not train:
        raise ToolError(f"{folder} has too few pairs", "write more lines into train.jsonl")
    count = recipe.epochs_over(len(train))
    return WritingCorpus(task, [train] * count, dev, folder.resolve().name)


def _held_out(folder: Path, pairs: list[Pair]) -> tuple[list[Pair], list[Pair]]:
    held = held_out((("", pair.text) for pair in pairs), DEV_SHARE)
    if not held:
        raise ToolError(f"{folder} has too few pairs", "write more lines into train.jsonl")
    train, dev = ([p for p in pairs if (p.text in held) is later] for later in (False, True))
    print(f"{folder} has no dev.jsonl: {len(dev)} of the pairs are held out", flush=True)
    return train, dev
