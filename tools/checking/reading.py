"""Reads JSON Lines tolerantly: every line becomes an entry, or a finding that says why not.

``tools.data.read_jsonl`` stops at the first bad line; this goes on, so that all are mended at once.
"""

from __future__ import annotations

import codecs
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from tools.checking.findings import Finding, quote
from tools.data import SHAPE, Line, key_path

KNOWN_KEYS = ("text", "route", "entities", "source", "id")
KNOWN_SPAN_KEYS = ("start", "end", "label", "text", "surface")
TRAIN, DEV, TEST = "train", "dev", "test"
SHOWN_FAULTS = 3


@dataclass(frozen=True)
class Mark:
    """A labelled span as written: ``start`` and ``end`` may be nonsense."""

    start: int
    end: int
    label: str
    surface: str | None = None


@dataclass(frozen=True)
class Entry:
    """One message as written. ``marks`` is None where nobody looked for entities."""

    file: str
    line: int
    text: str
    route: str | None = None
    marks: tuple[Mark, ...] | None = None
    unknown_keys: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def sound_marks(self) -> tuple[Mark, ...]:
        """The spans that lie within the text."""
        return tuple(m for m in self.marks or () if 0 <= m.start < m.end <= len(self.text))


@dataclass(frozen=True)
class Split:
    """The messages of one file. ``name`` is its stem: ``train``, ``dev``, ``test``."""

    name: str
    file: str
    entries: tuple[Entry, ...]

    @cached_property
    def routes(self) -> dict[str, list[str]]:
        """Where each route occurs."""
        found: dict[str, list[str]] = {}
        for entry in self.entries:
            if entry.route:
                found.setdefault(entry.route, []).append(entry.where)
        return found

    @cached_property
    def labels(self) -> dict[str, list[str]]:
        """Where each label occurs, once a span."""
        found: dict[str, list[str]] = {}
        for entry in self.entries:
            for mark in entry.marks or ():
                found.setdefault(mark.label, []).append(entry.where)
        return found


@dataclass(frozen=True)
class Data:
    """Everything that could be read.

    ``lacks_dev``: of a folder without dev.jsonl, for which training holds messages out.
    """

    splits: tuple[Split, ...]
    lacks_dev: bool = False

    @property
    def entries(self) -> Iterator[Entry]:
        for split in self.splits:
            yield from split.entries

    @property
    def train(self) -> Split | None:
        return next((split for split in self.splits if split.name == TRAIN), None)

    @cached_property
    def routes(self) -> dict[str, list[str]]:
        """Where each route occurs, in all splits."""
        return _merged([split.routes for split in self.splits])

    @cached_property
    def labels(self) -> dict[str, list[str]]:
        """Where each label occurs, in all splits."""
        return _merged([split.labels for split in self.splits])


def read_file(path: Path) -> tuple[Split, list[Finding]]:
    """The readable messages of a file, and a finding for each line that is none."""
    entries: list[Entry] = []
    findings: list[Finding] = []
    for item in _lines(path):
        (findings if isinstance(item, Finding) else entries).append(item)  # type: ignore[arg-type]
    return Split(path.stem, str(path), tuple(entries)), findings


def _lines(path: Path) -> Iterator[Entry | Finding]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        fix = f"write {path.name}, one JSON object a line: {SHAPE}"
        yield Finding("missing-file", "error", str(path), f"cannot be read: {error.strerror}", fix)
        return
    whole = _wrong_file(path, raw)
    if whole is not None:
        yield whole
        return
    if raw.startswith(codecs.BOM_UTF8):
        fix = f"sed -i '1s/^\\xEF\\xBB\\xBF//' {shlex.quote(str(path))}"
        problem = "begins with a byte order mark, which is no JSON"
        yield Finding("byte-order-mark", "error", f"{path}:1", problem, fix)
    for number, line in enumerate(raw.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        if line.strip():
            yield _read_line(line, str(path), number)


def _wrong_file(path: Path, raw: bytes) -> Finding | None:
    """What is wrong with the file as a whole, so that its lines need not say it one by one."""
    old = shlex.quote(str(path))
    into = f"{old} > {old}.new && mv {old}.new {old}"
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in raw[:200]:
        fix = f"iconv -f UTF-16 -t UTF-8 {into}"
        return Finding("not-utf8", "error", str(path), "looks like UTF-16, not UTF-8", fix)
    if raw.lstrip().startswith(b"[") and _is_array(raw):
        fix = f"jq -c '.[]' {into}"
        problem = "is one JSON array, not one JSON object a line"
        return Finding("json-array", "error", str(path), problem, fix)
    return None


def _is_array(raw: bytes) -> bool:
    try:
        return isinstance(json.loads(raw), list)
    except (ValueError, RecursionError):
        return False


def _read_line(raw: bytes, file: str, number: int) -> Entry | Finding:
    where = f"{file}:{number}"
    try:
        line = raw.decode()
    except UnicodeDecodeError as error:
        problem = f"byte 0x{raw[error.start]:02x} at column {error.start + 1} is not UTF-8"
        old = shlex.quote(file)
        fix = f"save as UTF-8, for instance: iconv -f WINDOWS-1252 -t UTF-8 {old} > {old}.new"
        return Finding("not-utf8", "error", where, problem, fix)
    try:
        item = Line.model_validate_json(line)
    except ValidationError as error:
        return _refused(line, where, error)
    if not item.text.strip():
        return Finding("empty-text", "error", where, "text is empty", "delete the line")
    return _entry(item, file, number)


def _refused(line: str, where: str, error: ValidationError) -> Finding:
    faults = error.errors(include_url=False)
    if faults[0]["type"] == "json_invalid":
        problem = f"{faults[0]['msg']}: {quote(line.strip())}"
        return Finding("not-json", "error", where, problem, f"write {SHAPE}")
    shown = [f"{key_path(fault['loc']) or 'the line'}: {fault['msg']}" for fault in faults]
    return Finding(
        "wrong-shape",
        "error",
        where,
        "; ".join(shown[:SHOWN_FAULTS]) + f" in {quote(line.strip())}",
        f"write {SHAPE}",
    )


def _entry(item: Line, file: str, number: int) -> Entry:
    marks = None
    if item.entities is not None:
        surfaces = [span.text if span.surface is None else span.surface for span in item.entities]
        marks = tuple(
            Mark(span.start, span.end, span.label, surface)
            for span, surface in zip(item.entities, surfaces, strict=True)
        )
    unknown = list(item.model_extra or ())
    for span in item.entities or ():
        unknown += [f"entities.{key}" for key in span.model_extra or ()]
    route = item.route or None
    return Entry(file, number, item.text, route, marks, tuple(dict.fromkeys(unknown)))


def _merged(tables: list[dict[str, list[str]]]) -> dict[str, list[str]]:
    merged: dict[str, list[str]] = {}
    for table in tables:
        for name, where in table.items():
            merged.setdefault(name, []).extend(where)
    return merged
