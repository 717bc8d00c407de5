"""The numbers of health: one shape, whoever shows them. Knows nothing of MQTT or the loop."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent import __version__
from edge_agent.metrics import Metrics
from edge_agent.surroundings import Clock
from edge_agent.types import JsonObject, ModelCard
from edge_agent.wire.outbound import iso_time, model_data


@dataclass(frozen=True)
class InHand:
    """What the loop holds at this moment. ``protocol`` is empty without a session."""

    protocol: str
    ledger: int
    waiting: int
    outbox: int
    dropped_qos0: int


@dataclass(frozen=True)
class HealthReport:
    """What the agent says of itself: in health, and to whoever asks."""

    metrics: Metrics
    clock: Clock

    def read(self, card: ModelCard, in_hand: InHand) -> JsonObject:
        """The numbers now, in the shape of ``wire.schema.Health``."""
        metrics = self.metrics
        return {
            "time": iso_time(self.clock.unix()),
            "version": __version__,
            "uptime_s": round(self.clock.monotonic() - metrics.started_s, 1),
            "model": model_data(card),
            "protocol": in_hand.protocol,
            "ledger": in_hand.ledger,
            "waiting": in_hand.waiting,
            "outbox": in_hand.outbox,
            "counters": {**metrics.counters, "dropped_qos0": in_hand.dropped_qos0},
            "routes": dict(metrics.routes),
            "latency_ms": metrics.latencies_ms(),
        }
