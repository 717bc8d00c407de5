"""Inline annotation, one message a line: ``route: text with [surface|label] spans``.

``fault: [pump P-101|asset] is [leaking|symptom] [since 06:40|time]``

Only ``[…|label]`` with one of the ten labels is markup; every other bracket is text, so
``[sshd|asset][[4532|code]]:`` reads ``sshd[4532]:``. A surface holds no bracket.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROUTES = (
    "alarm",
    "security",
    "connectivity",
    "fault",
    "maintenance",
    "command",
    "question",
    "reading",
    "other",
)
LABELS = (
    "asset",
    "component",
    "symptom",
    "action",
    "quantity",
    "code",
    "time",
    "location",
    "person",
    "address",
)
MARKUP = re.compile(r"\[([^\[\]]+)\|(" + "|".join(LABELS) + r")\]")
LOOSE_LABEL = re.compile(r"\|(" + "|".join(LABELS) + r")\]")


@dataclass(frozen=True)
class Span:
    """Half-open character span ``[start, end)`` into the message text."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Example:
    """One annotated message."""

    text: str
    route: str
    entities: tuple[Span, ...]

    def as_dict(self) -> dict[str, object]:
        """The JSON Lines form of the corpora: ``{"text", "route", "entities"}``."""
        return {
            "text": self.text,
            "route": self.route,
            "entities": [vars(span) for span in self.entities],
        }


def parse_line(line: str) -> Example:
    """Reads one annotated line. ValueError names what is wrong with it."""
    route, colon, marked = line.partition(": ")
    if not colon or route not in ROUTES:
        raise ValueError(f"{line!r}: starts with no known route; one of {', '.join(ROUTES)}")
    text, entities, last = "", [], 0
    for match in MARKUP.finditer(marked):
        text += marked[last : match.start()]
        surface = match.group(1)
        if surface != surface.strip():
            raise ValueError(f"{line!r}: span {surface!r} begins or ends with a space")
        entities.append(Span(len(text), len(text) + len(surface), match.group(2)))
        text, last = text + surface, match.end()
    text += marked[last:]
    if LOOSE_LABEL.search(text) or not text.strip() or text != text.strip():
        raise ValueError(f"{line!r}: broken markup, empty text, or space at an end")
    if route == "other" and entities:
        raise ValueError(f"{line!r}: a message routed other carries no entities")
    return Example(text, route, tuple(entities))


def read_messages(folder: Path) -> list[Example]:
    """Every ``*.txt`` of the folder; blank lines and lines starting with ``#`` are skipped.

    ValueError lists every bad line with file and number, and every text that stands twice.
    """
    examples, problems, seen = [], [], {}
    for path in sorted(folder.glob("*.txt")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            where = f"{path.name}:{number}"
            try:
                example = parse_line(line)
            except ValueError as error:
                problems.append(f"{where}: {error}")
                continue
            if first := seen.get(example.text.lower()):
                problems.append(f"{where}: same text as {first}")
            seen[example.text.lower()] = where
            examples.append(example)
    if problems:
        raise ValueError("\n".join(problems))
    return examples
