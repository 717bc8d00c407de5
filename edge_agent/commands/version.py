"""Prints the version."""

from __future__ import annotations

import argparse

from edge_agent import __version__


def arguments(_parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def run(_options: argparse.Namespace) -> int:
    """Always 0."""
    print(f"edge-agent {__version__}")
    return 0
