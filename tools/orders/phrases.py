"""Deadlines and urgency put around a message, so that they are learnt in many combinations."""

from __future__ import annotations

from random import Random

from tools.corpus.annotation import Example
from tools.corpus.segments import Piece, Pieces, cut, joined

DAYS = (
    *("monday", "Tuesday", "wednesday", "Thursday", "friday", "Saturday", "sunday", "Mon", "fri"),
    *("tomorrow", "tomorrow noon", "the weekend", "end of shift", "end of week", "month end"),
    *("noon", "midnight", "lunch", "next monday", "next week", "the night shift", "tonight"),
    *("the next shift", "the audit", "the inspection", "restart", "shift change", "winter"),
)
MONTHS = ("Jan", "Feb", "March", "April", "May", "june", "July", "Aug", "September", "Oct", "Nov")
PERIODS = ("min", "h", "hours", "days", "d", "weeks", "shifts", "months")
URGENT = (
    *("urgent", "URGENT", "urgent!", "asap", "ASAP", "immediately", "at once", "right away"),
    *("emergency", "top priority", "prio 1", "P1", "right now", "urgently needed"),
)
HIGH = ("high priority", "high prio", "HIGH PRIORITY", "important", "P2", "critical")
LOW = (
    *("low priority", "low prio", "no rush", "not urgent", "no hurry", "when convenient"),
    *("whenever you have time", "when you get a chance", "sometime", "cosmetic", "nice to have"),
    *("at your leisure", "eventually", "minor", "next shutdown", "next visit will do", "P4"),
)


def furnished(example: Example, rng: Random) -> Example:
    """The message with a deadline, with words of urgency, or with both."""
    pieces = cut(example)
    if pieces and pieces[-1].label is None:
        pieces[-1] = Piece(pieces[-1].text.rstrip(".! "))
    with_deadline = rng.random() < 0.6
    if with_deadline:
        pieces = [*pieces, *_deadline(rng)]
    if not with_deadline or rng.random() < 0.4:
        pieces = _urged(pieces, rng)
    return joined(pieces, example.route)


def _deadline(rng: Random) -> Pieces:
    """Behind the message; the preposition is part of the time but after "due" and its like."""
    moment, count = _moment(rng), rng.randint(2, 48)
    said = rng.choice(("by", "before", "until", "by", "before", "no later than"))
    return rng.choice((
        [Piece(rng.choice((" ", ", ", " - "))), Piece(f"{said} {moment}", "time")],
        [Piece(" "), Piece(f"{said} {moment}", "time")],
        [Piece(rng.choice((", due ", " due ", ", deadline ", ", needed by "))),
         Piece(moment, "time")],
        [Piece(rng.choice((" ", ", "))),
         Piece(f"{rng.choice(('within', 'in'))} {count} {rng.choice(PERIODS)}", "time")],
        [Piece(rng.choice((" ", ", please "))),
         Piece(rng.choice(("today", "tomorrow", "tonight", "this week", "next week")), "time")],
    ))  # fmt: skip


def _moment(rng: Random) -> str:
    day = str(rng.randint(1, 28))
    return rng.choice((
        rng.choice(DAYS),
        f"{rng.randint(0, 23):02d}:{rng.choice(('00', '15', '30', '45'))}",
        f"{day} {rng.choice(MONTHS)}",
        f"{day}/{rng.randint(1, 12):02d}",
        f"{rng.choice(DAYS[:7])} {rng.randint(6, 20)}:00",
        f"the {day}th",
    ))  # fmt: skip


def _urged(pieces: Pieces, rng: Random) -> Pieces:
    words = rng.choice(rng.choice((URGENT, URGENT, HIGH, LOW)))
    if rng.random() < 0.5:
        return [Piece(f"{words}{rng.choice((': ', ' - ', ', ', ' '))}"), *pieces]
    return [*pieces, Piece(f"{rng.choice((', ', ' - ', ' ', '. '))}{words}")]
