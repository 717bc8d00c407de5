"""The numbers of health: one shape, whoever shows them. Knows nothing of MQTT or the loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_agent import __version__
from edge_agent.host import Host
from edge_agent.metrics import Metrics
from edge_agent.surroundings import Clock, Surroundings
from edge_agent.tls_report import TlsReport
from edge_agent.types import JsonObject, ModelCard
from edge_agent.wire.outbound import iso_time
from edge_agent.wire.outputs import model_data


@dataclass(frozen=True)
class InHand:
    """What the loop holds at this moment. ``protocol`` is empty without a session."""

    protocol: str
    ledger: int
    waiting: int
    outbox: int
    dropped_qos0: int
    oldest_received_s: float | None = None


@dataclass(frozen=True)
class HealthReport:
    """What the agent says of itself: in health, and to whoever asks."""

    metrics: Metrics
    clock: Clock
    host: Host
    tls: TlsReport

    def read(self, card: ModelCard, reference: Mapping[str, int], in_hand: InHand) -> JsonObject:
        """The numbers now, in the shape of ``wire.schema.Health``.

        ``reference`` counts the routes the bundle gave when it was made.
        """
        metrics, now_s = self.metrics, self.clock.monotonic()
        return {
            "time": iso_time(self.clock.unix()),
            "version": __version__,
            "uptime_s": round(now_s - metrics.started_s, 1),
            "model": model_data(card),
            "protocol": in_hand.protocol,
            "ledger": in_hand.ledger,
            "waiting": in_hand.waiting,
            "outbox": in_hand.outbox,
            "counters": {**metrics.counters, "dropped_qos0": in_hand.dropped_qos0},
            "routes": dict(metrics.routes),
            "latency_ms": metrics.latencies_ms(),
            "latency_s": {"queue": metrics.queue_s.data(), "model": metrics.model_s.data()},
            "answers": metrics.answers.data(card.digest, reference),
            "age_s": {"oldest_unacked": _oldest_s(in_hand, now_s), **metrics.ages_s(now_s)},
            "host": self.host.data(now_s),
            **self.tls.data(),
        }


def health_report(metrics: Metrics, surroundings: Surroundings) -> HealthReport:
    """On this machine and this clock."""
    clock = surroundings.clock
    return HealthReport(metrics, clock, surroundings.host, TlsReport(clock))


def _oldest_s(in_hand: InHand, now_s: float) -> float:
    """How long the oldest delivery has been in hand, 0 when there is none."""
    since_s = in_hand.oldest_received_s
    return 0.0 if since_s is None else round(now_s - since_s, 1)
