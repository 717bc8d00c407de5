"""Numbers with units, limits, ranges and tolerances as people and devices write them.

A comma followed by groups of exactly three digits separates thousands (``12,500``), any other
single comma is a decimal comma (``21,5``, ``0,125``); a single dot is always a decimal point
(``1.234``). With both, the last one is the decimal sign (``1.234,5``). Whole numbers stay ints.
"""

from __future__ import annotations

import math
import re

from edge_agent.types import JsonObject
from edge_agent.values.units import ucum

MAX_DIGITS = 18
MAX_UNIT_CHARS = 32

_NUMBER = r"[+\-\u2212]?(?:[0-9][0-9.,]*[0-9]|[0-9]|[.,][0-9]+)(?:[eE][+\-]?[0-9]{1,3})?"
_UNIT = r"(?:1/(?=m)|[^0-9\s+\-\u2212<>=~(])[^<>=~]*"
_WORDS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
_WORDS += " fifteen sixteen seventeen eighteen nineteen twenty"
_COUNTS = {word: number for number, word in enumerate(_WORDS.split())} | {"both": 2, "dozen": 12}
_SIGNS = {
    ">=": "\u2265 => atleast notless than minimum min min.",
    "<=": "\u2264 =< atmost upto maximum max max.",
    ">": "above over morethan greaterthan exceeding hh hi hihi h",
    "<": "below under lessthan ll lo lolo l",
    "~": "\u2248 about approx approx. approximately around circa ca ca. roughly nearly almost",
}
_COMPARATORS = {word: sign for sign, line in _SIGNS.items() for word in [sign, *line.split()]}

_PLAIN = re.compile(rf"({_NUMBER})\s*({_UNIT})?")
_COMPARED = re.compile(r"([A-Za-z. ]+?|[<>=~\u2264\u2265\u2248]{1,2})\s*([-+\u2212]?[.,]?[0-9].*)")
_RANGE = re.compile(
    rf"(between\s+|from\s+)?({_NUMBER})\s*({_UNIT})?\s*"
    rf"(-|\u2013|\u2014|\.\.\.?|\u2026|\bto\b|\band\b)\s*({_NUMBER})\s*({_UNIT})?",
    re.IGNORECASE,
)
_TOLERANCE = re.compile(rf"(.*?)\s*(?:\+\s*/\s*[-\u2212]|\u00b1)\s*({_NUMBER})\s*({_UNIT})?")
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(,[0-9]{3})+|[1-9][0-9]{0,2}(\.[0-9]{3}){2,}")


def quantity(surface: str) -> JsonObject | None:
    """Number, comparator, range or tolerance, with its unit; None when there is no sure one."""
    for reader in (_plain, _tolerance, _range, _compared, _word):
        found = reader(surface)
        if found is not None:
            return found
    return None


def number(text: str) -> int | float | None:
    """A finite number by the rule above, or None."""
    text = text.replace("\u2212", "-")
    sign, digits = ("-", text[1:]) if text[:1] == "-" else ("", text.removeprefix("+"))
    mantissa, exponent, power = digits.lower().partition("e")
    plain = _decimal(mantissa)
    if plain is None or sum(char.isdigit() for char in plain) > MAX_DIGITS:
        return None
    if not exponent and "." not in plain:
        return int(sign + plain)
    value = float(sign + plain + exponent + power)
    return value if math.isfinite(value) else None


def _decimal(mantissa: str) -> str | None:
    """``1.234,5`` and its like with the signs of Python, or None when the signs make no number."""
    last = max(mantissa.rfind(","), mantissa.rfind("."))
    whole, fraction = mantissa[:last], mantissa[last + 1 :]
    if last < 0:
        return mantissa
    if _THOUSANDS.fullmatch(mantissa):
        return mantissa.replace(",", "").replace(".", "")
    if "," in whole or "." in whole:
        other = "." if mantissa[last] == "," else ","
        if not re.fullmatch(rf"[1-9][0-9]{{0,2}}({re.escape(other)}[0-9]{{3}})+", whole):
            return None
        whole = whole.replace(other, "")
    return f"{whole or '0'}.{fraction}" if fraction else None


def _plain(surface: str) -> JsonObject | None:
    match = _PLAIN.fullmatch(surface)
    return _measured("number", match[1], match[2]) if match else None


def _tolerance(surface: str) -> JsonObject | None:
    match = _TOLERANCE.fullmatch(surface)
    if match is None or match[2][0] in "+-\u2212":
        return None
    tolerance = _measured("tolerance", match[2], match[3])
    middle = _plain(match[1]) if match[1] else {}
    if tolerance is None or middle is None:
        return None
    return _joined(middle, tolerance)


def _range(surface: str) -> JsonObject | None:
    match = _RANGE.fullmatch(surface)
    if match is None or (match[4].lower() == "and") != ((match[1] or "")[:1].lower() == "b"):
        return None
    low, high = _measured("low", match[2], match[3]), _measured("high", match[5], match[6])
    if low is None or high is None or low["low"] > high["high"]:
        return None
    return _joined(low, high)


def _joined(left: JsonObject, right: JsonObject) -> JsonObject | None:
    """Both parts, when at most one names a unit or both name the same."""
    units = [{k: part[k] for k in part if k.startswith("unit")} for part in (left, right)]
    if all(units) and units[0] != units[1]:
        return None
    return {k: v for k, v in (left | right).items() if k[:4] != "unit"} | (units[1] or units[0])


def _compared(surface: str) -> JsonObject | None:
    match = _COMPARED.fullmatch(surface)
    if match is None:
        return None
    word = "".join(match[1].split()).lower()
    sign, rest = _COMPARATORS.get(word), _plain(match[2])
    return {"comparator": sign} | rest if sign and rest else None


def _word(surface: str) -> JsonObject | None:
    first, _, rest = surface.removeprefix("a ").partition(" ")
    count = _COUNTS.get(first.lower())
    if count is None:
        return None
    unit = _unit(rest.strip())
    return None if unit is None else {"number": count} | unit


def _measured(key: str, digits: str, unit_text: str | None) -> JsonObject | None:
    value, unit = number(digits), _unit((unit_text or "").strip())
    return None if value is None or unit is None else {key: value} | unit


def _unit(text: str) -> JsonObject | None:
    """Code, else the text as it is; empty for no unit; None for what is no unit at all."""
    if not text:
        return {}
    code = ucum(text)
    if code is not None:
        return {"unit": code}
    wordy = len(text) <= MAX_UNIT_CHARS and not any(c.isdigit() or c in ":;,=" for c in text)
    return {"unit_text": text} if wordy and any(c.isalpha() or c in "°$€£" for c in text) else None
