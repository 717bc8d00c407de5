"""Texts that stand more than once: contradicting themselves, doubled, or leaking across splits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tools.checking.findings import Finding, places, quote, times
from tools.checking.reading import Data, Entry

LEAK_FIX = "take it out of one of the two: a score over known messages flatters"


def contradictions(data: Data) -> Iterator[Finding]:
    """Same text, another route or other spans. What one of them leaves open contradicts nothing."""
    for group in _repeated(data.entries):
        yield from _contradiction(group, "routes", _routes(group))
        yield from _contradiction(group, "spans", _spans(group))


def duplicates(data: Data) -> Iterator[Finding]:
    """Same text more than once within a split."""
    for split in data.splits:
        for group in _repeated(split.entries):
            problem = f"{quote(group[0].text)} stands {times(len(group))}: {_lines(group)}"
            fix = "keep one, unless the repetition is how often it really comes"
            yield Finding("duplicate", "warning", group[0].where, problem, fix)


def leaks(data: Data) -> Iterator[Finding]:
    """Same text in two splits: once for each text and later split."""
    for group in _repeated(data.entries):
        first = group[0]
        for file in dict.fromkeys(entry.file for entry in group):
            if file != first.file:
                here = [entry for entry in group if entry.file == file]
                problem = f"{quote(first.text)} also stands in {places([first.where])}"
                if len(here) > 1:
                    problem += f"; here {times(len(here))}: {_lines(here)}"
                yield Finding("leak", "warning", here[0].where, problem, LEAK_FIX)


def _repeated(entries: Iterable[Entry]) -> list[list[Entry]]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.text, []).append(entry)
    return [group for group in groups.values() if len(group) > 1]


def _routes(group: list[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in group:
        if entry.route:
            found.setdefault(entry.route, []).append(entry)
    return found


def _spans(group: list[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in group:
        if entry.marks is not None:
            spans = sorted(entry.sound_marks, key=lambda mark: mark.start)
            parts = [f"{quote(entry.text[m.start : m.end])} {m.label}" for m in spans]
            found.setdefault(", ".join(parts) or "nothing", []).append(entry)
    return found


def _contradiction(
    group: list[Entry], what: str, found: dict[str, list[Entry]]
) -> Iterator[Finding]:
    if len(found) > 1:
        ranked = sorted(found.items(), key=lambda item: -len(item[1]))
        said = "; ".join(f"{answer} ({_lines(entries)})" for answer, entries in ranked)
        rarest = ranked[-1][1][0]
        yield Finding(
            f"contradicting-{what}",
            "warning",
            rarest.where,
            f"{quote(group[0].text)} has different {what}: {said}",
            "make them agree, or delete the wrong ones",
        )


def _lines(entries: list[Entry]) -> str:
    return places([entry.where for entry in entries])
