"""Duties that come back. Pure: the time is passed in."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Every:
    """Due at once, then each ``interval_s``; never when that is None or 0."""

    interval_s: float | None
    _next_s: float = -math.inf

    def due_in_s(self, now_s: float) -> float:
        """Seconds until it is due."""
        return max(0.0, self._next_s - now_s) if self.interval_s else math.inf

    def is_due(self, now_s: float) -> bool:
        """Whether it is due; then it is due again after the interval."""
        if not self.interval_s or now_s < self._next_s:
            return False
        self._next_s = now_s + self.interval_s
        return True
