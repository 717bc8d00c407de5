"""The checks, as a table, and the one function that runs them all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.checking import consistency, counts, keys, names, near, repeats, spans
from tools.checking.findings import Finding
from tools.checking.reading import DEV, TEST, TRAIN, Data, read_file
from tools.errors import ToolError

Check = Callable[[Data], Iterable[Finding]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("sizes", counts.sizes),
    ("held out", counts.held_out_messages),
    ("tasks", counts.tasks),
    ("many labels", counts.many_labels),
    ("spans", spans.offsets),
    ("contradictions", repeats.contradictions),
    ("names across splits", counts.strangers),
    ("names", names.unfit_names),
    ("similar names", names.similar_names),
    ("keys", keys.unknown_keys),
    ("leaks", repeats.leaks),
    ("near-duplicates", near.near_duplicates),
    ("consistency", consistency.inconsistencies),
    ("few examples", counts.few_examples),
    ("balance", counts.imbalance),
    ("duplicates", repeats.duplicates),
    ("long texts", counts.long_texts),
    ("out of scope", names.out_of_scope_route),
    ("unmeasured", counts.unmeasured),
)
"""Title and check. Findings of one severity are shown in this order."""


@dataclass(frozen=True)
class Result:
    """All that was found, and what could be read: ``data`` lacks files that hold only faults."""

    data: Data
    findings: tuple[Finding, ...]

    def count(self, severity: str) -> int:
        return sum(finding.severity == severity for finding in self.findings)

    def passes(self, *, strict: bool = False) -> bool:
        """Whether one may train on it; ``strict`` counts warnings too."""
        return not self.count("error") and not (strict and self.count("warning"))


Watch = Callable[[Iterable[tuple[str, Check]]], Iterable[tuple[str, Check]]]


def check(paths: list[Path], watch: Watch = iter) -> Result:
    """Reads everything and runs every check; ``watch`` may show how far it is. Raises ToolError."""
    read = [read_file(path) for path in files_of(paths)]
    lacks_dev = any(path.is_dir() and not (path / f"{DEV}.jsonl").is_file() for path in paths)
    data = Data(tuple(split for split, found in read if split.entries or not found), lacks_dev)
    findings = [finding for _, found in read for finding in found]
    for _, run in watch(CHECKS):
        findings += run(data)
    return Result(data, tuple(findings))


def files_of(paths: list[Path]) -> list[Path]:
    """The files of a data folder, or the files named. Raises ToolError."""
    folders = [path for path in paths if path.is_dir()]
    if not folders:
        return list(dict.fromkeys(paths))
    if len(paths) > 1:
        raise ToolError(
            f"{folders[0]} is a folder, and more is named beside it",
            f"check one folder at a time: python -m tools check-data {folders[0]}",
        )
    return list(_files(folders[0]))


def _files(folder: Path) -> Iterator[Path]:
    yield folder / f"{TRAIN}.jsonl"
    if (folder / f"{DEV}.jsonl").is_file():
        yield folder / f"{DEV}.jsonl"
    if (folder / f"{TEST}.jsonl").exists():
        yield folder / f"{TEST}.jsonl"
