"""Checks configuration and bundle; prints the settings in force as JSON."""

from __future__ import annotations

import argparse
import sys

from edge_agent.commands import serve
from edge_agent.settings import (
    configured_bundle,
    configured_challenger,
    configured_writers,
    load_config,
)

arguments = serve.arguments


def run(options: argparse.Namespace) -> int:
    """0 when both are usable."""
    config = load_config(options.config, options.settings)
    bundle = configured_bundle(config)
    writers = configured_writers(config)
    challenger = configured_challenger(config)
    print(config.model_dump_json(indent=2))
    signed = f" (signed by key {bundle.signed_by})" if bundle.signed_by else ""
    print(f"configuration and bundle {bundle.card.name}{signed} are usable", file=sys.stderr)
    if challenger:
        print(f"challenger: bundle {challenger.card.name} is usable", file=sys.stderr)
    for name, writer in writers.items():
        print(f"specialist {name}: bundle {writer.card.name} is usable", file=sys.stderr)
    return 0
