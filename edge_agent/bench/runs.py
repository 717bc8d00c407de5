"""Runs of a model under some setting, taken in turns, and what they come to. Pure but for runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Length = Literal["short", "medium", "long"]
LENGTHS: tuple[Length, ...] = ("short", "medium", "long")
BATCHED: tuple[Length, ...] = ("short", "medium")
"""Lengths that are tried in batches too: of long texts a batch takes long, and gains little."""
SLICE_S = 0.05
MAX_SLICE_RUNS = 1000
MAX_ROUNDS = 1000


@dataclass(frozen=True, order=True)
class Setting:
    """What one figure is of: a text's length, messages a batch, threads of the model."""

    length: Length
    batch: int
    threads: int


@dataclass(frozen=True)
class Run:
    """One batch, or one output: what of it was spent on reading its prompt, and on writing."""

    took_s: float
    read_tokens: int = 0
    read_s: float = 0.0
    written_tokens: int = 0
    written_s: float = 0.0


Work = Callable[[], Run]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Figures:
    """Of all runs under one setting. ``p50_ms`` and ``p95_ms`` are of a whole batch, or output.

    ``read_per_s`` and ``written_per_s`` are tokens a second, None where nothing is written.
    """

    p50_ms: float
    p95_ms: float
    messages_per_s: float
    runs: int
    rounds: int
    read_per_s: float | None = None
    written_per_s: float | None = None


def interleaved(
    works: Mapping[Setting, Work], until_s: float, clock: Clock
) -> dict[Setting, list[list[Run]]]:
    """Runs all settings in turns until a moment of the clock: the runs of each, by round.

    Every other round goes backwards, so that a machine that warms up slows all of them alike.
    """
    rounds: dict[Setting, list[list[Run]]] = {setting: [] for setting in works}
    order = list(works)
    for _ in range(MAX_ROUNDS):
        for setting in order:
            if clock() >= until_s:
                return rounds
            rounds[setting].append(_slice(works[setting], clock))
        order.reverse()
    return rounds


def _slice(work: Work, clock: Clock) -> list[Run]:
    """Some runs in a row. The first fills the caches again, and counts only if it is alone."""
    end_s = clock() + SLICE_S
    runs = [work()]
    while clock() < end_s and len(runs) < MAX_SLICE_RUNS:
        runs.append(work())
    return runs[1:] or runs


def figures(batch: int, rounds: Sequence[Sequence[Run]]) -> Figures | None:
    """What the runs come to: the median of the rounds' medians. None where there was no time."""
    if not rounds:
        return None
    runs = [run for one in rounds for run in one]
    median_s = statistics.median(statistics.median(run.took_s for run in one) for one in rounds)
    return Figures(
        p50_ms=1000 * median_s,
        p95_ms=1000 * percentile([run.took_s for run in runs], 0.95),
        messages_per_s=batch / max(median_s, 1e-9),
        runs=len(runs),
        rounds=len(rounds),
        read_per_s=_rate([(run.read_tokens, run.read_s) for run in runs]),
        written_per_s=_rate([(run.written_tokens, run.written_s) for run in runs]),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed. At least one value."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def _rate(parts: Sequence[tuple[int, float]]) -> float | None:
    rates = [tokens / seconds for tokens, seconds in parts if tokens and seconds > 0]
    return statistics.median(rates) if rates else None
