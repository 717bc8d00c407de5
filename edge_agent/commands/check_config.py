"""Checks configuration and bundle; prints the settings in force as JSON."""

from __future__ import annotations

import argparse
import sys

from edge_agent.bundle import load_bundle
from edge_agent.commands import serve
from edge_agent.settings import default_bundle, load_config

arguments = serve.arguments


def run(options: argparse.Namespace) -> int:
    """0 when both are usable."""
    config = load_config(options.config, options.settings)
    bundle = load_bundle(config.model.bundle or default_bundle())
    print(config.model_dump_json(indent=2))
    print(f"configuration and bundle {bundle.manifest.name} are usable", file=sys.stderr)
    return 0
