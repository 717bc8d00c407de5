"""What has happened so far: counts, rate and latency. Knows no clock and no screen."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from edge_agent.types import JsonObject

RATE_WINDOW_S = 5.0
KEPT = 1000
NO_ROUTE = "none"


@dataclass
class Tally:
    """Counts what is sent and what comes back. Times are monotonic seconds."""

    started_s: float
    sent: int = 0
    duplicates: int = 0
    refused: int = 0
    routes: Counter[str] = field(default_factory=Counter)
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _waiting: dict[str, deque[float]] = field(default_factory=dict)
    _seen: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    _arrivals_s: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))

    @property
    def events(self) -> int:
        """Events received, each counted once."""
        return self.routes.total()

    @property
    def outstanding(self) -> int:
        """Messages whose event or dead letter has not come."""
        return sum(len(queue) for queue in self._waiting.values())

    def count_sent(self, topic: str, now_s: float) -> None:
        """A message was published."""
        self.sent += 1
        self._waiting.setdefault(topic, deque()).append(now_s)

    def count_event(self, event: JsonObject, now_s: float) -> float | None:
        """An event came: milliseconds since its message was sent, or None for a duplicate.

        Messages of one topic are answered in the order in which they were sent.
        """
        if event["id"] in self._seen:
            self.duplicates += 1
            return None
        self._seen.append(event["id"])
        self._arrivals_s.append(now_s)
        self.routes[route_of(event)] += 1
        latency_ms = self._settle(event["data"]["input"]["topic"], now_s)
        self.latencies_ms.append(latency_ms)
        return latency_ms

    def count_refusal(self, letter: JsonObject, now_s: float) -> None:
        """A dead letter came."""
        self.refused += 1
        self._settle(letter["input"]["topic"], now_s)

    def rate(self, now_s: float) -> float:
        """Events a second, over the last seconds."""
        window_s = max(1.0, min(RATE_WINDOW_S, now_s - self.started_s))
        return sum(now_s - at_s <= window_s for at_s in self._arrivals_s) / window_s

    def percentile_ms(self, share: float) -> float:
        """The latency that this share of the events kept below; 0 without events."""
        ranked = sorted(self.latencies_ms)
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0

    def summary(self, now_s: float) -> str:
        """One line for the end."""
        seconds = now_s - self.started_s
        parts = [
            f"{self.sent} messages, {self.events} events on {len(self.routes)} routes",
            f"in {seconds:.1f} s",
        ]
        extra = [
            f"{count} {what}"
            for count, what in (
                (self.refused, "dead letters"),
                (self.duplicates, "duplicates"),
                (self.outstanding, "unanswered"),
            )
            if count
        ]
        latency = f"p50 {self.percentile_ms(0.5):.1f} ms, p95 {self.percentile_ms(0.95):.1f} ms"
        return "; ".join([" ".join(parts), *extra, f"sent to event {latency}"])

    def _settle(self, topic: str, now_s: float) -> float:
        queue = self._waiting.get(topic)
        return (now_s - queue.popleft()) * 1000 if queue else 0.0


def route_of(event: JsonObject) -> str:
    """The route's label; ``none`` for a bundle without routes."""
    route = event["data"]["route"]
    return str(route["label"]) if route else NO_ROUTE
