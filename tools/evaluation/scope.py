"""Which route means "out of scope", and how well a bundle keeps such messages out.

Knows nothing of thresholds inside the bundle beyond what a prediction shows of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_agent.inference.heads import ABSTAINED_LABEL
from edge_agent.manifest import Manifest
from edge_agent.types import Alternative, Route
from tools.corpus.annotation import Example
from tools.data import OUT_OF_SCOPE
from tools.evaluation.metrics import Heads, Pair, candidates

IN_SCOPE_COVERAGES = (99, 95, 90)
NOBODY = Alternative("", 0.0)


def out_of_scope(manifest: Manifest) -> str:
    """The label that a bundle gives to what it abstains on."""
    return manifest.out_of_scope or ABSTAINED_LABEL


def aligned(examples: Sequence[Example], manifest: Manifest) -> list[Example]:
    """The same messages as the bundle can be asked: their out-of-scope route named as it names it,
    and no entities where it marks none.

    ``oos`` of a file becomes ``other`` of a bundle, unless the bundle has a route ``oos``.
    """
    aliases = set(OUT_OF_SCOPE) - set(manifest.routes)
    name = out_of_scope(manifest)
    if not manifest.labels:
        examples = [replace(e, entities=()) for e in examples]
    return [replace(e, route=name) if e.route in aliases else e for e in examples]


def heads_of(manifest: Manifest) -> Heads:
    """What the bundle answers."""
    return Heads(bool(manifest.routes), bool(manifest.labels))


@dataclass(frozen=True)
class AtCoverage:
    """The threshold that keeps this percentage of the in-scope messages, and what it does."""

    coverage_percent: int
    threshold: float
    recall: float | None
    in_scope_accuracy: float

    def as_dict(self) -> dict[str, float | None]:
        return {
            "threshold": round(self.threshold, 4),
            "out_of_scope_recall": _rounded(self.recall),
            "in_scope_accuracy": _rounded(self.in_scope_accuracy),
        }


@dataclass(frozen=True)
class OutOfScope:
    """How a bundle treats messages in and out of scope. Fractions of 1; None where none occur.

    ``in_scope_forced`` is the accuracy of the best in-scope candidate: nothing may abstain.
    """

    label: str
    messages: int
    in_scope_messages: int
    recall: float | None
    in_scope_accuracy: float | None
    in_scope_forced: float | None
    at_coverage: tuple[AtCoverage, ...]

    def as_dict(self) -> dict[str, object]:
        return {
            "label": self.label,
            "messages": self.messages,
            "in_scope_messages": self.in_scope_messages,
            "recall": _rounded(self.recall),
            "in_scope_accuracy": _rounded(self.in_scope_accuracy),
            "in_scope_accuracy_without_abstention": _rounded(self.in_scope_forced),
            "at_in_scope_coverage": {
                str(item.coverage_percent): item.as_dict() for item in self.at_coverage
            },
        }


def measure_scope(pairs: Sequence[Pair], manifest: Manifest) -> OutOfScope | None:
    """None when neither the bundle nor the file has an out-of-scope route."""
    label = out_of_scope(manifest)
    outside = [(e, p) for e, p in pairs if e.route == label]
    inside = [(e, p) for e, p in pairs if e.route != label]
    if not outside and manifest.out_of_scope is None:
        return None
    best = [_best_in_scope(p.route, label) for _, p in inside]
    right = np.array([b.label == e.route for b, (e, _) in zip(best, inside, strict=True)], bool)
    scores = np.array([b.confidence for b in best])
    strangers = np.array([_best_in_scope(p.route, label).confidence for _, p in outside])
    return OutOfScope(
        label,
        len(outside),
        len(inside),
        recall=_mean([p.route.label == label for _, p in outside]),
        in_scope_accuracy=_mean([p.route.label == e.route for e, p in inside]),
        in_scope_forced=_mean(right),
        at_coverage=at_coverages(scores, right, strangers) if inside else (),
    )


def at_coverages(
    scores: NDArray[np.float64], right: NDArray[np.bool_], strangers: NDArray[np.float64]
) -> tuple[AtCoverage, ...]:
    """For in-scope ``scores`` and ``right`` ``[N]`` and out-of-scope scores ``strangers`` ``[M]``.

    The threshold is the highest that still accepts the percentage; a score at it is accepted.
    """
    ranked = np.sort(scores)[::-1]
    found = []
    for percent in IN_SCOPE_COVERAGES:
        threshold = float(ranked[-(-len(ranked) * percent // 100) - 1])
        kept = right & (scores >= threshold)
        recall = _mean(strangers < threshold)
        found.append(AtCoverage(percent, threshold, recall, float(kept.mean())))
    return tuple(found)


def _best_in_scope(route: Route, label: str) -> Alternative:
    return next((c for c in candidates(route) if c.label != label), NOBODY)


def _mean(values: Sequence[bool] | NDArray[np.bool_]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
