"""Spans that cannot be what their author meant, and those that can."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.labelled import codes, item, only, sound, sound_folder, write
from tools.checking import spans
from tools.checking.reading import Data, Entry, Mark, Split


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sound_folder(tmp_path / "site")


@pytest.mark.parametrize(
    ("entities", "code", "severity", "fix"),
    [
        ([(0, 99)], "span-outside-text", "error", "from 0"),
        ([(-2, 4)], "span-outside-text", "error", "from 0"),
        ([(4, 4)], "empty-span", "error", "first character after"),
        ([(8, 4)], "empty-span", "error", "first character after"),
        ([(0, 6), (5, 10)], "overlap", "error", "never overlap"),
        ([(0, 6), (0, 6)], "overlap", "error", "never overlap"),
        ([(0, 7)], "span-space", "warning", '"start": 0, "end": 6'),
        ([(6, 8)], "span-space", "warning", '"start": 7, "end": 8'),
        ([(0, 3)], "span-cuts-word", "warning", '"start": 0, "end": 4'),
        ([(9, 12)], "span-cuts-word", "warning", '"start": 7, "end": 12'),
    ],
)
def test_a_wrong_span_is_named_with_its_fix(
    folder: Path, entities: list[tuple[int, int]], code: str, severity: str, fix: str
) -> None:
    """``pump 2 leaks since noon``; the finding quotes what the span covers."""
    marks = [{"start": s, "end": e, "label": "asset"} for s, e in entities]
    row = {"text": "pump 2 leaks since noon", "route": "fault", "entities": marks}
    write(folder, train=[*sound(60, "a"), row])
    finding = only(folder, code)
    assert (finding.severity, finding.where) == (severity, f"{folder}/train.jsonl:61")
    assert fix in finding.fix
    assert "'" in finding.problem


def test_a_span_may_part_a_number_from_its_unit_and_cut_scripts_without_spaces() -> None:
    texts = [("40Hz", 0, 2), ("21.5", 0, 2), ("2号泵漏水", 0, 3), ("ปั๊มรั่ว", 0, 4)]
    entries = tuple(
        Entry("f", i, text, "fault", (Mark(start, end, "asset"),))
        for i, (text, start, end) in enumerate(texts)
    )
    assert list(spans.offsets(Data((Split("train", "f", entries),)))) == []


@pytest.mark.parametrize("key", ["text", "surface"])
def test_a_surface_that_disagrees_is_found_where_it_really_stands(folder: Path, key: str) -> None:
    """The nearest occurrence is proposed."""
    span = {"start": 14, "end": 18, "label": "asset", key: "pump"}
    row = {"text": "pump by the pump", "route": "fault", "entities": [span]}
    write(folder, train=[*sound(60, "a"), row | {"entities": [span | {"start": 13, "end": 16}]}])
    finding = only(folder, "surface-mismatch")
    assert (finding.severity, finding.fix) == ("error", '"start": 12, "end": 16')
    assert "'ump'" in finding.problem
    assert "'pump'" in finding.problem


def test_a_surface_that_stands_nowhere_is_said_to(folder: Path) -> None:
    span = {"start": 0, "end": 4, "label": "asset", "surface": "fan"}
    row = {"text": "pump broke", "route": "fault", "entities": [span]}
    write(folder, train=[*sound(60, "a"), row])
    assert "does not occur" in only(folder, "surface-mismatch").fix


def in_unit(row: dict, measure) -> dict:
    text = row["text"]
    return row | {
        "entities": [
            e | {"start": measure(text[: e["start"]]), "end": measure(text[: e["end"]])}
            for e in row["entities"]
        ]
    }


def as_bytes(text: str) -> int:
    return len(text.encode())


def as_utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize(
    ("measure", "code", "text", "surfaces"),
    [
        (as_bytes, "byte-offsets", "Kühlung für Motor 3 läuft heiß", ("Kühlung", "Motor 3")),
        (as_bytes, "byte-offsets", "überall leckt die Pumpe", ("Pumpe",)),
        (as_utf16, "utf16-offsets", "🔥🔥 fire at pump 3", ("fire", "pump 3")),
    ],
)
def test_offsets_in_another_unit_are_shown_in_characters(
    folder: Path, measure, code: str, text: str, surfaces: tuple[str, ...]
) -> None:
    """One error a message, with the offsets that were meant; nothing else is said of its spans."""
    row = item(text, "fault", *((s, "asset") for s in surfaces))
    write(folder, train=[*sound(60, "a"), in_unit(row, measure)])
    finding = only(folder, code)
    assert finding.severity == "error"
    for entity in row["entities"]:
        assert f'"start": {entity["start"]}, "end": {entity["end"]}' in finding.fix
    assert codes(folder)[code] == codes(folder).total()


@given(
    st.lists(st.text("aäß€🔥z", min_size=1, max_size=6), min_size=1, max_size=8),
    st.integers(min_value=0),
)
def test_offsets_in_characters_are_never_taken_for_another_unit(words: list[str], pick) -> None:
    """Spans on whole words raise nothing, whatever they are made of."""
    text, at = " ".join(words), pick % len(words)
    start = len(" ".join(words[:at])) + bool(at)
    entry = Entry("f", 1, text, "fault", (Mark(start, start + len(words[at]), "asset"),))
    assert list(spans.offsets(Data((Split("train", "f", (entry,)),)))) == []


def test_a_cut_word_in_text_beyond_ascii_is_a_cut_word_when_no_unit_explains_it(
    folder: Path,
) -> None:
    """``Küh`` in characters, ``Kü`` in bytes: both nonsense."""
    marks = [{"start": 0, "end": 3, "label": "asset"}]
    row = {"text": "Kühlung läuft", "route": "fault", "entities": marks}
    write(folder, train=[*sound(60, "a"), row])
    assert codes(folder) == {"span-cuts-word": 1}


def test_ends_that_are_included_are_one_finding_a_file(folder: Path) -> None:
    rows = sound(60, "a")
    for row in rows:
        row["entities"][0]["end"] -= 1
    write(folder, train=rows)
    assert codes(folder) == {"ends-included": 1}
    assert "60 of 60" in only(folder, "ends-included").problem


def test_a_long_text_is_measured_once() -> None:
    """A megabyte, measured anew up to each of its characters, took minutes."""
    measured = 0

    def octets(text: str) -> int:
        nonlocal measured
        measured += len(text)
        return len(text.encode())

    text = "é pump " * 100
    (mark,) = spans._recounted(text, (Mark(3, 7, "asset"),), octets) or ()
    assert text[mark.start : mark.end] == "pump"
    assert measured == len(text)
