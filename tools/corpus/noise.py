"""What happens to a message on its way: slips, shorthand, other separators, log prefixes.

Every function takes pieces and gives pieces; entities keep their label and exact extent.
"""

from __future__ import annotations

import re
from random import Random

from tools.corpus.lexicons import PROGRAMS, SHORTHAND
from tools.corpus.segments import Piece, Pieces
from tools.corpus.surfaces import timestamp, typo

WORD = re.compile(r"[A-Za-z]{4,}")
SHORTENED = re.compile(r"\b(" + "|".join(map(re.escape, SHORTHAND)) + r")\b", re.IGNORECASE)
SEPARATORS = (" - ", ": ", ", ", " | ", " ", "; ", " / ", " -- ")
LEVELS = {
    "reading": ["INFO", "DEBUG", "info", "notice", "I", "INFO", "D"],
    "fault": ["ERROR", "ERR", "WARN", "error", "E", "WARNING", "CRITICAL"],
    "alarm": ["ALARM", "CRIT", "ALERT", "WARN", "CRITICAL", "W"],
    "connectivity": ["WARN", "ERROR", "INFO", "warning", "W", "E"],
    "security": ["WARN", "ALERT", "notice", "ERROR", "warning", "W"],
    "maintenance": ["INFO", "NOTE", "info"],
}
HOSTS = [
    *("gw", "edge", "node", "rtu", "plc", "scada", "hmi", "pi"),
    *("nuc", "line", "cam", "host", "srv", "ap", "sw", "meter"),
]
KEY_VALUE = re.compile(r"\w=$")


def slip(pieces: Pieces, rng: Random) -> Pieces:
    """A typing error in one word that is no identifier."""
    places = [i for i, p in enumerate(pieces) if p.label in {None, *_WORDY} and WORD.search(p.text)]
    if not places:
        return pieces
    at = rng.choice(places)
    word = rng.choice(list(WORD.finditer(pieces[at].text)))
    text = pieces[at].text
    text = text[: word.start()] + typo(word.group(), rng) + text[word.end() :]
    return [*pieces[:at], Piece(text, pieces[at].label), *pieces[at + 1 :]]


_WORDY = frozenset({"asset", "component", "symptom", "action", "location"})


def shorten(pieces: Pieces, rng: Random) -> Pieces:
    """Shorthand for some of the words that have one."""

    def short(match: re.Match[str]) -> str:
        word = match.group()
        abbreviation = SHORTHAND[word.lower()]
        return (
            (abbreviation.upper() if word.isupper() else abbreviation)
            if rng.random() < 0.6
            else word
        )

    wordy = {None, *_WORDY}
    return [Piece(SHORTENED.sub(short, p.text), p.label) if p.label in wordy else p for p in pieces]


def recase(pieces: Pieces, rng: Random) -> Pieces:
    """The whole message in lower case, capitals, or with capitals at word starts."""
    change = rng.choice((str.lower, str.upper, str.lower, _title))
    changed = [Piece(change(p.text), p.label) for p in pieces]
    same_length = all(len(a.text) == len(b.text) for a, b in zip(changed, pieces, strict=True))
    return changed if same_length else pieces


def _title(text: str) -> str:
    return re.sub(r"\b[a-z]", lambda m: m.group().upper(), text)


def unpunctuate(pieces: Pieces, rng: Random) -> Pieces:
    """Drops the final stop, or all commas and stops before spaces."""
    last = pieces[-1]
    if last.label is None and rng.random() < 0.5:
        return [*pieces[:-1], Piece(last.text.rstrip(".!?"))]
    return [p if p.label else Piece(re.sub(r"[,.;](?= |$)", "", p.text)) for p in pieces]


def reseparate(pieces: Pieces, rng: Random) -> Pieces:
    """Other separators between entities: dashes and bars, ``=`` and ``:``, JSON with spaces."""
    texts = [p.text for p in pieces if p.label is None]
    if any('":' in text for text in texts):
        return _sub_outside(pieces, r'":\s*', rng.choice(('": ', '":', '" : ')))
    if sum(bool(KEY_VALUE.search(text)) for text in texts) > 1:
        pieces = _sub_outside(pieces, r"=(?=\s*\"?$)", rng.choice(("=", ": ", ":", " = ", "=")))
        return _sub_outside(pieces, r"^[ ,;]+(?=\w+[=:])", rng.choice((" ", ", ", ",", ";", " ")))
    return [
        Piece(rng.choice(SEPARATORS)) if p.label is None and p.text in SEPARATORS[:4] else p
        for p in pieces
    ]


def _sub_outside(pieces: Pieces, pattern: str, by: str) -> Pieces:
    return [p if p.label else Piece(re.sub(pattern, by, p.text)) for p in pieces]


def unprefix(pieces: Pieces, rng: Random) -> Pieces:  # noqa: ARG001
    """Drops a timestamp at the head, if a message is left after it."""
    head = 1 if pieces[0].label is None and pieces[0].text in "[(" else 0
    if len(pieces) < head + 4 or pieces[head].label != "time":
        return pieces
    after = pieces[head + 1]
    if after.label is not None or not re.match(r"^[\])]*[ ,|:;-]", after.text):
        return pieces
    rest = re.sub(r"^[\])]*[ ,|:;-]+", "", after.text)
    return [Piece(rest), *pieces[head + 2 :]] if rest else pieces[head + 2 :]


def prefix(pieces: Pieces, route: str, rng: Random) -> Pieces:
    """A log head in front of a message that has none."""
    if pieces[0].label == "time" or (len(pieces) > 1 and pieces[1].label == "time"):
        return pieces
    if route not in LEVELS:
        return pieces
    return [*_head(rng.choice(LEVELS[route]), rng), *pieces]


def _head(level: str, rng: Random) -> Pieces:
    stamp = Piece(timestamp(rng), "time")
    program, host = Piece(rng.choice(PROGRAMS), "asset"), Piece(_host(rng), "address")
    number = Piece(str(rng.randint(2, 32000)), "code")
    kernel = Piece(f"{rng.randrange(9999)}.{rng.randrange(10**6):06d}", "time")
    return rng.choice((
        [stamp, Piece(" ")],
        [stamp, Piece(" - ")],
        [Piece("["), stamp, Piece("] ")],
        [stamp, Piece(f" {level} ")],
        [stamp, Piece(f" [{level}] ")],
        [stamp, Piece(f" {level}: ")],
        [Piece(f"[{level}] ")],
        [Piece(f"{level}: ")],
        [stamp, Piece(" "), host, Piece(" "), program, Piece("["), number, Piece("]: ")],
        [stamp, Piece(" "), host, Piece(" "), program, Piece(": ")],
        [program, Piece("["), number, Piece("]: ")],
        [program, Piece(": ")],
        [stamp, Piece(f" {level} ["), program, Piece("] ")],
        [stamp, Piece(" "), program, Piece(f" {level}: ")],
        [Piece("["), kernel, Piece("] ")],
        [Piece("["), stamp, Piece(f"] {level} ("), program, Piece(") ")],
    ))  # fmt: skip


def _host(rng: Random) -> str:
    name = rng.choice(HOSTS)
    return rng.choice((f"{name}-{rng.randint(1, 40)}", f"{name}{rng.randint(1, 9):02d}", name))
