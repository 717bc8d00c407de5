"""The scores of ``evaluate`` as tables for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def print_report(report: dict[str, object]) -> None:
    """The same for people."""
    console = Console()
    console.print(f"[bold]{report['bundle']}[/] on {report['file']}, {report['messages']} messages")
    summary = Table("score", "value")
    for name in _SUMMARY:
        if report[name] is not None:
            summary.add_row(name.replace("_", " "), f"{report[name]:.3f}")
    console.print(summary)
    for title in ("routes", "labels"):
        if report[title]:
            console.print(_tally_table(title, report[title]))
    for pair, count in list(report["confusions"].items())[:10]:
        console.print(f"{count:4d}  {pair}")


_SUMMARY = (
    "route_accuracy",
    "route_macro_f1",
    "calibration_error",
    "entity_f1",
    "entity_precision",
    "entity_recall",
    "exact",
    "ms_per_message",
)


def _tally_table(title: str, tallies: dict[str, dict[str, float]]) -> Table:
    table = Table(title.rstrip("s"), "precision", "recall", "F1", "support")
    for name, tally in tallies.items():
        scores = [f"{tally[key]:.3f}" for key in ("precision", "recall", "f1")]
        table.add_row(name, *scores, str(tally["support"]))
    return table
