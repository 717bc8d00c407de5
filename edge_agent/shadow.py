"""A challenger looks over the champion's shoulder: how often they agree, and how long it takes.

It sees a message only after the event is out and when nothing else is to be done, one at a time.
What comes faster than that is dropped and counted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from edge_agent.crashes import CrashRecord
from edge_agent.errors import InferenceFailed
from edge_agent.fleet import Fleet
from edge_agent.golden import entity_decisions, route_decision
from edge_agent.metrics import WINDOW, percentile
from edge_agent.runner import mark
from edge_agent.surroundings import Clock
from edge_agent.types import Message, Prediction

MAX_WAITING_MESSAGES = 64
MAX_WAITING_CHARS = 1 << 18


@dataclass
class Comparison:
    """Counts since the challenger came."""

    compared: int = 0
    same_route: int = 0
    same_entities: int = 0
    failed: int = 0
    dropped: int = 0
    _model_ms: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def add(self, champion: Prediction, challenger: Prediction, model_ms: float) -> None:
        """One message that both have answered."""
        self.compared += 1
        self.same_route += route_decision(champion) == route_decision(challenger)
        self.same_entities += entity_decisions(champion) == entity_decisions(challenger)
        self._model_ms.append(model_ms)

    def model_ms(self, percent: int) -> float:
        """A percentile of the challenger's time a message, over the latest."""
        return round(percentile(sorted(self._model_ms), percent), 2)


@dataclass
class Shadow:
    """See the module. Belongs to one Fleet."""

    fleet: Fleet
    crashes: CrashRecord
    clock: Clock
    comparison: Comparison = field(default_factory=Comparison)
    _waiting: deque[tuple[str, Prediction]] = field(default_factory=deque)
    _waiting_chars: int = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, message: Message, prediction: Prediction) -> None:
        """Takes in a message that the champion has answered, if it belongs to the sample."""
        if not self.fleet.shadows(message.id):
            return
        chars = self._waiting_chars + len(message.text)
        if len(self._waiting) >= MAX_WAITING_MESSAGES or chars > MAX_WAITING_CHARS:
            self.comparison.dropped += 1
            return
        self._waiting.append((message.text, prediction))
        self._waiting_chars = chars

    def run_one(self) -> None:
        """Lets the challenger answer the oldest message."""
        if self.fleet.trial is None:
            return
        challenger = self.fleet.trial.challenger
        text, expected = self._waiting.popleft()
        self._waiting_chars -= len(text)
        began_s = self.clock.monotonic()
        try:
            with self.crashes.working_on([mark(challenger.card)]):
                (found,) = challenger.predict([text])
        except InferenceFailed:
            self.comparison.failed += 1
            return
        self.comparison.add(expected, found, (self.clock.monotonic() - began_s) * 1000)
