"""What a check has to say. Knows nothing of how it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
SHOWN_CHARS = 60
SHOWN_PLACES = 4


@dataclass(frozen=True)
class Finding:
    """One thing a person should know of the data, or mend.

    ``code`` names the kind in kebab-case. ``where`` is ``file:line``, or a file or folder.
    ``fix`` is a command or an edit; for ``info`` it says what will come of it.
    """

    code: str
    severity: Severity
    where: str
    problem: str
    fix: str


def quote(text: str) -> str:
    """The text in quotation marks, its middle left out when long, nothing unprintable in it."""
    if len(text) > SHOWN_CHARS:
        half = SHOWN_CHARS // 2
        text = f"{text[:half]} … {text[-half:]}"
    return repr(text)


def places(where: Sequence[str]) -> str:
    """The first few of many places, folders left out, and how many more there are.

    ``a/train.jsonl:3`` and ``a/train.jsonl:7`` give ``train.jsonl:3, :7``.
    """
    shown, last = [], None
    for place in where[:SHOWN_PLACES]:
        file, _, line = PurePath(place).name.partition(":")
        shown.append(f":{line}" if file == last else PurePath(place).name)
        last = file
    more = len(where) - SHOWN_PLACES
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def names(found: Sequence[str]) -> str:
    """The first few of many names, in quotation marks, and how many more there are."""
    more = len(found) - SHOWN_PLACES
    shown = ", ".join(quote(name) for name in found[:SHOWN_PLACES])
    return shown + (f" and {more:,} more" if more > 0 else "")


def times(count: int) -> str:
    """``once``, ``twice``, ``3 times``."""
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")
