"""Which threads and batch suit what was measured. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge_agent.bench.runs import Figures, Length, Setting

ENOUGH = 0.9
"""Of the best rate: for the rest, more threads take cores from others, and larger batches wait."""

Rates = dict[Length, float]
"""Messages a second by the length of their text."""


@dataclass(frozen=True)
class Suggestion:
    """Values for ``model.threads`` and ``batch.max_messages``, and why.

    ``batch`` is None where only bundles that write were measured: they take no batches.
    """

    threads: int
    threads_why: str
    batch: int | None = None
    batch_why: str = ""


@dataclass(frozen=True)
class InForce:
    """The settings that the agent has now, and the file that says so."""

    threads: int
    batch: int
    file: str


def suggest(results: Mapping[Setting, Figures | None], cores: int) -> Suggestion | None:
    """The fewest threads, then the smallest batch, that give nearly the best rate at all lengths.

    Of several cores one is left to the broker and the rest. None when there was no time for all.
    """
    found = {setting: figure for setting, figure in results.items() if figure}
    if not found or len(found) < len(results):
        return None
    by_threads = _rates((s.threads, s.length, f) for s, f in found.items())
    sparing = {n: rates for n, rates in by_threads.items() if n < cores or n == min(by_threads)}
    threads = _smallest(sparing)
    greedy = [n for n in by_threads if n not in sparing]
    why = _said(by_threads, "with 1 thread", "with {}") + _left_none(greedy)
    by_batch = _batched({s: f for s, f in found.items() if s.threads == threads})
    if not by_batch:
        return Suggestion(threads, why)
    batch_why = _said(by_batch, "one by one", "by {}")
    return Suggestion(threads, why, _smallest(by_batch), batch_why)


def _batched(found: Mapping[Setting, Figures]) -> dict[int, Rates]:
    """Rates by batch, of the lengths that were tried in batches."""
    lengths = {setting.length for setting in found if setting.batch > 1}
    return _rates((s.batch, s.length, f) for s, f in found.items() if s.length in lengths)


def _rates(rows: Iterable[tuple[int, Length, Figures]]) -> dict[int, Rates]:
    """The best rate of each length, by a number of threads, or of messages a batch."""
    found: dict[int, Rates] = {}
    for number, length, figures in rows:
        rates = found.setdefault(number, {})
        rates[length] = max(figures.messages_per_s, rates.get(length, 0.0))
    return dict(sorted(found.items()))


def _smallest(rates: Mapping[int, Rates]) -> int:
    lengths = next(iter(rates.values()))
    best = {length: max(one[length] for one in rates.values()) for length in lengths}
    good = (
        number
        for number, one in rates.items()
        if all(one[length] >= ENOUGH * best[length] for length in lengths)
    )
    return next(good, max(rates))


def _said(rates: Mapping[int, Rates], alone: str, several: str) -> str:
    """The rates of the first length, which are easy to compare."""
    length = next(iter(next(iter(rates.values()))))
    parts = [
        f"{_number(one[length])} {alone if number == 1 else several.format(number)}"
        for number, one in rates.items()
    ]
    return f"{length} messages a second: {', '.join(parts)}"


def _left_none(greedy: Sequence[int]) -> str:
    return f"; {' and '.join(map(str, greedy))} would leave no core to the rest" if greedy else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
