"""Shows the main job with a broker, the agent and a simulated site."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_agent.settings import default_bundle


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--seconds", type=float, help="end after this long")
    parser.add_argument("--json", action="store_true", help="print events instead of a screen")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="the bundle to show")


def run(options: argparse.Namespace) -> int:
    """0 when it ended as asked."""
    from edge_agent.demo import DemoOptions, run_demo  # noqa: PLC0415

    bundle = options.bundle or default_bundle()
    return run_demo(DemoOptions(bundle, options.seconds, options.json))
