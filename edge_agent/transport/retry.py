"""When to connect again, and with which protocol version. Pure but for the jitter."""

from __future__ import annotations

import random
from dataclasses import dataclass

FIRST_RETRY_S = 0.5
DOUBTS = 2


@dataclass
class Retry:
    """``wanted`` is 5, 3.1.1 or auto: 5 first, 3.1.1 when that is refused, or hung up on twice."""

    wanted: str
    max_wait_s: float
    protocol: str = "5"
    _failures: int = 0
    _doubts: int = 0

    def __post_init__(self) -> None:
        self.protocol = "3.1.1" if self.wanted == "3.1.1" else "5"

    def ended(self, *, accepted: bool, version_refused: bool, hung_up: bool) -> None:
        """Learns from a connection, or an attempt at one, that is over."""
        self._failures = 1 if accepted else self._failures + 1
        self._doubts = self._doubts + 1 if hung_up else 0
        if self.wanted != "auto":
            return
        if self.protocol == "5" and (version_refused or self._doubts >= DOUBTS):
            self.protocol, self._doubts = "3.1.1", 0
        elif self.protocol == "3.1.1":
            self.protocol = "5"

    def wait_s(self) -> float:
        """Doubles up to the limit; drawn at random, so that clients do not march in step."""
        ceiling_s = min(self.max_wait_s, FIRST_RETRY_S * 2 ** min(self._failures, 16))
        return round(random.uniform(ceiling_s / 2, ceiling_s), 2)  # noqa: S311 - not secrecy
