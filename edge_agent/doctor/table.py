"""The one table of checks, in the order in which they are shown, and nearly all run."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from edge_agent.doctor.check import Check
from edge_agent.doctor.groups import (
    broker,
    clock,
    config,
    hardware,
    install,
    model,
    network,
    probes,
    runtime,
    storage,
    tls,
)

CHECKS: tuple[Check, ...] = (
    *config.CHECKS,
    *install.CHECKS,
    *model.CHECKS,
    *hardware.CHECKS,
    *storage.CHECKS,
    *clock.CHECKS,
    *network.CHECKS,
    *tls.CHECKS,
    *broker.CHECKS,
    *probes.CHECKS,
    *runtime.CHECKS,
)


def groups() -> list[str]:
    """The groups, in order."""
    return list(dict.fromkeys(check.group for check in CHECKS))


def matching(pattern: str) -> list[Check]:
    """The checks that an id, a group or a glob names."""
    return [c for c in CHECKS if c.group == pattern or fnmatchcase(c.id, pattern)]


def selected(only: Sequence[str], skip: Sequence[str]) -> list[Check]:
    """The checks asked for: all, or those of ``only``; without those of ``skip``."""
    wanted = {c.id for pattern in only for c in matching(pattern)} or {c.id for c in CHECKS}
    unwanted = {c.id for pattern in skip for c in matching(pattern)}
    return [check for check in CHECKS if check.id in wanted - unwanted]


def suggestion(pattern: str) -> str:
    """The id or group nearest to one that names nothing, and where all of them are listed."""
    names = [check.id for check in CHECKS] + groups()
    close = difflib.get_close_matches(pattern, names, n=1, cutoff=0.5)
    nearest = f"did you mean {close[0]}? " if close else ""
    return f"{nearest}`edge-agent doctor --list` lists them"
