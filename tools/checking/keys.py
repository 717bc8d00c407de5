"""Keys that nobody reads: most often one that somebody does, misspelt."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from tools.checking.findings import Finding, times
from tools.checking.reading import KNOWN_KEYS, KNOWN_SPAN_KEYS, Data


def unknown_keys(data: Data) -> Iterator[Finding]:
    """Each unknown key of each file once, where it stands first."""
    for split in data.splits:
        seen: dict[str, list[str]] = {}
        for entry in split.entries:
            for key in entry.unknown_keys:
                seen.setdefault(key, []).append(entry.where)
        for key, where in seen.items():
            problem = f"key {key!r} is read by nobody; it stands {times(len(where))} in the file"
            yield Finding("unknown-key", "warning", where[0], problem, _fix(key))


def _fix(key: str) -> str:
    parent, _, name = key.rpartition(".")
    close = get_close_matches(name, KNOWN_SPAN_KEYS if parent else KNOWN_KEYS, n=1)
    return f"write {close[0]!r}, if that is meant" if close else "leave it: it does no harm"
