"""What the model answers, over time: how sure it is, what it does not know, whether the mix drifts.

Totals are since the start, rates over the latest messages of one bundle. Pure.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_agent.histogram import Histogram
from edge_agent.types import JsonObject, Prediction

WINDOW_MESSAGES = 1024
LEAST_DRIFT_MESSAGES = 200
"""With fewer, chance alone moves the index by as much as drift would."""
CONFIDENCE_BOUNDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
SMOOTHING_MESSAGES = 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    """What is kept of one prediction. ``unknown_tokens`` is None where no token is unknown."""

    bundle_digest: str
    route: str
    abstained: bool
    tokens: int
    unknown_tokens: int | None


@dataclass
class Answers:
    """See the module."""

    abstained: int = 0
    tokens: int = 0
    unknown_tokens: int = 0
    confidence: Histogram = field(default_factory=lambda: Histogram(CONFIDENCE_BOUNDS))
    latest: deque[Sample] = field(default_factory=lambda: deque(maxlen=WINDOW_MESSAGES))

    def add(self, prediction: Prediction, bundle_digest: str) -> None:
        """One message was answered by this bundle."""
        route = prediction.route
        abstained = route is not None and route.abstained
        sample = Sample(
            bundle_digest,
            route.label if route else "",
            abstained,
            prediction.tokens,
            prediction.unknown_tokens,
        )
        self.latest.append(sample)
        self.abstained += abstained
        self.tokens += sample.tokens
        self.unknown_tokens += sample.unknown_tokens or 0
        if route is not None:
            self.confidence.add(route.confidence)

    def data(self, bundle_digest: str, reference: Mapping[str, int]) -> JsonObject:
        """For health. ``reference`` counts routes when the bundle was made; it may be empty."""
        latest = [sample for sample in self.latest if sample.bundle_digest == bundle_digest]
        data: JsonObject = {
            "abstained": self.abstained,
            "tokens": self.tokens,
            "unknown_tokens": self.unknown_tokens,
            "confidence": self.confidence.data(),
            "window": len(latest),
        }
        return data | _rates(latest) | _drift(latest, reference)


def _rates(latest: list[Sample]) -> JsonObject:
    """Shares from 0 to 1; none of nothing."""
    rates: JsonObject = {}
    if latest:
        rates["abstention_rate"] = round(sum(s.abstained for s in latest) / len(latest), 4)
    judged = [s for s in latest if s.unknown_tokens is not None]
    if tokens := sum(s.tokens for s in judged):
        unknown = sum(s.unknown_tokens or 0 for s in judged)
        rates["unknown_token_rate"] = round(unknown / tokens, 4)
    return rates


def _drift(latest: list[Sample], reference: Mapping[str, int]) -> JsonObject:
    if not reference or len(latest) < LEAST_DRIFT_MESSAGES:
        return {}
    mix = Counter(sample.route for sample in latest)
    return {"drift_psi": round(population_stability(mix, reference), 4)}


def population_stability(found: Mapping[str, int], reference: Mapping[str, int]) -> float:
    """Population stability index of two mixes of counts: 0 when their shares are equal.

    ``Σ (p - q) · ln(p / q)`` over all labels. Half a message is added to each count, so that a
    label that one side lacks has no infinite weight.
    """
    labels = {*found, *reference}
    pairs = zip(_shares(found, labels), _shares(reference, labels), strict=True)
    return sum((p - q) * math.log(p / q) for p, q in pairs)


def _shares(counts: Mapping[str, int], labels: set[str]) -> list[float]:
    smooth = [counts.get(label, 0) + SMOOTHING_MESSAGES for label in sorted(labels)]
    return [count / sum(smooth) for count in smooth]


def reference_mix(provenance: Mapping[str, object]) -> dict[str, int]:
    """Routes the bundle gave on its dev set, by count; empty where its maker did not note them."""
    dev = provenance.get("dev")
    routes = dev.get("routes") if isinstance(dev, dict) else None
    if not isinstance(routes, dict):
        return {}
    return {str(k): v for k, v in routes.items() if isinstance(v, int) and v > 0}
