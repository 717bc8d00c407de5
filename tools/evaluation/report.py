"""Evaluations and comparisons as tables for people. Knows nothing of files and programs."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tools.evaluation.comparison import Comparison, Flip, PairedTest
from tools.evaluation.evaluate import Evaluation, Interval
from tools.evaluation.metrics import Tally
from tools.evaluation.running import Run
from tools.evaluation.scope import AtCoverage, OutOfScope

MOST_ROWS = 40
MOST_CONFUSIONS = 10
MOST_FLIPS = 10
MOST_CHARS = 120
SCORES = {
    "route_accuracy": "route accuracy",
    "route_macro_f1": "route macro F1",
    "entity_f1": "entity F1",
    "entity_precision": "entity precision",
    "entity_recall": "entity recall",
    "exact": "exact",
}
"""In percent, with the words people read."""


def print_evaluation(found: Evaluation, console: Console) -> None:
    """Scores with intervals, beside the baselines; then each route and label."""
    messages = found.ours.scores.messages
    title = f"{found.run.name} on {found.job.file}, {counted(messages, 'message')}"
    console.print(f"[bold]{escape(title)}[/]")
    console.print(_speed(found.run), highlight=False, soft_wrap=True)
    console.print(_summary(found))
    for name, tallies in (("route", found.ours.scores.routes), ("label", found.ours.scores.labels)):
        if tallies:
            console.print(_tally_table(name, tallies))
    for pair, count in list(found.ours.scores.confusions.items())[:MOST_CONFUSIONS]:
        console.print(f"{count:4d}  {pair}", markup=False, highlight=False)
    for line in (*_confidence(found), *_scope(found.scope)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for note in found.notes:
        console.print(f"[yellow]note:[/] {escape(note)}")
    if found.beaten:
        names = ", ".join(SCORES[name] for name in found.beaten)
        console.print(f"[bold red]a simple model does better:[/] {names}; do not ship this yet")


def print_comparison(found: Comparison, console: Console) -> None:
    """Scores side by side, the verdicts, and which messages flipped."""
    messages = found.champion.rated.scores.messages
    console.print(f"[bold]{escape(str(found.file))}[/], {counted(messages, 'message')}")
    for who, side in (("champion", found.champion), ("challenger", found.challenger)):
        line = f"{who}: {side.run.name} {side.run.bundle.digest[:12]}, {_speed(side.run)}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    table = Table("score", "champion", "challenger", "difference (95 %)", "p")
    for test in found.tests:
        sides = percent(test.champion), percent(test.challenger)
        change = with_interval(test.difference, test.interval, signed=True)
        table.add_row(SCORES[test.score], *sides, change, f"{test.p:.3g}")
    console.print(table)
    for method in sorted({test.method for test in found.tests}):
        names = ", ".join(SCORES[test.score] for test in found.tests if test.method == method)
        console.print(f"p of {names}: {method}", highlight=False)
    _print_flips(found.flips, console)
    for note in found.notes:
        console.print(f"[yellow]note:[/] {escape(note)}")
    for test in found.tests:
        console.print(verdict(test), style="bold", highlight=False)


def verdict(test: PairedTest) -> str:
    """``route accuracy: challenger is better (p = 0.012)``."""
    said = (
        test.verdict if test.verdict == "no difference shown" else f"challenger is {test.verdict}"
    )
    return f"{SCORES[test.score]}: {said} (p = {test.p:.2g})"


def percent(value: float | None, *, signed: bool = False) -> str:
    """``0.8842`` as ``88.4``."""
    if value is None:
        return "-"
    return f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"


def with_interval(value: float, around: Interval, *, signed: bool = False) -> str:
    """``88.4 (84.9…92.0)``."""
    low, high = (percent(end, signed=signed) for end in around)
    return f"{percent(value, signed=signed)} ({low}…{high})"


def counted(number: int, noun: str) -> str:
    """``1 message``, ``2 messages``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _speed(run: Run) -> str:
    speed = run.speed
    return (
        f"{run.size_bytes / 1e6:.1f} MB, {speed.p50_ms:.1f} ms a message (p95 {speed.p95_ms:.1f}), "
        f"{speed.messages_per_s:.0f} messages/s in batches"
    )


def _summary(found: Evaluation) -> Table:
    table = Table("score, %", "bundle (95 %)")
    if found.theirs is not None:
        table.add_column("baseline (95 %)")
        table.add_column("difference (95 %)")
    for name, words in SCORES.items():
        if name in found.ours.intervals:
            table.add_row(words, *_cells(found, name))
    if (error := found.ours.scores.calibration_error) is not None:
        table.add_row("calibration error", percent(error))
    return table


def _cells(found: Evaluation, name: str) -> list[str]:
    rated = [side for side in (found.ours, found.theirs) if side is not None]
    cells = [
        with_interval(getattr(side.scores, name), side.intervals[name])
        if name in side.intervals
        else "-"
        for side in rated
    ]
    if item := found.differences.get(name):
        cells.append(with_interval(item.difference, item.interval, signed=True))
    return cells


def _tally_table(title: str, tallies: Mapping[str, Tally]) -> Table:
    """The weakest first where there are many."""
    rows = list(tallies.items())
    left_out = len(rows) - MOST_ROWS
    if left_out > 0:
        rows = sorted(rows, key=lambda row: row[1].f1)[:MOST_ROWS]
    table = Table(title, "precision", "recall", "F1", "support")
    for name, tally in rows:
        scores = [percent(value) for value in (tally.precision, tally.recall, tally.f1)]
        table.add_row(escape(name), *scores, str(tally.support))
    if left_out > 0:
        table.caption = f"the {MOST_ROWS} weakest; {left_out} more with --html or --json"
    return table


def _confidence(found: Evaluation) -> list[str]:
    if found.risk is None:
        return []
    steps = ", ".join(f"{percent(found.risk.at(c))} at {c} %" for c in (100, 90, 70, 50))
    return [f"errors of {found.risk.of}, %, over the surest messages: {steps}"]


def _scope(scope: OutOfScope | None) -> list[str]:
    if scope is None:
        return []
    first = (
        f"out of scope ({scope.label}, {counted(scope.messages, 'message')}): "
        f"recall {percent(scope.recall)}, in-scope accuracy {percent(scope.in_scope_accuracy)} "
        f"({percent(scope.in_scope_forced)} without abstention)"
    )
    return [first, *(_at(item) for item in scope.at_coverage if scope.messages)]


def _at(item: AtCoverage) -> str:
    return (
        f"  keeping {item.coverage_percent} % of in-scope (abstain below {item.threshold:.2f}): "
        f"recall {percent(item.recall)}, in-scope accuracy {percent(item.in_scope_accuracy)}"
    )


def _print_flips(flips: list[Flip], console: Console) -> None:
    for of in ("route", "exact"):
        for fixed, word in ((False, "broken"), (True, "fixed")):
            chosen = [flip for flip in flips if flip.of == of and flip.fixed is fixed]
            if chosen:
                console.print(f"[bold]{of}: {counted(len(chosen), 'message')} {word}[/]")
            for flip in chosen[:MOST_FLIPS] if of == "route" else ():
                line = f"  {flip.message}: {flip.champion} > {flip.challenger}  {flip.text!r}"
                console.print(line[:MOST_CHARS], markup=False, highlight=False, soft_wrap=True)
