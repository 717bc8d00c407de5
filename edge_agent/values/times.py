"""Absolute times as ISO 8601, exact durations and repeats as ISO 8601 durations.

A preposition before a point in time stays out (``since 06:40`` gives ``T06:40``). What the text
leaves out is not invented: no year gives ``--04-04T14:30:19``, no zone stays without one. Relative
times (``last night``, ``in 5 minutes``) and dates whose day and month could change places have
no value: this module knows no clock.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from edge_agent.types import JsonObject

FIRST_YEAR, LAST_YEAR = 1970, 2199
EPOCH_YEARS = range(2001, 2100)
LEAP_YEAR = 2000

_MONTHS = "january february march april may june july august september october november december"
_SHORT_MONTHS = [name[:3] for name in _MONTHS.split()]
_MONTH = rf"(?P<name>{_MONTHS.replace(' ', '|')}|sept|{'|'.join(_SHORT_MONTHS)})\.?"
_DAY_NAME = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},?\s+)?"
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>[0-9]{4})"
_ZONE = r"(?P<zone>\s*(?:z|utc|gmt|[+\-\u2212][0-9]{2}(?::?[0-9]{2})?))?"
_FRACTION = r"(?:[.,](?P<fraction>[0-9]{1,9}))?"
_CLOCK = rf"(?P<hour>[0-9]{{1,2}}):(?P<minute>[0-9]{{2}})(?::(?P<second>[0-9]{{2}}){_FRACTION})?"
_HALF = r"(?:\s*(?P<half>[ap])\.?m\.?)?"

_AT = rf"(?:[T:]|,?\s+(?:at\s+)?){_CLOCK}{_HALF}{_ZONE}"
_MD = r"(?P<month>[0-9]{1,2})(?P=sep)(?P<day>[0-9]{1,2})"
_HMS = r"(?P<hour>[0-9]{2})(?P<dot>\.?)(?P<minute>[0-9]{2})(?P=dot)(?P<second>[0-9]{2})"

_FORMS = [
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        rf"{_YEAR}(?P<sep>[-/.]){_MD}(?:{_AT})?",
        rf"{_YEAR}(?P<sep>-){_MD}-{_HMS}{_FRACTION}",
        rf"{_YEAR}-(?P<month>[0-9]{{2}})",
        rf"{_YEAR}(?P<month>[0-9]{{2}})(?P<day>[0-9]{{2}})(?:[T ]{_HMS}{_FRACTION}{_ZONE})?",
        rf"{_DAY_NAME}{_DAY}[-/ ]\s?{_MONTH}(?:[-/ ]\s?{_YEAR})?(?:{_AT})?",
        rf"{_DAY_NAME}{_MONTH}\s+{_DAY}(?:,?\s+{_YEAR})?(?:{_AT})?",
        rf"{_DAY_NAME}{_MONTH}\s+{_DAY}\s+{_CLOCK}{_ZONE}\s+{_YEAR}",
        rf"{_MONTH}\s+{_YEAR}",
        rf"(?P<one>[0-9]{{1,2}})(?P<sep>[-/.])(?P<two>[0-9]{{1,2}})(?P=sep){_YEAR}(?:{_AT})?",
        rf"(?P<one>[0-9]{{1,2}})[-/.](?P<two>[0-9]{{1,2}}){_AT}",
        rf"{_CLOCK}{_HALF}{_ZONE}(?:\s*(?:hrs|h|o'clock))?",
        r"(?P<hour>[0-9]{1,2})\s*(?P<half>[ap])\.?m\.?",
        r"(?P<hour>[0-9]{2})h(?P<minute>[0-9]{2})",
        r"(?P<hour>[0-9]{2})(?P<minute>[0-9]{2})\s*hrs",
    )
]
_EPOCH = re.compile(r"([0-9]{10})(?:\.([0-9]{1,9}))?|([0-9]{13})")
_LEADING = re.compile(
    r"(?:since|at|on|from|until|till|before|after|by)\s+(?:about\s+)?", re.IGNORECASE
)
_NAMED = {"noon": "T12:00", "midday": "T12:00", "midnight": "T00:00"}

_STEPS = {
    "W": "w wk wks week weeks",
    "D": "d day days",
    "H": "h hr hrs hour hours",
    "M": "m min mins minute minutes",
    "S": "s sec secs second seconds",
    "ms": "ms msec millisecond milliseconds",
    "Y": "y yr yrs year years",
    "MO": "mo month months",
}
_STEP = {word: step for step, line in _STEPS.items() for word in line.split()}
_REPEATS = {
    "hourly": "PT1H",
    "daily": "P1D",
    "weekly": "P1W",
    "fortnightly": "P2W",
    "monthly": "P1M",
    "quarterly": "P3M",
    "yearly": "P1Y",
    "annually": "P1Y",
}
_PART = re.compile(r"([0-9]{1,9}(?:[.,][0-9]{1,9})?)[\s-]*([a-z]+)\.?\s*(?:and\s+)?", re.IGNORECASE)


def time(surface: str) -> JsonObject | None:
    """A point in time, a duration or a repeat; None for relative and ambiguous ones."""
    text = surface.strip("[](){}<>'\" \t,;")
    point = _point(_LEADING.sub("", text, count=1))
    return {"iso8601": point} if point else _period(text.lower())


def _point(text: str) -> str | None:
    if text.lower() in _NAMED:
        return _NAMED[text.lower()]
    epoch = _EPOCH.fullmatch(text)
    if epoch:
        return _from_epoch(int((epoch[1] or epoch[3])[:10]), epoch[2] or (epoch[3] or "")[10:])
    for form in _FORMS:
        match = form.fullmatch(text)
        if match:
            return _iso({name: value for name, value in match.groupdict().items() if value})
    return None


def _from_epoch(seconds: int, fraction: str) -> str | None:
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    if moment.year not in EPOCH_YEARS:
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S}{'.' + fraction if fraction else ''}Z"


def _iso(part: dict[str, str]) -> str | None:
    """Date and clock as far as they are given; None when no calendar or clock has them."""
    date = _date(part)
    clock = _clock(part) if "hour" in part else ""
    return None if date is None or clock is None else (date + clock) or None


def _date(part: dict[str, str]) -> str | None:
    year = int(part["year"]) if "year" in part else None
    if year is not None and not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    if "one" in part:
        return _either_way(int(part["one"]), int(part["two"]), year)
    month = (
        _SHORT_MONTHS.index(part["name"][:3].lower()) + 1
        if "name" in part
        else int(part.get("month", 0))
    )
    if not month:
        return "" if year is None else f"{year:04}"
    return _calendar(year, month, int(part.get("day", 0)))


def _calendar(year: int | None, month: int, day: int) -> str | None:
    try:
        datetime(LEAP_YEAR if year is None else year, month, day or 1, tzinfo=timezone.utc)
    except ValueError:
        return None
    return f"{'-' if year is None else f'{year:04}'}-{month:02}" + (f"-{day:02}" if day else "")


def _either_way(one: int, two: int, year: int | None) -> str | None:
    """Day and month in unknown order: only when one order makes a date, or both the same."""
    readings = {_calendar(year, month, day) for month, day in ((one, two), (two, one)) if day}
    sure = readings - {None}
    return sure.pop() if len(sure) == 1 else None


def _clock(part: dict[str, str]) -> str | None:
    hour, minute = int(part["hour"]), int(part.get("minute", 0))
    if "half" in part:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if part["half"].lower() == "p" else 0)
    zone = _zone(part.get("zone", ""))
    if hour > 23 or minute > 59 or int(part.get("second", 0)) > 60 or zone is None:
        return None
    second = f":{part['second']}" if "second" in part else ""
    fraction = f".{part['fraction']}" if "fraction" in part else ""
    return f"T{hour:02}:{minute:02}{second}{fraction}{zone}"


def _zone(text: str) -> str | None:
    text = text.strip().replace("\u2212", "-").replace(":", "")
    if text[:1] not in {"+", "-"}:
        return "Z" if text else ""
    hours, minutes = text[1:3], text[3:] or "00"
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return f"{text[0]}{hours}:{minutes}" if offset <= timedelta(hours=14) else None


def _period(text: str) -> JsonObject | None:
    if text in _REPEATS:
        return {"every": _REPEATS[text]}
    word, _, rest = text.partition(" ")
    if word in {"every", "each"}:
        repeat = _duration(rest if rest[:1].isdigit() else f"1 {rest}")
        return {"every": repeat} if repeat else None
    length = _duration(rest if word == "for" else text)
    return {"duration": length} if length else None


def _duration(text: str) -> str | None:
    """``1 h 30 min`` as ``PT1H30M``: each step once, from the largest to the smallest."""
    steps: list[tuple[str, str]] = []
    while text:
        match = _PART.match(text)
        step = _STEP.get(match[2]) if match else None
        if match is None or step is None:
            return None
        steps.append((step, match[1].replace(",", ".")))
        text = text[match.end() :]
    return _joined(steps)


def _joined(steps: list[tuple[str, str]]) -> str | None:
    order = ["Y", "MO", "W", "D", "H", "M", "S", "ms"]
    ranks = [order.index(step) for step, _ in steps]
    fractions = [value for _, value in steps[:-1] if "." in value]
    if not steps or fractions or ranks != sorted(set(ranks)):
        return None
    if steps[-1][0] == "ms":
        steps = _whole_seconds(steps)
    if len(steps) > 1 and "W" in dict(steps):
        return None
    date = "".join(f"{value}{step[0]}" for step, value in steps if step in {"Y", "MO", "W", "D"})
    clock = "".join(f"{value}{step}" for step, value in steps if step in {"H", "M", "S"})
    return f"P{date}T{clock}" if clock else f"P{date}"


def _whole_seconds(steps: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Milliseconds as a fraction of the seconds: ISO 8601 has no smaller step."""
    seconds = Decimal(dict(steps).get("S", "0")) + Decimal(steps[-1][1]) / 1000
    larger = [step for step in steps if step[0] not in {"S", "ms"}]
    return [*larger, ("S", f"{seconds.normalize():f}")]
