"""How values are spread: counts up to fixed bounds, as Prometheus has them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate

from edge_agent.types import JsonObject


@dataclass
class Histogram:
    """``bounds`` ascend; a value that equals a bound counts up to it."""

    bounds: tuple[float, ...]
    total: float = 0.0
    counts: list[int] = field(default_factory=list)
    """One for each bound, and one for what is above them all."""

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """One more value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def data(self) -> JsonObject:
        """``counts[i]`` values are at most ``le[i]``; the last count is that of all values."""
        return {
            "le": list(self.bounds),
            "counts": list(accumulate(self.counts)),
            "sum": round(self.total, 6),
        }
