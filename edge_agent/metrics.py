"""Counters and latencies since the start, for health. Knows nothing of where they are shown."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

WINDOW = 1024
"""Latency percentiles are over this many latest messages."""


@dataclass
class Metrics:
    """What happened since the start."""

    started_s: float
    counters: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    _queue_ms: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _model_ms: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def count(self, name: str, by: int = 1) -> None:
        """Adds to a counter."""
        self.counters[name] += by

    def handled(self, route: str, queue_ms: float, model_ms: float) -> None:
        """One message became an event."""
        self.counters["events"] += 1
        self.routes[route] += 1
        self._queue_ms.append(queue_ms)
        self._model_ms.append(model_ms)

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
