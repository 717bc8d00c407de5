"""Measures speed and energy of the bundles on this machine; suggests threads and batch."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from edge_agent.bench.suggest import InForce
from edge_agent.bundle import Bundle, load_bundle
from edge_agent.commands import serve
from edge_agent.config import Config
from edge_agent.errors import ConfigError
from edge_agent.settings import (
    DEFAULT_CONFIG,
    configured_bundle,
    configured_challenger,
    configured_writers,
    default_bundle,
    load_config,
)

DEFAULT_SECONDS = 45.0
SECONDS = (1.0, 3600.0)
MAX_THREADS = 64
DEFAULT_THREADS = (1, 2, 4)
DEFAULT_BATCH = 16
BATCHES = (1, 4, 16)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    serve.arguments(parser)
    add = parser.add_argument
    text = "measure these instead of those of the configuration"
    add("--bundle", type=Path, nargs="+", action="extend", metavar="DIR", default=[], help=text)
    text = "counts of threads to try, such as 1,2,4"
    add("--threads", type=_threads, metavar="N,N", help=text)
    text = "how long to measure, loading apart (default: %(default)g)"
    add("--seconds", type=_seconds, default=DEFAULT_SECONDS, metavar="N", help=text)
    add("--json", action="store_true", help="the figures as JSON")


def run(options: argparse.Namespace) -> int:
    """0 when it is measured."""
    from edge_agent.bench.measure import bench  # noqa: PLC0415 - other commands start faster
    from edge_agent.bench.plan import Plan  # noqa: PLC0415
    from edge_agent.bench.report import report_data  # noqa: PLC0415
    from edge_agent.bench.screen import draw  # noqa: PLC0415
    from edge_agent.doctor.patient import Patient  # noqa: PLC0415
    from edge_agent.doctor.screen import environment_style  # noqa: PLC0415

    config = _config(options)
    now, cores = _in_force(options, config), len(os.sched_getaffinity(0))
    threads = options.threads or {n for n in DEFAULT_THREADS if n <= cores} | {now.threads}
    bundles = _bundles(options, config)
    plan = Plan(bundles, sorted(threads), now.threads, BATCHES, options.seconds, cores)
    print(f"measuring for {options.seconds:g} s", file=sys.stderr)
    outcome = bench(plan, Patient(options.config, tuple(options.settings)))
    if options.json:
        print(json.dumps(report_data(outcome), indent=2))
    else:
        sys.stdout.write(draw(outcome, now, environment_style(sys.stdout, verbose=False)))
    return 0


def _config(options: argparse.Namespace) -> Config | None:
    """The configuration asked for, or the one that is there; None with --bundle, and without."""
    if options.bundle and (given := options.settings or options.config):
        raise ConfigError(
            f"{given if options.config else ' '.join(given)}: of no use together with --bundle",
            "leave out one of the two",
        )
    if options.bundle or not (options.config or options.settings or _may_be_there(DEFAULT_CONFIG)):
        return None
    return load_config(options.config, options.settings)


def _may_be_there(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _bundles(options: argparse.Namespace, config: Config | None) -> list[Bundle]:
    if config is None:
        return [load_bundle(path) for path in options.bundle or [default_bundle()]]
    challenger = configured_challenger(config)
    trial = [challenger] if challenger else []
    return [configured_bundle(config), *trial, *configured_writers(config).values()]


def _in_force(options: argparse.Namespace, config: Config | None) -> InForce:
    from edge_agent.specialists import default_threads  # noqa: PLC0415

    file = str(options.config or DEFAULT_CONFIG)
    if config is None:
        return InForce(default_threads(), DEFAULT_BATCH, file)
    threads = config.model.threads or default_threads()
    return InForce(threads, config.batch.max_messages, file)


def _threads(text: str) -> set[int]:
    counts = text.split(",")
    if not all(n.isdecimal() and 1 <= int(n) <= MAX_THREADS for n in counts):
        raise argparse.ArgumentTypeError(f"{text!r}: numbers from 1 to {MAX_THREADS}, as in 1,2,4")
    return {int(n) for n in counts}


def _seconds(text: str) -> float:
    least, most = SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not least <= seconds <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from {least:g} to {most:g}")
    return seconds
