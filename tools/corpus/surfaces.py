"""Other surfaces of the same kind: numbers, tags, identifiers, addresses, timestamps."""

from __future__ import annotations

import re
from random import Random

IP = re.compile(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b")
MAC = re.compile(r"\b[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}\b")
HEX = re.compile(r"\b0[xX][0-9A-Fa-f]+\b|\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{6,}\b")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
CLOCK = re.compile(r"\b(\d{1,2}):(\d\d)(?::(\d\d))?\b")
STATUS = re.compile(r"[1-5]\d\d|-?\d{1,2}")
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
DAY_NAMES = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
STAMP = re.compile(
    r"(\w{3} )?(\w{3} +\d{1,2} \d\d:\d\d:\d\d( \d{4})?)"
    r"|\d{4}[-/.]\d\d[-/.]\d\d[T ]\d\d:\d\d(:\d\d)?([.,]\d+)?( ?Z|[ ]?[+-]\d\d:?\d\d)?"
    r"|\d\d[./-]\d\d[./-]\d{2,4},? \d\d:\d\d(:\d\d)?"
)
FORMATS = (
    "{b} {d:2d} {clock}",
    "{b} {d:02d} {clock}",
    "{a} {b} {d:02d} {clock} {y}",
    "{y}-{m:02d}-{d:02d} {clock}",
    "{y}-{m:02d}-{d:02d} {clock}.{ms:03d}",
    "{y}-{m:02d}-{d:02d} {clock},{ms:03d}",
    "{y}-{m:02d}-{d:02d}T{clock}Z",
    "{y}-{m:02d}-{d:02d}T{clock}.{ms:03d}Z",
    "{y}-{m:02d}-{d:02d}T{clock}+0{z}:00",
    "{y}-{m:02d}-{d:02d}T{clock}.{us:06d}+0{z}:00",
    "{y}-{m:02d}-{d:02d} {hm}",
    "{y}/{m:02d}/{d:02d} {clock}",
    "{y}.{m:02d}.{d:02d} {clock}",
    "{d:02d}/{m:02d}/{y} {hm}",
    "{m:02d}/{d:02d}/{y} {clock}",
    "{d:02d}.{m:02d}.{y} {hm}",
    "{d:02d}.{m:02d}.{y} {clock}",
    "{d:02d}-{b}-{y} {clock}",
    "{d:02d}/{b}/{y}:{clock} +0{z}00",
    "{d} {b} {y} {hm}",
    "{d:02d}/{m:02d}/{yy:02d} {clock}",
    "{clock}",
    "{clock}.{ms:03d}",
    "{hm}",
    "{epoch}",
)
QWERTY = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def timestamp(rng: Random) -> str:
    """A moment in one of the ways logs write it."""
    hour, minute, second = rng.randrange(24), rng.randrange(60), rng.randrange(60)
    parts = {
        "y": rng.randint(2009, 2032),
        "m": rng.randint(1, 12),
        "d": rng.randint(1, 28),
        "ms": rng.randrange(1000),
        "us": rng.randrange(1_000_000),
        "z": rng.randrange(10),
        "a": rng.choice(DAYS),
        "hm": f"{hour:02d}:{minute:02d}",
        "clock": f"{hour:02d}:{minute:02d}:{second:02d}",
        "epoch": rng.randint(1_300_000_000, 1_950_000_000),
    }
    month = MONTHS[parts["m"] - 1]
    return rng.choice(FORMATS).format(**parts, b=month, yy=parts["y"] % 100)


def respelled(surface: str, label: str, rng: Random) -> str:
    """Another surface of the same make: digits and identifiers drawn anew, wording kept."""
    if label == "time":
        return _time(surface, rng)
    if label == "quantity":
        return _quantity(surface, rng)
    if label == "code" and STATUS.fullmatch(surface):
        return surface
    return identifiers(surface, rng)


def identifiers(surface: str, rng: Random) -> str:
    """IPs, MACs, hex and decimal digits drawn anew, each in its own format."""
    whole = IP.sub(lambda _: ip(rng), surface)
    if whole != surface:
        return whole
    for pattern in (MAC, HEX):
        if pattern.search(surface):
            return pattern.sub(lambda m: _hex_like(m.group(), rng), surface)
    return re.sub(r"\d+", lambda m: _digits_like(m.group(), rng), surface)


def ip(rng: Random) -> str:
    """An address, private ones most of the time."""
    head = rng.choice(("10.{}", "192.168", "172.{}", "{}.{}", "100.64", "203.0", "198.51"))
    first = head.format(rng.randint(16, 31), rng.randrange(256))
    return f"{first}.{rng.randrange(256)}.{rng.randint(1, 254)}"


def _hex_like(text: str, rng: Random) -> str:
    keep, body = (text[:2], text[2:]) if text[:2].lower() == "0x" else ("", text)
    letters = "0123456789ABCDEF" if any(c.isupper() for c in body) else "0123456789abcdef"
    return keep + "".join(rng.choice(letters) if c.isalnum() else c for c in body)


def _digits_like(text: str, rng: Random) -> str:
    """As many digits; no leading zero where there was none."""
    first = text[0] if text[0] == "0" else str(rng.randint(1, 9))
    return first + "".join(str(rng.randrange(10)) for _ in text[1:])


def _time(surface: str, rng: Random) -> str:
    if STAMP.fullmatch(surface):
        return timestamp(rng)
    changed = CLOCK.sub(lambda m: _clock_like(m, rng), surface)
    for names in (MONTHS, DAY_NAMES):
        pattern = re.compile(r"\b(" + "|".join(names) + r")\b", re.IGNORECASE)
        changed = pattern.sub(lambda _, names=names: rng.choice(names), changed)
    if changed != surface:
        return changed
    return NUMBER.sub(lambda m: number_like(m.group(), rng), surface)


def _clock_like(match: re.Match[str], rng: Random) -> str:
    hour = rng.randrange(24)
    text = f"{hour:02d}" if len(match.group(1)) == 2 else str(hour % 10)
    text += f":{rng.randrange(60):02d}"
    return text + (f":{rng.randrange(60):02d}" if match.group(3) else "")


def _quantity(surface: str, rng: Random) -> str:
    changed = NUMBER.sub(lambda m: number_like(m.group(), rng), surface)
    roll = rng.random()
    if roll < 0.06:
        return re.sub(r"(\d) (?=[A-Za-z%°])", r"\1", changed)
    if roll < 0.1:
        return re.sub(r"(\d)(?=[A-Za-z%°])(?![xX][0-9A-Fa-f])", r"\1 ", changed)
    return changed


def number_like(text: str, rng: Random) -> str:
    """A number near this one most of the time, with as many decimals."""
    if text in {"0", "1"} or (len(text) > 1 and text[0] == "0" and "." not in text):
        return text
    decimals = len(text.partition(".")[2])
    spread = rng.choice((0.05, 0.2, 0.6))
    value = float(text) * rng.lognormvariate(0, spread)
    return f"{value:.{decimals}f}" if decimals else str(max(1, round(value)))


def typo(word: str, rng: Random) -> str:
    """One slip of the fingers inside a word: swap, drop, double, or a neighbouring key."""
    at = rng.randrange(1, len(word) - 1)
    kind = rng.randrange(4)
    if kind == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    if kind == 2:
        return word[:at] + word[at] + word[at:]
    return word[:at] + _neighbour(word[at], rng) + word[at + 1 :]


def _neighbour(letter: str, rng: Random) -> str:
    for row in QWERTY:
        if letter.lower() in row:
            place = row.index(letter.lower())
            near = rng.choice(row[max(0, place - 1) : place] + row[place + 1 : place + 2])
            return near.upper() if letter.isupper() else near
    return letter
