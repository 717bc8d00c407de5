"""A packed bundle over a labelled file, with the runtime's own code: every score, beside simple
models trained on the same data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress

from edge_agent.manifest import Manifest
from edge_agent.types import Prediction
from tools.corpus.annotation import Example
from tools.data import read_jsonl
from tools.evaluation.baselines import (
    Baseline,
    NoTraining,
    Training,
    train_baseline,
    training_messages,
)
from tools.evaluation.metrics import (
    Bin,
    Heads,
    Pair,
    Scores,
    best_was_right,
    judged_routes,
    reliability,
    score,
)
from tools.evaluation.progress import progress_bars
from tools.evaluation.resampling import Measure, draws, interval, measures
from tools.evaluation.running import Run, read_bundle, run_bundle
from tools.evaluation.scope import OutOfScope, aligned, heads_of, measure_scope, out_of_scope
from tools.evaluation.selective import RiskCoverage, measure_risk

Interval = tuple[float, float]


@dataclass(frozen=True)
class Job:
    """What to score. ``train`` None looks for the training data; see ``training_messages``."""

    bundle: Path
    file: Path
    train: Path | None = None
    baselines: bool = True
    threads: int = 1


@dataclass(frozen=True)
class Rated:
    """One system's answers, their scores, and the 95 % interval of each score by its name."""

    pairs: list[Pair]
    scores: Scores
    intervals: dict[str, Interval]
    heads: Heads


@dataclass(frozen=True)
class Difference:
    """Bundle minus baseline, both over the same resamples; fractions of 1."""

    difference: float
    interval: Interval

    @property
    def loses(self) -> bool:
        """Whether the baseline is better, outside the interval."""
        return self.interval[1] < 0

    def as_dict(self) -> dict[str, object]:
        return {"difference": round(self.difference, 4), "interval": _rounded(self.interval)}


@dataclass
class Evaluation:
    """All that is known of a bundle on a file. Parts that do not apply are None or empty."""

    job: Job
    run: Run
    ours: Rated
    bins: list[Bin]
    risk: RiskCoverage | None
    scope: OutOfScope | None
    notes: list[str]
    baseline: Baseline | None = None
    theirs: Rated | None = None
    differences: dict[str, Difference] = field(default_factory=dict)

    @property
    def beaten(self) -> list[str]:
        """The scores in which the baseline is better, outside the interval."""
        return [name for name, item in self.differences.items() if item.loses]

    def as_dict(self) -> dict[str, object]:
        """The JSON object of ``--json``."""
        return {
            "bundle": self.run.name,
            "digest": self.run.bundle.digest,
            "size_bytes": self.run.size_bytes,
            "file": str(self.job.file),
            **self.ours.scores.as_dict(),
            "intervals": {name: _rounded(i) for name, i in self.ours.intervals.items()},
            "reliability": [_bin_dict(item) for item in self.bins],
            "risk_coverage": self.risk and self.risk.as_dict(),
            "out_of_scope": self.scope and self.scope.as_dict(),
            "baselines": self._baselines(),
            "latency": self.run.speed.as_dict(),
            "ms_per_message": round(1000 / self.run.speed.messages_per_s, 2),
            "threads": self.job.threads,
            "notes": self.notes,
        }

    def as_json(self) -> str:
        return json.dumps(self.as_dict(), indent=1, ensure_ascii=False)

    def _baselines(self) -> dict[str, object] | None:
        if self.baseline is None or self.theirs is None:
            return None
        training = self.baseline.training
        return {
            "routes_by": self.baseline.router,
            "entities_by": self.baseline.tagger,
            "training": {"source": training.source, "messages": len(training.examples)},
            "scores": self.theirs.scores.as_dict(),
            "intervals": {name: _rounded(i) for name, i in self.theirs.intervals.items()},
            "differences": {name: item.as_dict() for name, item in self.differences.items()},
        }


def evaluate(job: Job) -> Evaluation:
    """Runs the bundle, then the baselines, and scores both. Raises ToolError and BundleError."""
    examples = read_jsonl(job.file)
    bundle = read_bundle(job.bundle)
    examples = aligned(examples, bundle.manifest)
    training, missing = find_training(job, bundle.manifest)
    with progress_bars() as bars:
        run = run_bundle(bundle, [e.text for e in examples], job.threads, bars)
        found = rate_bundle(job, run, examples)
        found.notes += missing
        if training is not None:
            _add_baseline(found, training, examples, bars)
    return found


def find_training(job: Job, manifest: Manifest) -> tuple[Training | None, list[str]]:
    """The messages for the baselines, else why there are none. Raises ToolError."""
    if not job.baselines:
        return None, []
    try:
        return training_messages(job.train, job.file, manifest), []
    except NoTraining as reason:
        return None, [f"no baselines: {reason}"]


def rate_bundle(job: Job, run: Run, examples: list[Example]) -> Evaluation:
    """The scores of one run; ``examples`` are named as the bundle names things."""
    manifest = run.bundle.manifest
    ours = rate(examples, run.predictions, heads_of(manifest))
    routed = judged_routes(ours.pairs)
    confidences = [p.route.confidence for _, p in routed]
    return Evaluation(
        job,
        run,
        ours,
        bins=reliability(confidences, best_was_right(routed)),
        risk=measure_risk(ours.pairs),
        scope=measure_scope(routed, manifest) if routed else None,
        notes=strangers(examples, manifest),
    )


def rate(examples: list[Example], predictions: list[Prediction], heads: Heads) -> Rated:
    """Scores and intervals of one prediction a message, in what ``heads`` answer."""
    pairs = list(zip(examples, predictions, strict=True))
    drawn = draws(measures(pairs, heads))
    intervals = {name: interval(values) for name, values in drawn.items()}
    return Rated(pairs, score(examples, predictions, heads), intervals, heads)


def comparable(one: Rated, other: Rated) -> tuple[dict[str, Measure], dict[str, Measure]]:
    """The measures of each that both have; ``exact`` only where both answer the same things."""
    sides = [measures(side.pairs, side.heads) for side in (one, other)]
    names = [name for name in sides[0] if name in sides[1]]
    if one.heads != other.heads:
        names = [name for name in names if name != "exact"]
    first, second = ({name: side[name] for name in names} for side in sides)
    return first, second


def differences(ours: Rated, theirs: Rated) -> dict[str, Difference]:
    """Of every score that compares, over the same resamples."""
    mine, other = comparable(ours, theirs)
    my_draws, other_draws = draws(mine), draws(other)
    return {
        name: Difference(
            mine[name].value - other[name].value, interval(my_draws[name] - other_draws[name])
        )
        for name in mine
    }


def strangers(examples: list[Example], manifest: Manifest) -> list[str]:
    """A sentence for the routes, and one for the labels, that the bundle cannot answer."""
    routes = {e.route for e in examples} - {"", *manifest.routes, out_of_scope(manifest)}
    labels = {s.label for e in examples for s in e.entities} - set(manifest.labels)
    notes = []
    if manifest.routes and routes:
        messages = sum(e.route in routes for e in examples)
        notes.append(f"routes the bundle does not know: {_few(routes)} (messages: {messages})")
    if manifest.labels and labels:
        spans = sum(s.label in labels for e in examples for s in e.entities)
        notes.append(f"labels the bundle does not know: {_few(labels)} (entities: {spans})")
    return notes


def _add_baseline(
    found: Evaluation, training: Training, examples: list[Example], bars: Progress
) -> None:
    texts = [example.text for example in examples]
    try:
        found.baseline = train_baseline(training, texts, found.run.bundle.manifest, bars)
    except NoTraining as reason:
        found.notes.append(f"no baselines: {reason}")
        return
    found.theirs = rate(examples, found.baseline.predictions, found.baseline.heads)
    found.theirs.scores.calibration_error = None  # a LinearSVC gives no probabilities
    found.differences = differences(found.ours, found.theirs)
    if shared := len({e.text for e in training.examples} & set(texts)):
        found.notes.append(f"{shared} of the texts stand in {training.source} too: scores flatter")


def _few(names: set[str], most: int = 8) -> str:
    shown = ", ".join(sorted(names)[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _bin_dict(item: Bin) -> dict[str, float]:
    return {name: round(value, 4) for name, value in vars(item).items()}


def _rounded(pair: Interval) -> list[float]:
    return [round(value, 4) for value in pair]
