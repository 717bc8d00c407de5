"""Whether the spans of a message can be what their author meant.

The commonest slips come from the counting: bytes or UTF-16 units in place of characters, and ends
that are included. They are recognised, and shown with the offsets that were meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate, pairwise

from tools.checking.findings import Finding, quote
from tools.checking.reading import Data, Entry, Mark

UNITS: tuple[tuple[str, Callable[[str], int]], ...] = (
    ("UTF-8 bytes", lambda text: len(text.encode())),
    ("UTF-16 units", lambda text: len(text.encode("utf-16-le")) // 2),
)
FEWEST_SHORT_ENDS = 5
HALF_OPEN = "count characters from 0; `end` is the first character after the span"


def offsets(data: Data) -> Iterator[Finding]:
    """Every span that lies outside its text, is empty, miscounted, ragged, or under another."""
    for split in data.splits:
        short = _ends_included([entry for entry in split.entries if entry.marks])
        if short:
            yield short
        for entry in split.entries:
            if entry.marks:
                yield from _of_entry(entry, ends_included=bool(short))


def _of_entry(entry: Entry, *, ends_included: bool) -> Iterator[Finding]:
    miscounted = _miscounted(entry)
    if miscounted:
        yield miscounted
        return
    for mark in entry.marks or ():
        finding = _of_mark(entry, mark)
        if finding and not (ends_included and finding.code == "span-cuts-word"):
            yield finding
    yield from _overlaps(entry)


def _of_mark(entry: Entry, mark: Mark) -> Finding | None:
    if mark.start >= mark.end:
        problem = f"{_name(mark)} is empty or runs backwards in {quote(entry.text)}"
        return Finding("empty-span", "error", entry.where, problem, HALF_OPEN)
    if mark.start < 0 or mark.end > len(entry.text):
        problem = (
            f"{_name(mark)} leaves {quote(entry.text)}, which has {len(entry.text)} characters"
        )
        return Finding("span-outside-text", "error", entry.where, problem, HALF_OPEN)
    found = entry.text[mark.start : mark.end]
    if mark.surface is not None and mark.surface != found:
        problem = f"{_name(mark)} is {quote(found)}, yet said to be {quote(mark.surface)}"
        fix = _surface_fix(entry.text, mark)
        return Finding("surface-mismatch", "error", entry.where, problem, fix)
    return _ragged(entry, mark, found)


def _surface_fix(text: str, mark: Mark) -> str:
    """Offsets of the surface's occurrence that lies nearest to the span."""
    surface = mark.surface or ""
    starts = [i for i in range(len(text)) if surface and text.startswith(surface, i)]
    if not starts:
        return f"{quote(surface)} does not occur in the text: correct one of the two"
    start = min(starts, key=lambda i: abs(i - mark.start))
    return _offsets(start, start + len(surface))


def _ragged(entry: Entry, mark: Mark, found: str) -> Finding | None:
    if found != found.strip():
        start = mark.start + len(found) - len(found.lstrip())
        fix = _offsets(start, start + len(found.strip())) if found.strip() else "delete the span"
        problem = f"{_name(mark)} begins or ends with a space: {quote(found)}"
        return Finding("span-space", "warning", entry.where, problem, fix)
    start, end = mark.start, mark.end
    while _inside_word(entry.text, start):
        start -= 1
    while _inside_word(entry.text, end):
        end += 1
    if (start, end) == (mark.start, mark.end):
        return None
    problem = f"{_name(mark)} cuts a word: {quote(found)} of {quote(entry.text[start:end])}"
    fix = f"{_offsets(start, end)}, unless a part of the word is meant"
    return Finding("span-cuts-word", "warning", entry.where, problem, fix)


def _inside_word(text: str, i: int) -> bool:
    """Whether the border before character ``i`` parts two letters, or two digits, of one word.

    Scripts that do not part words by spaces (from Thai onward, by code point) are let be.
    """
    if not 0 < i < len(text):
        return False
    pair = text[i - 1 : i + 1]
    return max(pair) < "\u0e00" and (pair.isalpha() or pair.isdigit())


def _overlaps(entry: Entry) -> Iterator[Finding]:
    for one, other in pairwise(sorted(entry.sound_marks, key=lambda m: (m.start, m.end))):
        if other.start < one.end:
            spans = " and ".join(
                f"{_name(m)} {quote(entry.text[m.start : m.end])}" for m in (one, other)
            )
            fix = "keep one of them: spans of a message never overlap"
            yield Finding("overlap", "error", entry.where, f"{spans} overlap", fix)


def _miscounted(entry: Entry) -> Finding | None:
    """A finding when the spans make no sense in characters, and all do in another unit."""
    marks = entry.marks or ()
    if entry.text.isascii() or all(_clean(entry.text, mark) for mark in marks):
        return None
    for unit, measure in UNITS:
        meant = _recounted(entry.text, marks, measure)
        if meant and all(_clean(entry.text, mark) for mark in meant):
            shown = [
                f"{_offsets(m.start, m.end)} {quote(entry.text[m.start : m.end])}" for m in meant
            ]
            first = next(m for m in marks if not _clean(entry.text, m))
            got = quote(entry.text[max(first.start, 0) : max(first.end, 0)])
            problem = f"offsets look like {unit}, not characters: {_name(first)} is {got}"
            code = "byte-offsets" if unit == UNITS[0][0] else "utf16-offsets"
            return Finding(code, "error", entry.where, problem, "; ".join(shown))
    return None


def _recounted(
    text: str, marks: tuple[Mark, ...], measure: Callable[[str], int]
) -> tuple[Mark, ...] | None:
    """The spans in characters, were their offsets in the other unit. None: within a character."""
    sizes = accumulate(map(measure, text), initial=0)
    place = {size: i for i, size in enumerate(sizes)}
    if not all(m.start in place and m.end in place for m in marks):
        return None
    return tuple(Mark(place[m.start], place[m.end], m.label, m.surface) for m in marks)


def _clean(text: str, mark: Mark) -> bool:
    if not 0 <= mark.start < mark.end <= len(text):
        return False
    found = text[mark.start : mark.end]
    ragged = _inside_word(text, mark.start) or _inside_word(text, mark.end)
    return mark.surface in (None, found) and found == found.strip() and not ragged


def _ends_included(entries: list[Entry]) -> Finding | None:
    """A finding when at least half of a file's spans end one character before their word does."""
    pairs = [(entry, mark) for entry in entries for mark in entry.sound_marks if not mark.surface]
    short = [pair for pair in pairs if _one_short(*pair)]
    if len(short) < max(FEWEST_SHORT_ENDS, len(pairs) / 2):
        return None
    entry, mark = short[0]
    found, whole = (entry.text[mark.start : mark.end + more] for more in (0, 1))
    return Finding(
        "ends-included",
        "error",
        entry.where,
        f"{len(short)} of {len(pairs)} spans of the file end one character early, "
        f"as here {quote(found)} for {quote(whole)}: `end` seems to be the last character",
        "add 1 to every `end` of the file; " + HALF_OPEN,
    )


def _one_short(entry: Entry, mark: Mark) -> bool:
    return _inside_word(entry.text, mark.end) and not _inside_word(entry.text, mark.end + 1)


def _name(mark: Mark) -> str:
    return f"{mark.label} {mark.start}..{mark.end}"


def _offsets(start: int, end: int) -> str:
    return f'"start": {start}, "end": {end}'
