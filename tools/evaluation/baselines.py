"""The simple models a bundle has to beat, trained on the same messages.

Knows nothing of scores: it gives predictions, as a bundle does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from edge_agent.manifest import Manifest
from edge_agent.types import Prediction, Route
from tools.corpora import MESSAGES, OWN, own_messages
from tools.corpus.annotation import Example
from tools.data import read_jsonl, split
from tools.errors import ToolError
from tools.evaluation.metrics import Heads
from tools.evaluation.scope import aligned

ROUTER = "TF-IDF + LinearSVC"
TAGGER = "CRF"


@dataclass(frozen=True)
class Training:
    """Messages to train on, and where they come from; ``file`` None for the project's own."""

    source: str
    examples: list[Example]
    file: Path | None = None


@dataclass(frozen=True)
class Baseline:
    """What the simple models say of each message; a part is None where the bundle has no such."""

    training: Training
    router: str | None
    tagger: str | None
    predictions: list[Prediction]

    @property
    def heads(self) -> Heads:
        """What the simple models answer."""
        return Heads(self.router is not None, self.tagger is not None)


class NoTraining(Exception):
    """Why there is nothing to train on, in a sentence."""


def training_messages(train: Path | None, file: Path, manifest: Manifest) -> Training:
    """``train``, else ``train.jsonl`` beside ``file``, else the project's own corpus when the
    bundle was made from it. Raises NoTraining, and ToolError for what is there but wrong.
    """
    if train is not None and _same(train, file):
        raise ToolError(
            f"{train}: is the file to score as well",
            "give --train another file, or leave the baselines out: --no-baselines",
        )
    beside = file.parent / "train.jsonl"
    if train is not None or (beside.is_file() and not _same(beside, file)):
        path = train or beside
        return Training(str(path), read_jsonl(path), path)
    if _corpus_source(manifest) == OWN and MESSAGES.is_dir():
        return Training(OWN, split(own_messages())[0])
    if _same(beside, file):
        raise NoTraining(f"{file} is the training data itself: every score on it flatters")
    raise NoTraining(f"no {beside}; name the training data: --train TRAIN.jsonl")


def train_baseline(
    training: Training, texts: Sequence[str], manifest: Manifest, bars: Progress
) -> Baseline:
    """Trains the parts that the bundle has, too, and asks them for every text.

    Raises NoTraining when scikit-learn or python-crfsuite is not installed.
    """
    examples = aligned(training.examples, manifest)
    routes = _routes(examples, texts, bars) if manifest.routes else None
    entities = _entities(examples, texts, bars) if manifest.labels else None
    predictions = [
        Prediction(
            Route(routes[i], 1.0) if routes else None,
            entities[i] if entities else (),
        )
        for i in range(len(texts))
    ]
    names = (ROUTER if routes else None, TAGGER if entities else None)
    return Baseline(training, *names, predictions)


def _routes(examples: list[Example], texts: Sequence[str], bars: Progress) -> list[str] | None:
    try:
        from tools.evaluation.router import train_router  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise _not_installed(error) from error
    task = bars.add_task(f"training {ROUTER}", total=None)
    router = train_router(examples)
    bars.update(task, total=1, completed=1)
    return None if router is None else [str(route) for route in router.predict(texts)]


def _entities(examples: list[Example], texts: Sequence[str], bars: Progress) -> list[tuple] | None:
    try:
        from tools.evaluation.tagger import MAX_ITERATIONS, train_tagger  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise _not_installed(error) from error
    task = bars.add_task(f"training {TAGGER}", total=MAX_ITERATIONS)

    def step() -> None:
        bars.advance(task)
        bars.refresh()

    tagger = train_tagger(examples, step)
    bars.update(task, completed=MAX_ITERATIONS)
    return None if tagger is None else [tagger.entities(text) for text in texts]


def _not_installed(error: ModuleNotFoundError) -> NoTraining:
    return NoTraining(f"{error.name} is not installed: pip install -e '.[train]'")


def _corpus_source(manifest: Manifest) -> object:
    corpus = manifest.provenance.get("corpus")
    return corpus.get("source") if isinstance(corpus, dict) else None


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()
