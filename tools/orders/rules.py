"""Annotated messages to work orders, by plain rules.

- ``asset``, ``component``, ``problem`` (a symptom) and ``action`` are the first entity of the kind
  in reading order that is a run of whole words.
- ``due`` is the first time that lies ahead: it says so itself ("before friday", "in 3 days",
  "tomorrow"), or what stands in front of it does ("due", "planned for"), or it is a day or a date
  without seconds in a message about work to be done. A log's own time, a past one and an interval
  are none.
- ``priority`` is what the wording says: see the expressions. Where two apply, the first that is
  listed in ``PRIORITIES`` counts; where none does, it is normal.
"""

from __future__ import annotations

import re

from edge_agent.inference.spans import find_span
from tools.corpus.annotation import Example, Span

FIELDS = {"asset": "asset", "component": "component", "problem": "symptom", "action": "action"}
MAX_CHARS = 120

AHEAD = re.compile(
    r"(by|before|b4|when|until|till|within|tomorrow|tonight|today|at next|next|this|end of|latest"
    r"|no later than|first thing|during the|due|for (the )?(winter|summer|next|jan|feb|mar|apr|may"
    r"|jun|jul|aug|sep|oct|nov|dec|mon|tue|wed|thu|fri|sat|sun)"
    r"|in (the )?(next|spring|summer|autumn|winter|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
    r"|an?\b|\d+|\w+ (min|hour|day|week|month|year)))",
    re.IGNORECASE,
)
BEHIND = re.compile(
    r"this morning|before (each|flight|entry)|in the last|every|each|daily|weekly", re.IGNORECASE
)
ANNOUNCED = re.compile(
    r"(\b(by|before|until|till|due|deadline|latest|(planned|scheduled|booked|needed|set|due) "
    r"(for|by|on)|comes|come on|expires|expire on|eta|runs out)\W{0,4}|^for )$",
    re.IGNORECASE,
)
DAY = re.compile(
    r"(on )?((mon|tues?|wed(nes)?|thu(rs)?|fri|satur|sat|sun)(day)?s?\b( |$)"
    r"|the \d+(st|nd|rd|th)|week ?\d+|wk ?\d+|\d{1,2}/\d{1,2}|noon|midnight|weekend"
    r"|\d{1,2} ?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
    r"|(january|february|march|april|june|july|august|september|october|november|december))"
    r"\b(?!.*\d:\d\d:\d\d)",
    re.IGNORECASE,
)
TO_DO = re.compile(
    r"\b(please|pls|plz|can|could|will|to be|must|should|need|needs|planned|scheduled|booked|due"
    r"|order|comes)\b",
    re.IGNORECASE,
)

WORDS = {
    "low": r"not urgent|non[- ]urgent|no rush|no hurry|low[- ]prio\w*|prio\w* low|whenever|when "
    r"(convenient|you (have|get|can|pass|are)|some|time)|at your leisure|cosmetic|nice to have"
    r"|some ?time|eventually|p4\b|minor|next (shutdown|outage|turnaround|visit|summer"
    r"|service|time)",
    "urgent": r"urgent\w*|asap|immediately|at once|right (away|now)|emergency|evacuat\w+"
    r"|top prio\w*|prio\w* ?1|p1\b|smoke\b(?! (detector|alarm|head|test))|smoking|on fire"
    r"|fire in|burning|spark\w*|arcing|gas leak|explo\w+|flood\w*",
    "high": r"high[- ]prio\w*|prio\w* high|p2\b|important|critical|crit\b|tripp?ed|trips?\b|failed"
    r"|failure|seized|broken down|is down|overheat\w*|today|tonight|high high|hihi\b|stuck|stopped",
}
PRIORITIES = tuple(
    (name, re.compile(rf"\b({WORDS[name]})", re.IGNORECASE)) for name in ("low", "urgent", "high")
)


def work_order(example: Example) -> dict[str, str | None]:
    """The fields of the order, in the order of the schema."""
    spans = sorted(example.entities, key=lambda span: span.start)
    found: dict[str, str | None] = {
        field: _first(example, [span for span in spans if span.label == label])
        for field, label in FIELDS.items()
    }
    times = [span for span in spans if span.label == "time" and lies_ahead(example, span)]
    return {**found, "due": _first(example, times), "priority": priority(example.text)}


def _first(example: Example, spans: list[Span]) -> str | None:
    """The first of them that can be an extractive string."""
    for span in spans:
        surface = example.text[span.start : span.end]
        if len(surface) <= MAX_CHARS and find_span(example.text, surface) is not None:
            return surface
    return None


def lies_ahead(example: Example, span: Span) -> bool:
    """Whether a time is a deadline, or when something is to be done."""
    surface, before = example.text[span.start : span.end], example.text[: span.start]
    if BEHIND.match(surface):
        return False
    if AHEAD.match(surface) or ANNOUNCED.search(before):
        return True
    return bool(DAY.match(surface)) and _is_to_do(example)


def _is_to_do(example: Example) -> bool:
    """Maintenance that is asked for or planned, not reported."""
    if example.route != "maintenance":
        return False
    actions = [example.text[s.start : s.end] for s in example.entities if s.label == "action"]
    return bool(TO_DO.search(example.text)) or not any(a.lower().endswith("ed") for a in actions)


def priority(text: str) -> str:
    """By the wording alone."""
    return next((name for name, pattern in PRIORITIES if pattern.search(text)), "normal")
