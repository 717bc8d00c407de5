"""Health as Prometheus reads it, and what each number means. Pure.

The text format, version 0.0.4, is a line a sample. Writing it from the one dictionary of health
keeps both the same; a client library with registries of its own would be a second set of books.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge_agent.types import JsonObject

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DAY_S = 86400

Labels = dict[str, str]


@dataclass(frozen=True)
class Metric:
    """One family. ``where`` is its path in health; its end may be ``*`` or ``prefix_*``.

    With ``*`` each key becomes a value of ``label``. ``kind`` is counter, gauge, histogram or info
    (a gauge that is 1 and whose labels are what stands there). ``scale`` makes base units.
    """

    name: str
    kind: str
    help: str
    where: str
    label: str = ""
    scale: float = 1


METRICS = (
    Metric("build_info", "info", "The version that runs.", "version", "version"),
    Metric("bundle_info", "info", "The bundle that answers.", "model"),
    Metric(
        "challenger_info", "info", "The bundle on trial, where there is one.", "challenger.model"
    ),
    Metric("reloads_total", "counter", "Reloads by outcome.", "counters.reloads_*", "outcome"),
    Metric(
        "canary_failed_total",
        "counter",
        "Messages a canary failed on, answered by the champion.",
        "counters.canary_failed",
    ),
    Metric("uptime_seconds", "gauge", "Since the start.", "uptime_s"),
    Metric("connected", "gauge", "1 with a session at the broker, else 0.", "protocol"),
    Metric("connects_total", "counter", "Sessions begun or resumed.", "counters.connects"),
    Metric("disconnects_total", "counter", "Connections lost or failed.", "counters.disconnects"),
    Metric("takeovers_total", "counter", "Lost to a client of our name.", "counters.takeovers"),
    Metric("deliveries_total", "counter", "Payloads that came in.", "counters.received"),
    Metric(
        "redeliveries_total",
        "counter",
        "Payloads that came again while still in hand.",
        "counters.redelivered",
    ),
    Metric(
        "ignored_deliveries_total",
        "counter",
        "Payloads passed over: retained, or no source fits.",
        "counters.ignored_*",
        "reason",
    ),
    Metric(
        "dropped_qos0_total",
        "counter",
        "QoS 0 messages dropped because newer ones came.",
        "counters.dropped_qos0",
    ),
    Metric("messages_total", "counter", "Messages that became events.", "routes.*", "route"),
    Metric("requests_total", "counter", "Requests that the model answered.", "counters.requests"),
    Metric(
        "outputs_total",
        "counter",
        "Outputs of specialists that write, by how they ended.",
        "counters.outputs_*",
        "end",
    ),
    Metric(
        "rejected_total",
        "counter",
        "Messages that became a dead letter or an error reply.",
        "counters.rejected_*",
        "code",
    ),
    Metric(
        "unheard_total",
        "counter",
        "Publishes that nobody subscribes to, where the broker says so.",
        "counters.unheard",
    ),
    Metric("abstentions_total", "counter", "Events without a route.", "answers.abstained"),
    Metric(
        "abstention_ratio",
        "gauge",
        "Share of the latest messages without a route.",
        "answers.abstention_rate",
    ),
    Metric("route_confidence", "histogram", "Confidence of the best route.", "answers.confidence"),
    Metric("tokens_total", "counter", "Tokens read.", "answers.tokens"),
    Metric(
        "unknown_tokens_total",
        "counter",
        "Tokens the tokenizer has no entry for.",
        "answers.unknown_tokens",
    ),
    Metric(
        "unknown_token_ratio",
        "gauge",
        "Share of unknown tokens in the latest messages.",
        "answers.unknown_token_rate",
    ),
    Metric(
        "route_drift_psi",
        "gauge",
        "Population stability index of the latest routes against the bundle's reference.",
        "answers.drift_psi",
    ),
    Metric(
        "shadow_compared_total",
        "counter",
        "Messages that the shadow answered too, since it came.",
        "shadow.compared",
    ),
    Metric(
        "shadow_same_route_total",
        "counter",
        "Those with the same route.",
        "shadow.same_route",
    ),
    Metric(
        "shadow_same_entities_total",
        "counter",
        "Those with the same entities.",
        "shadow.same_entities",
    ),
    Metric("shadow_failed_total", "counter", "Those the shadow failed on.", "shadow.failed"),
    Metric(
        "shadow_dropped_total",
        "counter",
        "Messages it was to answer, passed over for lack of time.",
        "shadow.dropped",
    ),
    Metric(
        "queue_seconds", "histogram", "From arrival to the start of its batch.", "latency_s.queue"
    ),
    Metric("model_seconds", "histogram", "The run of the message's batch.", "latency_s.model"),
    Metric("ledger_deliveries", "gauge", "Payloads not yet acknowledged.", "ledger"),
    Metric("waiting_messages", "gauge", "Messages waiting for the model.", "waiting"),
    Metric("outbox_publications", "gauge", "Results without PUBACK.", "outbox"),
    Metric(
        "oldest_unacked_seconds",
        "gauge",
        "How long the oldest payload has been in hand.",
        "age_s.oldest_unacked",
    ),
    Metric("since_received_seconds", "gauge", "Since the last payload came in.", "age_s.received"),
    Metric(
        "since_delivered_seconds",
        "gauge",
        "Since the broker last took something of ours.",
        "age_s.delivered",
    ),
    Metric(
        "temperature_celsius",
        "gauge",
        "Thermal zones of the machine.",
        "host.temperatures_c.*",
        "zone",
    ),
    Metric(
        "throttled",
        "gauge",
        "1 while the machine works slower to cool down or for want of voltage.",
        "host.throttled",
    ),
    Metric(
        "certificate_remaining_seconds",
        "gauge",
        "Until our certificate, or the CA's, ends.",
        "tls.expires_in_days.*",
        "certificate",
        DAY_S,
    ),
    Metric("tls_files_unused", "gauge", "1 while new TLS files are not used.", "tls.problem"),
    Metric("resident_memory_bytes", "gauge", "Resident memory.", "host.rss_bytes"),
    Metric("cpu_seconds_total", "counter", "Processor time.", "host.cpu_s"),
)
"""All families; ``edge_agent_`` stands before each name."""


def exposition(health: JsonObject) -> str:
    """The whole page. Numbers that health does not have now are left out."""
    return "".join(line + "\n" for metric in METRICS for line in _family(metric, health))


def _family(metric: Metric, health: JsonObject) -> Iterator[str]:
    name = f"edge_agent_{metric.name}"
    samples = list(_samples(metric, health))
    if samples:
        yield f"# HELP {name} {metric.help}"
        yield f"# TYPE {name} {'gauge' if metric.kind == 'info' else metric.kind}"
    for suffix, labels, value in samples:
        shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"{name}{suffix}{{{shown}}} {value}" if shown else f"{name}{suffix} {value}"


def _samples(metric: Metric, health: JsonObject) -> Iterator[tuple[str, Labels, float]]:
    """Suffix, labels and value of each."""
    for labels, value in _found(metric, health):
        if metric.kind == "histogram":
            yield from _buckets(value)
        elif metric.kind == "info":
            yield "", value if isinstance(value, dict) else {metric.label: value}, 1
        else:
            number = int(bool(value)) if isinstance(value, (str, bool)) else value
            yield "", labels, number * metric.scale


def _found(metric: Metric, health: JsonObject) -> Iterator[tuple[Labels, Any]]:
    """What stands at the metric's place; a counter that has not counted is 0."""
    *path, last = metric.where.split(".")
    table = health
    for step in path:
        table = table.get(step, {})
    if last.endswith("*"):
        prefix = last[:-1]
        for key in sorted(key for key in table if key.startswith(prefix)):
            yield {metric.label: key.removeprefix(prefix)}, table[key]
    elif last in table:
        yield {}, table[last]
    elif path == ["counters"]:
        yield {}, 0


def _buckets(data: JsonObject) -> Iterator[tuple[str, Labels, float]]:
    *counts, every = data["counts"]
    for bound, count in zip(data["le"], counts, strict=True):
        yield "_bucket", {"le": str(float(bound))}, count
    yield "_bucket", {"le": "+Inf"}, every
    yield "_sum", {}, data["sum"]
    yield "_count", {}, every


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
