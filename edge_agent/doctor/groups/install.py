"""The installation: the program, its libraries, its user and its service."""

from __future__ import annotations

import platform

from edge_agent import __version__
from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import Finding, ok
from edge_agent.doctor.patient import Patient


def version(_patient: Patient) -> Finding:
    """What runs, on what."""
    python = platform.python_version()
    return ok(f"edge-agent {__version__}, Python {python}, {platform.machine()}")


CHECKS = (Check("install.version", "versions of edge-agent and Python, architecture", version),)
