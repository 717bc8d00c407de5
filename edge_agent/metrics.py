"""What happened since the start, as numbers. Knows nothing of where they are shown."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from edge_agent.answers import Answers
from edge_agent.histogram import Histogram
from edge_agent.types import JsonObject, Prediction, Timing

WINDOW = 1024
"""Latency percentiles are over this many latest messages."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5, 10, 60, 300)
"""Bounds from a short text on a fast machine to ``limits.deadline_s``."""


@dataclass
class Metrics:
    """See the module. Times are monotonic."""

    started_s: float
    counters: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    answers: Answers = field(default_factory=Answers)
    queue_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    model_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    received_s: float | None = None
    delivered_s: float | None = None
    _queue_ms: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _model_ms: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def count(self, name: str, by: int = 1) -> None:
        """Adds to a counter."""
        self.counters[name] += by

    def received(self, now_s: float) -> None:
        """A delivery came in."""
        self.counters["received"] += 1
        self.received_s = now_s

    def handled(self, prediction: Prediction, timing: Timing, bundle_digest: str) -> None:
        """One message became an event; this bundle answered."""
        self.counters["events"] += 1
        self.routes[prediction.route.label if prediction.route else ""] += 1
        self.answers.add(prediction, bundle_digest)
        self.queue_s.add(timing.queue_ms / 1000)
        self.model_s.add(timing.model_ms / 1000)
        self._queue_ms.append(timing.queue_ms)
        self._model_ms.append(timing.model_ms)

    def delivered(self, now_s: float, *, heard: bool) -> None:
        """The broker took something of ours; unheard when it says that nobody subscribes to it."""
        self.delivered_s = now_s
        if not heard:
            self.counters["unheard"] += 1

    def ages_s(self, now_s: float) -> JsonObject:
        """Seconds since the last delivery, and since the last PUBACK for something of ours."""
        moments = {"received": self.received_s, "delivered": self.delivered_s}
        return {name: round(now_s - at_s, 1) for name, at_s in moments.items() if at_s is not None}

    def latencies_ms(self) -> dict[str, float]:
        """Percentiles of time queued and time in the model, over the latest messages."""
        found = {}
        for name, values in (("queue", self._queue_ms), ("model", self._model_ms)):
            ordered = sorted(values)
            for percent in (50, 95):
                found[f"{name}_p{percent}"] = round(percentile(ordered, percent), 2)
        return found


def percentile(ordered: list[float], percent: int) -> float:
    """Nearest-rank percentile of sorted values, 0 when there are none."""
    if not ordered:
        return 0.0
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, rank - 1)]
