"""What is left of the errors when only the surest answers are used. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.evaluation.metrics import Pair, best_was_right, is_exact, judged_routes

COVERAGES = (100, 95, 90, 80, 70, 50)


@dataclass(frozen=True)
class RiskCoverage:
    """``curve[n - 1]`` is the error rate over the n surest of N messages; ``of`` says of what."""

    of: str
    curve: NDArray[np.float64]

    @property
    def aurc(self) -> float:
        """Area under the curve, 0 at best."""
        return float(self.curve.mean())

    def at(self, percent: int) -> float:
        """Error rate over the surest ``percent`` of the messages, at least one."""
        return float(self.curve[-(-len(self.curve) * percent // 100) - 1])

    def as_dict(self) -> dict[str, object]:
        errors = {str(percent): round(self.at(percent), 4) for percent in COVERAGES}
        return {"of": self.of, "error_at": errors, "aurc": round(self.aurc, 4)}


def measure_risk(pairs: Sequence[Pair]) -> RiskCoverage | None:
    """Of the routes by their confidence; without any, of all entities by the least sure one."""
    routed = judged_routes(pairs)
    if routed:
        confidences = [p.route.confidence for _, p in routed]
        wrong = [not right for right in best_was_right(routed)]
        return RiskCoverage("route", risk_curve(confidences, wrong))
    if not any(p.entities for _, p in pairs):
        return None
    confidences = [min((e.confidence for e in p.entities), default=1.0) for _, p in pairs]
    return RiskCoverage("entities", risk_curve(confidences, [not is_exact(*p) for p in pairs]))


def risk_curve(confidences: Sequence[float], wrong: Sequence[bool]) -> NDArray[np.float64]:
    """``[N]`` error rates, surest first. Equal confidences share their errors evenly, so the
    order of the file changes nothing.
    """
    steps, block = np.unique(-np.asarray(confidences, float), return_inverse=True)
    sizes = np.bincount(block, minlength=len(steps))
    rates = np.bincount(block, np.asarray(wrong, float), len(steps)) / sizes
    return np.cumsum(np.repeat(rates, sizes)) / np.arange(1, len(block) + 1)
