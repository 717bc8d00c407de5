"""What a training reads: messages to learn from, one list an epoch, and messages held out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tools.corpus.annotation import Example, read_messages
from tools.corpus.generate import variants
from tools.data import Vocabulary, read_jsonl, split, vocabulary_of
from tools.errors import ToolError
from tools.learning.recipe import Recipe
from tools.passes import passes

MESSAGES = Path(__file__).parent / "corpus" / "messages"
OWN = "tools/corpus"


@dataclass(frozen=True)
class Corpus:
    """Messages to train on, one list an epoch, and messages held out."""

    train: list[Example]
    dev: list[Example]
    epochs: list[list[Example]]
    vocabulary: Vocabulary
    source: str

    @property
    def digest(self) -> str:
        """sha256 over every message, whatever their order."""
        lines = sorted(repr(example) for example in [*self.train, *self.dev])
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def texts(self) -> list[str]:
        """Every text a model of this corpus reads while it is made, each once."""
        lists = [*self.epochs, self.train, self.dev]
        return sorted({example.text for examples in lists for example in examples})


def read_corpus(folder: Path | None, recipe: Recipe) -> Corpus:
    """A folder's own messages as they are; without a folder, ours multiplied by noise."""
    if folder is None:
        return _own_corpus(recipe)
    train_set, dev = _read_splits(folder)
    vocabulary = vocabulary_of(train_set)
    if not vocabulary.routes and not vocabulary.labels:
        raise ToolError(
            f"{folder / 'train.jsonl'} has neither routes nor entities",
            f"label it; `python -m tools check-data {folder}` shows what is there",
        )
    _name_strangers(dev, vocabulary)
    shown = passes(train_set, recipe)
    return Corpus(train_set, dev, shown, vocabulary, folder.resolve().name)


def _own_corpus(recipe: Recipe) -> Corpus:
    examples = read_messages(MESSAGES)
    train_set, dev = split(examples)
    noised = variants(train_set, recipe.epochs_over(len(train_set)), recipe.seed)
    return Corpus(train_set, dev, noised, vocabulary_of(examples), OWN)


def _read_splits(folder: Path) -> tuple[list[Example], list[Example]]:
    """``train.jsonl`` and ``dev.jsonl``; without the latter, a tenth of the former is held out."""
    train_set = read_jsonl(folder / "train.jsonl")
    if (folder / "dev.jsonl").is_file():
        return train_set, read_jsonl(folder / "dev.jsonl")
    train_set, dev = split(train_set)
    print(
        f"{folder} has no dev.jsonl: {len(dev)} of the training messages are held out", flush=True
    )
    return train_set, dev


def _name_strangers(dev: list[Example], vocabulary: Vocabulary) -> None:
    known = {*vocabulary.routes, *vocabulary.labels, ""}
    seen = {e.route for e in dev} | {span.label for e in dev for span in e.entities}
    if strangers := seen - known:
        names = ", ".join(sorted(strangers))
        print(f"dev.jsonl names {names}, which train.jsonl never shows: they count as misses")
