"""The report for people: 80 columns, grouped, the fix on the line below what it mends."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TextIO

from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import Finding, Status
from edge_agent.doctor.report import Report, Result

WIDTH = 80
NAME_WIDTH = 14
INDENT = " " * (4 + NAME_WIDTH)
MARKS = {
    Status.OK: "✓",
    Status.WARNING: "!",
    Status.ERROR: "✗",
    Status.SKIPPED: "–",  # noqa: RUF001 - as wide as the other marks
    Status.CRASHED: "✗",
}
COLOURS = {
    Status.OK: "32",
    Status.WARNING: "33",
    Status.ERROR: "31",
    Status.SKIPPED: "2",
    Status.CRASHED: "35",
}
PLAIN = str.maketrans(
    {"✓": "+", "✗": "x", "–": "-", "…": "...", "°": " deg ", "µ": "u", "→": "->", "×": "x"}  # noqa: RUF001
)
NO_BREAK = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Style:
    """What the terminal can show."""

    colour: bool = False
    ascii_only: bool = False
    verbose: bool = False

    @classmethod
    def of(cls, stream: TextIO, environment: Mapping[str, str], *, verbose: bool) -> Style:
        """Colour only on a terminal, and not where NO_COLOR is set (no-color.org)."""
        colour = stream.isatty() and not environment.get("NO_COLOR")
        try:
            "".join(MARKS.values()).encode(stream.encoding or "ascii")
        except UnicodeEncodeError:
            return cls(colour, ascii_only=True, verbose=verbose)
        return cls(colour and environment.get("TERM") != "dumb", verbose=verbose)

    def paint(self, text: str, code: str) -> str:
        """The text in a colour, where there are colours."""
        return f"\N{ESCAPE}[{code}m{text}\N{ESCAPE}[0m" if self.colour else text

    def spell(self, text: str) -> str:
        """The text in the characters that can be shown."""
        if not self.ascii_only:
            return text
        return text.translate(PLAIN).encode("ascii", "replace").decode()


def draw(report: Report, style: Style, next_command: str) -> str:
    """The whole screen."""
    lines: list[str] = []
    for group, results in groupby(report.results, key=lambda result: result.check.group):
        lines += [style.paint(group, "1"), *_group(list(results), style), ""]
    lines += _summary(report, style, next_command)
    return "\n".join(lines) + "\n"


def draw_list(checks: list[Check], style: Style) -> str:
    """Every id with what it examines."""
    width = max((len(check.id) for check in checks), default=0)
    rows = [f"{check.id:<{width}}  {check.examines}" for check in checks]
    return style.spell("\n".join(rows) + "\n")


def _group(results: list[Result], style: Style) -> Iterator[str]:
    """A line or more for each finding; checks skipped for one reason share a line."""
    names: dict[str, list[str]] = {}
    for result in results:
        if result.status is Status.SKIPPED:
            names.setdefault(result.findings[0].text, []).append(result.check.name)
    for result in results:
        alike = names.get(result.findings[0].text, []) if result.status is Status.SKIPPED else []
        if result.check.name not in alike[1:]:
            yield from _result(result, alike[1:], style)


def _result(result: Result, also: list[str], style: Style) -> Iterator[str]:
    for i, finding in enumerate(result.findings):
        text = f"{finding.text} (also {', '.join(also)})" if also else finding.text
        yield from finding_lines("" if i else result.check.name, replace(finding, text=text), style)


def finding_lines(name: str, finding: Finding, style: Style) -> Iterator[str]:
    """A finding below its name, with its fix."""
    mark = style.paint(style.spell(MARKS[finding.status]), COLOURS[finding.status])
    first, *rest = _wrapped(finding.text, style, len(INDENT))
    yield f"  {mark} {name:<{NAME_WIDTH}}{_dim(first, finding, style)}"
    yield from (INDENT + _dim(line, finding, style) for line in rest)
    if finding.fix:
        first, *rest = _wrapped(finding.fix, style, len(INDENT) + len("fix: "))
        yield INDENT + style.paint("fix: ", "1") + first
        yield from (INDENT + "     " + line for line in rest)
    if style.verbose:
        yield from (INDENT + style.paint(style.spell(line), "2") for line in finding.details)


def _dim(line: str, finding: Finding, style: Style) -> str:
    return style.paint(line, "2") if finding.status is Status.SKIPPED else line


def _wrapped(text: str, style: Style, taken: int) -> list[str]:
    """Lines that fit; what stands between backticks stays on one, so that it can be copied."""
    parts = style.spell(text).split("`")
    parts[1::2] = [part.replace(" ", NO_BREAK) for part in parts[1::2]]
    wrapper = textwrap.TextWrapper(
        WIDTH - taken, break_long_words=False, break_on_hyphens=False, replace_whitespace=False
    )
    lines = [line for one in "`".join(parts).split("\n") for line in wrapper.wrap(one)]
    return [line.replace(NO_BREAK, " ") for line in lines] or [""]


def _summary(report: Report, style: Style, next_command: str) -> Iterator[str]:
    counts = report.counts
    words = [
        style.paint(_counted(counts[status], status), COLOURS[status])
        for status in (Status.OK, Status.WARNING, Status.ERROR, Status.CRASHED, Status.SKIPPED)
        if counts[status]
    ]
    yield f"{', '.join(words)} in {report.took_s:.1f} s"
    yield from _wrapped(f"next: {next_command}", style, 0)


def _counted(count: int, status: Status) -> str:
    plural = "s" if count > 1 and status in {Status.WARNING, Status.ERROR} else ""
    return f"{count} {status.value}{plural}"


def environment_style(stream: TextIO, *, verbose: bool) -> Style:
    """What this process's terminal can show."""
    return Style.of(stream, os.environ, verbose=verbose)
