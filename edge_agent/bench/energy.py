"""What a message costs, from readings of a sensor. Pure, but for the thread that takes them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from edge_agent.bench.runs import Clock

MAX_READINGS = 10_000


@dataclass(frozen=True)
class Reading:
    """What a sensor said at a moment of the clock. The unit is the meter's."""

    at_s: float
    values: tuple[float, ...]


class Meter(Protocol):
    """A sensor of power or energy. ``what`` says what it covers."""

    @property
    def what(self) -> str:
        """For people."""

    def read(self) -> tuple[float, ...] | None:
        """What the sensor says now; None when it says nothing."""

    def joules(self, readings: Sequence[Reading]) -> float:
        """What was used from the first reading to the last."""


def integrated_j(readings: Sequence[Reading]) -> float:
    """Of watts that were read now and then: trapezoids."""
    return sum(
        (b.at_s - a.at_s) * (sum(a.values) + sum(b.values)) / 2 for a, b in pairwise(readings)
    )


def counted_j(readings: Sequence[Reading], wraps_at_j: Sequence[float]) -> float:
    """Of counters in joules that begin again at 0 when they are full."""
    return sum(
        after - before if after >= before else after + full - before
        for a, b in pairwise(readings)
        for before, after, full in zip(a.values, b.values, wraps_at_j, strict=True)
    )


def watts(meter: Meter, readings: Sequence[Reading]) -> float | None:
    """The mean power over the readings, None when they are too few."""
    if len(readings) < 2 or readings[-1].at_s <= readings[0].at_s:
        return None
    return meter.joules(readings) / (readings[-1].at_s - readings[0].at_s)


def watched(
    meter: Meter, work: Callable[[], None], clock: Clock, read_every_s: float
) -> list[Reading]:
    """Does the work; reads the meter before it, meanwhile and after it."""
    readings: list[Reading] = []
    begun, over = threading.Event(), threading.Event()

    def look() -> None:
        last = False
        while not last and len(readings) < MAX_READINGS:
            last = over.is_set()
            if (values := meter.read()) is not None:
                readings.append(Reading(clock(), values))
            begun.set()
            over.wait(read_every_s)

    looker = threading.Thread(target=look, daemon=True)
    looker.start()
    begun.wait()
    try:
        work()
    finally:
        over.set()
        looker.join()
    return readings


@dataclass(frozen=True)
class Energy:
    """Mean power idle and at work; ``messages`` were worked on in ``work_s`` seconds."""

    idle_w: float
    work_w: float
    messages: int
    work_s: float

    @property
    def message_j(self) -> float:
        """Joules a message above what the idle machine takes; 0 or less: it cannot be told."""
        return (self.work_w - self.idle_w) * self.work_s / self.messages
