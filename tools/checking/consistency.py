"""The same words labelled in one message, and not, or otherwise, in another.

Knows nothing of meaning: some words are rightly one thing here and another there. Those between
the same neighbours hardly are, so they count most, and only the few worst are shown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tools.checking.findings import Finding, places, quote, times
from tools.checking.reading import Data, Entry, Mark

TOKEN = re.compile(r"\w+|[^\w\s]")
SHOWN = 10
FEWEST_LABELLED = 3
MAX_TOKENS = 8
NOTHING = "unlabelled"

Surface = tuple[str, ...]
Chars = tuple[int, int]


@dataclass(frozen=True)
class Use:
    """One occurrence of a surface: its label or NOTHING, and the words on either side of it."""

    label: str
    where: str
    neighbours: tuple[str, str]


@dataclass(frozen=True)
class Tokens:
    """The words of a message in lower case, and the half-open character span of each."""

    words: Surface
    spans: tuple[Chars, ...]

    @classmethod
    def of(cls, text: str) -> Tokens:
        found = list(TOKEN.finditer(text))
        return cls(tuple(m.group().lower() for m in found), tuple(m.span() for m in found))

    def neighbours(self, first: int, last: int) -> tuple[str, str]:
        return (self.words[first - 1] if first else "", "".join(self.words[last + 1 : last + 2]))


def inconsistencies(data: Data) -> Iterator[Finding]:
    """The surfaces most often used against their own custom."""
    uses = surface_uses([entry for entry in data.entries if entry.marks is not None])
    rated = sorted((against_custom(found), surface) for surface, found in uses.items())
    for rate, surface in rated[::-1][:SHOWN]:
        if any(rate):
            yield _finding(" ".join(surface), uses[surface], rate[0])


def against_custom(uses: list[Use]) -> tuple[int, float]:
    """How often a surface is used unlike most often: between the same words; and anywhere.

    The latter weighs less where half of the uses differ, and nothing where most carry no label:
    then the words say too little by themselves.
    """
    labels = Counter(use.label for use in uses)
    if len(uses) - labels[NOTHING] < FEWEST_LABELLED:
        return 0, 0.0
    custom, count = labels.most_common(1)[0]
    anywhere = 0.0 if custom == NOTHING else _unlike(uses) * (count / len(uses)) ** 2
    return sum(_unlike(group) for group in _by_neighbours(uses)), anywhere


def _unlike(uses: list[Use]) -> int:
    """How many are not like most."""
    return len(uses) - max(Counter(use.label for use in uses).values())


def _by_neighbours(uses: list[Use]) -> Iterable[list[Use]]:
    """Uses between the same two words. Whole messages are left to ``repeats.contradictions``."""
    groups: dict[tuple[str, str], list[Use]] = {}
    for use in uses:
        if any(use.neighbours):
            groups.setdefault(use.neighbours, []).append(use)
    return groups.values()


def surface_uses(entries: list[Entry]) -> dict[Surface, list[Use]]:
    """Every use of each surface that is labelled anywhere. Lower case."""
    read = [(entry, Tokens.of(entry.text)) for entry in entries]
    known = {surface for entry, text in read for surface in _labelled(entry, text)}
    uses: dict[Surface, list[Use]] = {surface: [] for surface in known}
    longest = min(MAX_TOKENS, max(map(len, known), default=0))
    for entry, text in read:
        for first, last in _occurrences(text.words, known, longest):
            span = (text.spans[first][0], text.spans[last][1])
            label = _label_of(entry.sound_marks, span)
            if label:
                use = Use(label, entry.where, text.neighbours(first, last))
                uses[text.words[first : last + 1]].append(use)
    return uses


def _labelled(entry: Entry, text: Tokens) -> Iterator[Surface]:
    for mark in entry.sound_marks:
        pairs = zip(text.words, text.spans, strict=True)
        inside = tuple(word for word, span in pairs if _within(span, mark))
        if any(word.isalnum() for word in inside):
            yield inside


def _occurrences(words: Surface, known: set[Surface], longest: int) -> Iterable[tuple[int, int]]:
    for first in range(len(words)):
        for last in range(first, min(first + longest, len(words))):
            if words[first : last + 1] in known:
                yield first, last


def _label_of(marks: tuple[Mark, ...], span: Chars) -> str | None:
    """The label of the span; NOTHING; or None where it is part of another or runs into one."""
    start, end = span
    for mark in marks:
        if (mark.start, mark.end) == span:
            return mark.label
        if mark.start < end and start < mark.end:
            return None
    return NOTHING


def _within(span: Chars, mark: Mark) -> bool:
    return mark.start <= span[0] and span[1] <= mark.end


def _finding(surface: str, uses: list[Use], between_same: int) -> Finding:
    labels = Counter(use.label for use in uses)
    problem = f"{quote(surface)} is "
    problem += ", ".join(f"{label} {times(count)}" for label, count in labels.most_common())
    shown = uses
    if between_same:
        shown = max(_by_neighbours(uses), key=_unlike)
        before, after = shown[0].neighbours
        phrase = quote(" ".join(filter(None, (before, surface, after))))
        problem += f", {between_same:,} of these between the same words, as in {phrase}"
    ranked = [label for label, _ in Counter(use.label for use in shown).most_common()]
    found = {label: [use.where for use in shown if use.label == label] for label in ranked}
    problem += ": " + "; ".join(f"{label} in {places(where)}" for label, where in found.items())
    fix = "label it alike everywhere, or make sure that the meaning differs"
    return Finding("inconsistent-label", "warning", found[ranked[-1]][0], problem, fix)
