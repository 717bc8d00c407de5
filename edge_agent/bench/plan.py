"""What the bench is asked to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_agent.bench.runs import Clock
from edge_agent.bundle import Bundle


@dataclass(frozen=True)
class Plan:
    """What to try, and for how long, loading apart. ``cores`` are those this process may use.

    Where memory is short, only ``usual_threads`` are tried.
    """

    bundles: Sequence[Bundle]
    threads: Sequence[int]
    usual_threads: int
    batches: Sequence[int]
    seconds: float
    cores: int
    clock: Clock = time.monotonic
    rest: Callable[[float], None] = time.sleep
    read_every_s: float = 0.25
