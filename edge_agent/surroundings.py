"""What the agent stands on besides configuration, model and broker; passed in, so tests can."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent.crashes import CrashRecord
from edge_agent.host import Host
from edge_agent.presence import Presence
from edge_agent.systemd import Notifier


@dataclass(frozen=True)
class Clock:
    """Seconds: ``monotonic`` for waiting, ``unix`` for people."""

    monotonic: Callable[[], float] = time.monotonic
    unix: Callable[[], float] = time.time


@dataclass(frozen=True)
class Surroundings:
    """``watchdog_s`` is how often the watchdog wants to be fed, None when there is none."""

    state_dir: Path
    crashes: CrashRecord
    presence: Presence
    notifier: Notifier
    clock: Clock = Clock()
    host: Host = field(default_factory=Host)
    watchdog_s: float | None = None
