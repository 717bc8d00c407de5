"""Shows the main job with a broker, the agent and a simulated site."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from edge_agent.settings import default_bundle, shipped

WRITER = Path("models/work-order")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--seconds", type=float, help="end after this long")
    parser.add_argument("--json", action="store_true", help="print events instead of a screen")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="the bundle to show")
    parser.add_argument(
        "--writer", type=Path, metavar="DIR", help="a bundle that writes about faults and the like"
    )


def run(options: argparse.Namespace) -> int:
    """0 when it ended as asked."""
    from edge_agent.demo import DemoOptions, run_demo  # noqa: PLC0415

    bundle = options.bundle or default_bundle()
    writer = options.writer or shipped_writer()
    return run_demo(DemoOptions(bundle, options.seconds, options.json, writer))


def shipped_writer() -> Path | None:
    """The work orders that came with this installation, where what they need is installed."""
    return shipped(WRITER) if importlib.util.find_spec("llguidance") else None
