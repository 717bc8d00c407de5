"""What was found, for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tools.checking.checks import Result
from tools.checking.findings import SEVERITIES, Finding
from tools.checking.reading import Data, Split

SHOWN = 10
MOST_FREQUENT, RAREST = 10, 5
STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def as_json(result: Result, following: str, *, strict: bool) -> str:
    """Every finding, uncapped; ``following`` is the next command."""
    report = {
        "ok": result.passes(strict=strict),
        "counts": {severity: result.count(severity) for severity in SEVERITIES},
        "splits": {split.file: _sizes(split) for split in result.data.splits},
        "findings": [asdict(finding) for finding in result.findings],
        "next": following,
    }
    return json.dumps(report, indent=1, ensure_ascii=False)


def print_result(result: Result, console: Console) -> None:
    """A table of the splits, then the findings by kind, the gravest first, ten of each."""
    for table in _tables(result.data):
        console.print(table)
    for severity in SEVERITIES:
        for code, found in _kinds(result.findings, severity).items():
            _print_kind(console, code, found)
    counts = ", ".join(_counted(result.count(severity), severity) for severity in SEVERITIES)
    console.print(f"\n{counts}", highlight=False)


def _kinds(findings: tuple[Finding, ...], severity: str) -> dict[str, list[Finding]]:
    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.severity == severity:
            kinds.setdefault(finding.code, []).append(finding)
    return kinds


def _print_kind(console: Console, code: str, found: list[Finding]) -> None:
    """A fix that all have in common stands once, at the end."""
    style, more = STYLES[found[0].severity], len(found) - SHOWN
    title = Text.assemble(
        "\n", (found[0].severity, style), f" {code}", (f" ({len(found):,})", "dim")
    )
    console.print(title)
    common = len({finding.fix for finding in found}) == 1
    for finding in islice(found, SHOWN):
        _print(console, 2, Text.assemble((finding.where, "bold"), f": {finding.problem}"))
        if not common:
            _print(console, 4, _fix(finding))
    if more > 0:
        _print(console, 2, Text(f"and {more:,} more", "dim"))
    if common:
        _print(console, 2, _fix(found[0]))


def _fix(finding: Finding) -> Text:
    return Text(f"{'then' if finding.severity == 'info' else 'fix'}: {finding.fix}", "green")


def _print(console: Console, indent: int, text: Text) -> None:
    """Wrapped with a hanging indent on a terminal, one line each elsewhere."""
    if console.is_terminal:
        console.print(Padding(text, (0, 0, 0, indent)))
    else:
        console.print(Text(" " * indent) + text, soft_wrap=True)


def _counted(count: int, severity: str) -> str:
    return f"{count:,} {severity}" + ("s" if count != 1 and severity != "info" else "")


def _tables(data: Data) -> Iterator[Table]:
    """The splits; then how often each route and label stands in each of them."""
    splits = _columns("split", ["messages", "with route", "routes", "entities", "labels"])
    for split in data.splits:
        sizes = _sizes(split)
        counts = (sizes["messages"], sizes["routed"], len(sizes["routes"]))
        counts += (sizes["entities"], len(sizes["labels"]))
        splits.add_row(Text(split.name), *(f"{count:,}" for count in counts))
    yield splits
    for kind in ("routes", "labels"):
        counts = {split.file: _sizes(split)[kind] for split in data.splits}
        if any(counts.values()):
            yield _names_table(kind, data, counts)


def _names_table(kind: str, data: Data, counts: dict[str, dict[str, int]]) -> Table:
    """Name by split, the most frequent first; of many, the middle is left out."""
    table = _columns(kind.rstrip("s"), [split.name for split in data.splits])
    total: Counter[str] = Counter()
    for of_split in counts.values():
        total.update(of_split)
    ranked = [name for name, _ in total.most_common()]
    hidden = len(ranked) - MOST_FREQUENT - RAREST
    for i, name in enumerate(ranked):
        if hidden > 0 and i == MOST_FREQUENT:
            table.add_row(f"… {hidden} more …")
        if hidden <= 0 or not MOST_FREQUENT <= i < len(ranked) - RAREST:
            row = [f"{of_split.get(name, 0):,}" for of_split in counts.values()]
            table.add_row(Text(name), *row)
    return table


def _columns(first: str, others: list[str]) -> Table:
    table = Table(first)
    for heading in others:
        table.add_column(Text(heading), justify="right")
    return table


def _sizes(split: Split) -> dict:
    """Counts of a split; routes and labels with the most frequent first."""
    routes, labels = (
        dict(sorted(((n, len(w)) for n, w in found.items()), key=lambda item: (-item[1], item[0])))
        for found in (split.routes, split.labels)
    )
    return {
        "messages": len(split.entries),
        "routed": sum(routes.values()),
        "routes": routes,
        "entities": sum(labels.values()),
        "labels": labels,
    }
