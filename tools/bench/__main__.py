"""Measures, prints a table and JSON, and renews docs/benchmarks.md."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from edge_agent.bundle import load_bundle
from edge_agent.settings import default_bundle
from edge_agent.specialists import default_threads
from tests.support.broker import mosquitto_version
from tools.bench import measures
from tools.bench.measures import Figures
from tools.bench.page import Bar, machine, missed, renew, table
from tools.bench.rig import Plan

BARS = (
    Bar("saturated rate / bare model's rate", "saturated", "ratio_to_bare", 0.85, at_least=True),
    Bar("idle latency without the model, p50, ms", "idle_latency", "overhead_p50_ms", 4.0),
    Bar("resident memory under load, peak, MB", "saturated", "peak_rss_mb", 160.0),
    Bar("start to READY, s", "start", "ready_s", 2.0),
    Bar("processor while idle, % of a core", "idle", "cpu_percent", 1.0),
)


def report(plan: Plan, results: dict[str, Figures]) -> str:
    card = load_bundle(plan.bundle).card
    about = {
        **machine(),
        "Mosquitto": mosquitto_version(),
        "bundle": f"{card.name} {card.version} ({card.digest[:12]})",
        "batch": str(plan.batch_messages),
        "model threads": str(plan.threads),
        "turns": str(plan.repeats),
    }
    facts = "\n".join(f"- {name}: {value}" for name, value in about.items())
    rounded = {k: {n: round(v, 3) for n, v in figures.items()} for k, figures in results.items()}
    figures = json.dumps(rounded, indent=1)
    return f"{table(BARS, results)}\n\n{facts}\n\n```json\n{figures}\n```\n"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("--bundle", type=Path, help="instead of the default bundle")
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--messages", type=int, default=1600, help="in each saturated turn")
    parser.add_argument("--idle-seconds", type=float, default=60)
    parser.add_argument("--only", choices=["saturated", "idle_latency", "start", "idle"])
    return parser.parse_args()


def main() -> int:
    options = arguments()
    plan = Plan(
        bundle=options.bundle or default_bundle(),
        threads=options.threads,
        batch_messages=options.batch,
        repeats=options.repeats,
        saturated_messages=options.messages,
        idle_messages=200,
        idle_s=options.idle_seconds,
    )
    names = [options.only] if options.only else ["saturated", "idle_latency", "start", "idle"]
    results: dict[str, Figures] = {}
    for name in names:
        results[name] = getattr(measures, name)(plan)
        print(name, json.dumps(results[name]), flush=True)
    if options.only:
        return 0
    text = report(plan, results)
    print(text)
    renew("bench", text)
    behind = missed(BARS, results)
    if behind:
        print(f"missed: {', '.join(behind)}", file=sys.stderr)
    return int(bool(behind))


if __name__ == "__main__":
    sys.exit(main())
