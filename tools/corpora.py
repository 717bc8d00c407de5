"""What a training reads: messages to learn from, one list an epoch, and messages held out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from tools.checking.findings import quote
from tools.corpus.annotation import Example, read_messages
from tools.corpus.generate import variants
from tools.data import (
    FEWER_LABELS,
    MOST_LABELS,
    Vocabulary,
    read_jsonl,
    split,
    vocabulary_of,
)
from tools.errors import ToolError
from tools.excerpts import with_excerpts
from tools.learning.recipe import Recipe
from tools.passes import passes

MESSAGES = Path(__file__).parent / "corpus" / "messages"
OWN = "tools/corpus"
SHOWN_NAMES = 5


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
    """A folder's own messages as they are; without a folder, ours multiplied by noise.

    Prints what may surprise: messages held out, names written otherwise. Raises ToolError.
    """
    if folder is None:
        return _own_corpus(recipe)
    train_set, dev = _read_splits(folder)
    vocabulary = vocabulary_of(train_set)
    if not vocabulary.routes and not vocabulary.labels:
        raise ToolError(
            f"{folder / 'train.jsonl'} has neither routes nor entities",
            f"label it; `python -m tools check-data {folder}` shows what is there",
        )
    if len(vocabulary.labels) > MOST_LABELS:
        raise ToolError(
            f"{folder} has {len(vocabulary.labels)} labels, and a bundle holds {MOST_LABELS}",
            FEWER_LABELS,
        )
    _name_strangers(folder, dev, vocabulary)
    shown = with_excerpts(passes(train_set, recipe), recipe)
    return Corpus(train_set, dev, shown, vocabulary, folder.resolve().name)


def _own_corpus(recipe: Recipe) -> Corpus:
    examples = own_messages()
    train_set, dev = split(examples)
    noised = variants(train_set, recipe.epochs_over(len(train_set)), recipe.seed)
    return Corpus(train_set, dev, noised, vocabulary_of(examples), OWN)


def own_messages() -> list[Example]:
    """The hand-written messages. Raises ToolError."""
    try:
        examples = read_messages(MESSAGES)
    except ValueError as error:
        raise ToolError(
            f"the messages of {OWN} cannot be read: {str(error).splitlines()[0]}",
            "python -m tools.corpus names every bad line",
        ) from error
    if not examples:
        raise ToolError(f"{OWN} holds no messages", "name a folder of your own: --data DIR")
    return examples


def _read_splits(folder: Path) -> tuple[list[Example], list[Example]]:
    """``train.jsonl`` and ``dev.jsonl``; without the latter, a tenth of the former is held out."""
    rewritten: dict[str, str] = {}
    train_set, dev = read_jsonl(folder / "train.jsonl", rewritten), []
    if (folder / "dev.jsonl").is_file():
        dev = read_jsonl(folder / "dev.jsonl", rewritten)
    _name_rewritten(rewritten)
    return (train_set, dev) if dev else _held_out(folder, train_set)


def _held_out(folder: Path, examples: list[Example]) -> tuple[list[Example], list[Example]]:
    train_set, dev = split(examples)
    if not train_set or not dev:
        raise ToolError(
            f"{folder} has no dev.jsonl, and too few messages to hold some out",
            f"write {folder / 'dev.jsonl'}, or add messages to every route",
        )
    print(
        f"{folder} has no dev.jsonl: {len(dev)} of the training messages are held out", flush=True
    )
    return train_set, dev


def _name_rewritten(names: dict[str, str]) -> None:
    if names:
        shown = [f"{quote(old)} -> {new!r}" for old, new in list(names.items())[:SHOWN_NAMES]]
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        print(f"names rewritten for topics: {', '.join(shown)}{more}", flush=True)


def _name_strangers(folder: Path, dev: list[Example], vocabulary: Vocabulary) -> None:
    known = {*vocabulary.routes, *vocabulary.labels, ""}
    seen = {e.route for e in dev} | {span.label for e in dev for span in e.entities}
    if strangers := seen - known:
        names = ", ".join(sorted(strangers))
        if (folder / "dev.jsonl").is_file():
            shown = f"dev.jsonl names {names}, which train.jsonl never shows"
        else:
            shown = f"the messages held out name {names}, which the others never show"
        print(f"{shown}: they count as misses")
