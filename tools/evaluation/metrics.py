"""Scores of predictions against the truth, as ``labels.md`` counts them. Pure python.

A prediction that abstains carries the out-of-scope label of its bundle, so it is compared like any
other. Which names of a file mean "out of scope" is settled before, in ``scope``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from edge_agent.types import Alternative, Prediction, Route
from tools.corpus.annotation import Example

Pair = tuple[Example, Prediction]
Triple = tuple[int, int, str]
BINS = 10


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

    @property
    def support(self) -> int:
        return self.hit + self.missed

    def as_dict(self) -> dict[str, float]:
        scores = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        rounded = {name: round(value, 4) for name, value in scores.items()}
        return {**rounded, "support": self.support}


@dataclass(frozen=True)
class Heads:
    """What a system answers: routes, entities or both. Only that is scored."""

    routes: bool = True
    labels: bool = True


BOTH = Heads()


@dataclass
class Scores:
    """Everything ``evaluate`` prints. Fractions of 1; None where a bundle has no such head.

    ``exact`` asks for what the bundle answers: of a bundle with routes only, it is the share of
    messages with the right route. It compares only with the ``exact`` of the same heads.
    """

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


@dataclass(frozen=True)
class Bin:
    """Messages whose confidence lies in ``[low, high)``; means as fractions of 1."""

    low: float
    high: float
    messages: int
    confidence: float
    accuracy: float


def score(
    examples: Sequence[Example], predictions: Sequence[Prediction], heads: Heads = BOTH
) -> Scores:
    """Scores of one prediction a message, in the same order.

    Messages with no route of their own (``""``) say nothing about routes. A prediction without a
    route is not judged by it; entities are judged unless ``heads`` leaves them out.
    """
    scores = Scores(len(examples))
    pairs = list(zip(examples, predictions, strict=True))
    routed = judged_routes(pairs)
    if routed:
        _score_routes(scores, routed)
    if has_entities(pairs, heads):
        _score_entities(scores, pairs)
    if counted := sum(exact_counts(pairs, heads)):
        scores.exact = sum(exact_rights(pairs, heads)) / counted
    return scores


def has_entities(pairs: Iterable[Pair], heads: Heads) -> bool:
    """Whether entities can be scored: the system marks them, and there are any on either side."""
    return heads.labels and any(e.entities or p.entities for e, p in pairs)


def exact_counts(pairs: Iterable[Pair], heads: Heads) -> list[bool]:
    """Which messages ``exact`` is over: all, or those with a route where nothing else is judged."""
    return [heads.labels or has_judged_route(pair) for pair in pairs]


def exact_rights(pairs: Iterable[Pair], heads: Heads) -> list[bool]:
    """Which of the messages that count for ``exact`` are right in all that is judged."""
    if heads.labels:
        return [is_exact(*pair) for pair in pairs]
    return [has_judged_route(pair) and _same_route(pair) for pair in pairs]


def judged_routes(pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs where both the message and the prediction have a route."""
    return [pair for pair in pairs if has_judged_route(pair)]


def has_judged_route(pair: Pair) -> bool:
    """Whether both the message and the prediction have a route."""
    example, prediction = pair
    return bool(example.route) and prediction.route is not None


def predicted_route(prediction: Prediction) -> str:
    """The label, which is the out-of-scope one when the bundle abstained; ``""`` without routes."""
    return "" if prediction.route is None else prediction.route.label


def candidates(route: Route) -> tuple[Alternative, ...]:
    """The best routes of a prediction, surest first, as if nothing had made it abstain."""
    own = () if route.abstained else (Alternative(route.label, route.confidence),)
    return (*own, *route.alternatives)


def truth(example: Example) -> set[Triple]:
    return {(span.start, span.end, span.label) for span in example.entities}


def found_spans(prediction: Prediction) -> set[Triple]:
    return {(e.start, e.end, e.label) for e in prediction.entities}


def is_exact(example: Example, prediction: Prediction) -> bool:
    """Whether every entity is right, and the route where both sides have one."""
    pair = (example, prediction)
    right = _same_route(pair) or not has_judged_route(pair)
    return right and truth(example) == found_spans(prediction)


def best_was_right(pairs: Iterable[Pair]) -> list[bool]:
    """Whether the candidate that the confidence belongs to was right, for judged routes."""
    return [candidates(p.route)[0].label == e.route for e, p in pairs]


def reliability(confidences: Sequence[float], right: Sequence[bool]) -> list[Bin]:
    """Ten equal-width bins of confidence; the empty ones are left out."""
    buckets: dict[int, list[tuple[float, bool]]] = {}
    for confidence, hit in zip(confidences, right, strict=True):
        buckets.setdefault(min(BINS - 1, int(confidence * BINS)), []).append((confidence, hit))
    return [_bin(index, buckets[index]) for index in sorted(buckets)]


def expected_calibration_error(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """Mean gap between confidence and accuracy over the bins, weighted by messages."""
    gaps = [abs(b.confidence - b.accuracy) * b.messages for b in reliability(confidences, right)]
    return _ratio(sum(gaps), len(confidences))


def _same_route(pair: Pair) -> bool:
    return predicted_route(pair[1]) == pair[0].route


def _bin(index: int, bucket: list[tuple[float, bool]]) -> Bin:
    confidence = sum(c for c, _ in bucket) / len(bucket)
    accuracy = sum(hit for _, hit in bucket) / len(bucket)
    return Bin(index / BINS, (index + 1) / BINS, len(bucket), confidence, accuracy)


def _score_routes(scores: Scores, pairs: list[Pair]) -> None:
    tallies: dict[str, Tally] = {}
    confusions: Counter[str] = Counter()
    for example, prediction in pairs:
        found = predicted_route(prediction)
        _count(tallies, {example.route}, {found}, str)
        if found != example.route:
            confusions[f"{example.route} > {found}"] += 1
    present = {e.route for e, _ in pairs}
    scores.routes = dict(sorted(tallies.items()))
    scores.route_accuracy = 1 - _ratio(confusions.total(), len(pairs))
    scores.route_macro_f1 = _ratio(sum(tallies[name].f1 for name in present), len(present))
    confidences = [p.route.confidence for _, p in pairs]
    scores.calibration_error = expected_calibration_error(confidences, best_was_right(pairs))
    scores.confusions = dict(confusions.most_common())


def _score_entities(scores: Scores, pairs: list[Pair]) -> None:
    tallies: dict[str, Tally] = {}
    for example, prediction in pairs:
        _count(tallies, truth(example), found_spans(prediction), lambda span: span[2])
    total = Tally(
        sum(t.hit for t in tallies.values()),
        sum(t.extra for t in tallies.values()),
        sum(t.missed for t in tallies.values()),
    )
    scores.labels = dict(sorted(tallies.items()))
    scores.entity_f1 = total.f1
    scores.entity_precision = total.precision
    scores.entity_recall = total.recall


def _count(
    tallies: dict[str, Tally],
    gold: set[Hashable],
    found: set[Hashable],
    label_of: Callable[[Hashable], str],
) -> None:
    for item in gold | found:
        tally = tallies.setdefault(label_of(item), Tally())
        tally.hit += item in gold and item in found
        tally.extra += item not in gold
        tally.missed += item not in found


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
