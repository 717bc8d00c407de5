"""Packs what another person needs to help: findings, settings, journal; no secrets, no messages."""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path

from edge_agent.commands import serve


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    serve.arguments(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="the .tar.gz to write")


def run(options: argparse.Namespace) -> int:
    """0 when it is written, whatever the doctor found."""
    from edge_agent.doctor import support  # noqa: PLC0415 - other commands start faster
    from edge_agent.doctor.examine import examine  # noqa: PLC0415
    from edge_agent.doctor.patient import Patient  # noqa: PLC0415
    from edge_agent.doctor.table import CHECKS  # noqa: PLC0415

    patient = Patient(options.config, tuple(options.settings))
    collected = support.collect(patient, examine(CHECKS, patient))
    now_s = patient.clock.unix()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now_s))
    path = options.out or Path(f"edge-agent-support-{patient.config.gateway.id}-{stamp}.tar.gz")
    size = support.write(path, collected, now_s)
    print(f"{path}: {size / 1024:.0f} KiB, {len(collected.parts)} files")
    for name, why in collected.missing.items():
        print(f"  without {name}: {why}")
    print(f"look through it before you send it: tar -xzOf {shlex.quote(str(path))} | less")
    return 0
