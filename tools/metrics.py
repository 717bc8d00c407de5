"""Scores of predictions against the truth, as ``labels.md`` counts them. Pure python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_agent.types import Prediction
from tools.corpus.annotation import Example
from tools.data import OUT_OF_SCOPE


@dataclass
class Tally:
    """True positives, false positives and false negatives of one label."""

    hit: int = 0
    extra: int = 0
    missed: int = 0

    @property
    def precision(self) -> float:
        return _ratio(self.hit, self.hit + self.extra)

    @property
    def recall(self) -> float:
        return _ratio(self.hit, self.hit + self.missed)

    @property
    def f1(self) -> float:
        return _ratio(2 * self.hit, 2 * self.hit + self.extra + self.missed)

    def as_dict(self) -> dict[str, float]:
        support = self.hit + self.missed
        scores = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {**{name: round(value, 4) for name, value in scores.items()}, "support": support}


@dataclass
class Scores:
    """Everything ``evaluate`` prints. Fractions of 1; None where a bundle has no such head."""

    messages: int
    route_accuracy: float | None = None
    route_macro_f1: float | None = None
    calibration_error: float | None = None
    entity_f1: float | None = None
    entity_precision: float | None = None
    entity_recall: float | None = None
    exact: float | None = None
    routes: dict[str, Tally] = field(default_factory=dict)
    labels: dict[str, Tally] = field(default_factory=dict)
    confusions: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        plain = {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in vars(self).items()
            if name not in ("routes", "labels")
        }
        plain["routes"] = {name: tally.as_dict() for name, tally in self.routes.items()}
        plain["labels"] = {name: tally.as_dict() for name, tally in self.labels.items()}
        return plain


def score(examples: Sequence[Example], predictions: Sequence[Prediction]) -> Scores:
    """Scores of one prediction a message, in the same order."""
    scores = Scores(len(examples))
    pairs = list(zip(examples, predictions, strict=True))
    routed = [(e, p) for e, p in pairs if e.route and p.route is not None]
    if routed:
        _score_routes(scores, routed)
    if any(e.entities for e in examples) or any(p.entities for p in predictions):
        _score_entities(scores, pairs)
    scores.exact = _ratio(sum(_exact(e, p) for e, p in pairs), len(pairs))
    return scores


def predicted_route(prediction: Prediction) -> str:
    """The label, or ``other`` when the bundle abstained."""
    route = prediction.route
    if route is None:
        return ""
    return OUT_OF_SCOPE if route.abstained else route.label


def _score_routes(scores: Scores, pairs: list[tuple[Example, Prediction]]) -> None:
    tallies: dict[str, Tally] = {}
    for example, prediction in pairs:
        found = predicted_route(prediction)
        _count(tallies, {example.route}, {found})
        if found != example.route:
            name = f"{example.route} > {found}"
            scores.confusions[name] = scores.confusions.get(name, 0) + 1
    hits = [predicted_route(p) == e.route for e, p in pairs]
    present = {e.route for e, _ in pairs}
    scores.routes = dict(sorted(tallies.items()))
    scores.route_accuracy = _ratio(sum(hits), len(hits))
    scores.route_macro_f1 = _ratio(sum(tallies[name].f1 for name in present), len(present))
    confidences = [p.route.confidence for _, p in pairs]
    scores.calibration_error = expected_calibration_error(confidences, _best_was_right(pairs))
    scores.confusions = dict(Counter(scores.confusions).most_common())


def _best_was_right(pairs: list[tuple[Example, Prediction]]) -> list[bool]:
    """Whether the candidate that the confidence belongs to was right."""
    best = [p.route.alternatives[0].label if p.route.abstained else p.route.label for _, p in pairs]
    return [label == e.route for label, (e, _) in zip(best, pairs, strict=True)]


def _score_entities(scores: Scores, pairs: list[tuple[Example, Prediction]]) -> None:
    tallies: dict[str, Tally] = {}
    for example, prediction in pairs:
        _count(tallies, truth(example), found_spans(prediction), label_of=lambda s: s[2])
    total = Tally(
        sum(t.hit for t in tallies.values()),
        sum(t.extra for t in tallies.values()),
        sum(t.missed for t in tallies.values()),
    )
    scores.labels = dict(sorted(tallies.items()))
    scores.entity_f1 = total.f1
    scores.entity_precision = total.precision
    scores.entity_recall = total.recall


def _count(tallies: dict[str, Tally], gold: set, found: set, label_of=lambda item: item) -> None:
    for item in gold | found:
        tally = tallies.setdefault(label_of(item), Tally())
        tally.hit += item in gold and item in found
        tally.extra += item not in gold
        tally.missed += item not in found


def truth(example: Example) -> set[tuple[int, int, str]]:
    return {(span.start, span.end, span.label) for span in example.entities}


def found_spans(prediction: Prediction) -> set[tuple[int, int, str]]:
    return {(e.start, e.end, e.label) for e in prediction.entities}


def _exact(example: Example, prediction: Prediction) -> bool:
    same_route = prediction.route is None or predicted_route(prediction) == example.route
    return same_route and truth(example) == found_spans(prediction)


def expected_calibration_error(
    confidences: Sequence[float], right: Sequence[bool], bins: int = 10
) -> float:
    """Mean gap between confidence and accuracy over equal-width bins, weighted by messages."""
    buckets: dict[int, list[tuple[float, bool]]] = {}
    for confidence, hit in zip(confidences, right, strict=True):
        buckets.setdefault(min(bins - 1, int(confidence * bins)), []).append((confidence, hit))
    gaps = [abs(sum(c for c, _ in b) - sum(h for _, h in b)) for b in buckets.values()]
    return _ratio(sum(gaps), len(confidences))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
