"""The measured parts of docs/benchmarks.md, and what a figure may be at most or at least."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/benchmarks.md"


@dataclass(frozen=True)
class Bar:
    """A figure that must not be on the wrong side of its limit."""

    name: str
    measure: str
    figure: str
    limit: float
    at_least: bool = False

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


Results = Mapping[str, Mapping[str, float]]
"""Figures by measure and name."""


def table(bars: Sequence[Bar], results: Results) -> str:
    """Each bar beside what was measured."""
    lines = ["| | measured | bar |", "|---|---:|---:|"]
    for bar in bars:
        sign = "≥" if bar.at_least else "≤"
        value = results[bar.measure][bar.figure]
        missed = "" if bar.holds(value) else ": **missed**"
        lines.append(f"| {bar.name} | {value:.2f}{missed} | {sign} {bar.limit:g} |")
    return "\n".join(lines)


def missed(bars: Sequence[Bar], results: Results) -> list[str]:
    """The names of the bars that do not hold."""
    return [bar.name for bar in bars if not bar.holds(results[bar.measure][bar.figure])]


def machine() -> dict[str, str]:
    """What it ran on."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "processor": f"{found[1] if found else platform.machine()}, {os.cpu_count()} cores",
        "Python": platform.python_version(),
        "onnxruntime": version("onnxruntime"),
    }


def renew(name: str, text: str, page: Path = PAGE) -> None:
    """Puts ``text`` into the page's part ``name``."""
    block = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    old = page.read_text(encoding="utf-8")
    new, count = block.subn(lambda found: f"{found[1]}{text}{found[2]}", old)
    if count != 1:
        raise AssertionError(f"{page} has {count} parts of the name {name}")
    page.write_text(new, encoding="utf-8")
