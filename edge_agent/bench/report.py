"""The outcome for programs: JSON values, units last in their names."""

from __future__ import annotations

from typing import Any

from edge_agent import __version__
from edge_agent.bench.measure import Outcome, Timed
from edge_agent.bench.runs import Figures, Setting
from edge_agent.bench.sensors import NoMeter
from edge_agent.bench.suggest import Suggestion
from edge_agent.bench.weigh import Cost

DIGITS = 3


def report_data(outcome: Outcome) -> dict[str, Any]:
    """The whole outcome."""
    meter = outcome.meter
    return {
        "version": __version__,
        "machine": outcome.machine,
        "bundles": [_bundle(one) for one in outcome.bundles],
        "energy": {
            "sensor": None if isinstance(meter, NoMeter) else meter.what,
            "missing": outcome.no_energy or None,
            "bundles": [_cost(cost) for cost in outcome.costs],
        },
        "suggestion": outcome.suggestion and _suggestion(outcome.suggestion),
        "notes": [
            {"name": name, "status": found.status.value, "text": found.text, "fix": found.fix}
            for name, found in outcome.notes
        ],
    }


def _bundle(timed: Timed) -> dict[str, Any]:
    entrant = timed.entrant
    return {
        "name": entrant.card.name,
        "version": entrant.card.version,
        "digest": entrant.card.digest,
        "kind": entrant.kind,
        "figures": [
            {
                "text": setting.length,
                "tokens": entrant.tokens[setting.length],
                "truncated": setting.length in entrant.truncated,
                "batch": setting.batch,
                "threads": setting.threads,
                **_figures(found),
            }
            for setting, found in timed.figures.items()
        ],
    }


def _figures(found: Figures | None) -> dict[str, Any]:
    if found is None:
        return {"runs": 0}
    return {
        "p50_ms": round(found.p50_ms, DIGITS),
        "p95_ms": round(found.p95_ms, DIGITS),
        "messages_per_s": round(found.messages_per_s, DIGITS),
        "read_tokens_per_s": found.read_per_s and round(found.read_per_s, DIGITS),
        "written_tokens_per_s": found.written_per_s and round(found.written_per_s, DIGITS),
        "runs": found.runs,
        "rounds": found.rounds,
    }


def _cost(cost: Cost) -> dict[str, Any]:
    return {
        "name": cost.entrant.card.name,
        **_setting(cost.setting),
        "message_j": round(cost.energy.message_j, 6),
        "idle_w": round(cost.energy.idle_w, DIGITS),
        "work_w": round(cost.energy.work_w, DIGITS),
        "messages": cost.energy.messages,
        "work_s": round(cost.energy.work_s, DIGITS),
    }


def _setting(setting: Setting) -> dict[str, Any]:
    return {"text": setting.length, "batch": setting.batch, "threads": setting.threads}


def _suggestion(found: Suggestion) -> dict[str, Any]:
    return {
        "model.threads": found.threads,
        "model.threads_why": found.threads_why,
        "batch.max_messages": found.batch,
        "batch.max_messages_why": found.batch_why or None,
    }
