"""Texts, and words in them, that stand more than once: alike, nearly alike, labelled otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.labelled import WORDS, codes, found, item, only, sound, sound_folder, write
from tools.checking import near
from tools.checking.reading import Entry, Split


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sound_folder(tmp_path / "site")


@pytest.mark.parametrize(
    ("one", "other", "code"),
    [
        (item("pump 9 hums"), item("pump 9 hums", "reading"), "contradicting-routes"),
        (
            item("pump 9 hums", "fault", ("pump 9", "asset")),
            item("pump 9 hums", "fault", ("pump 9", "part")),
            "contradicting-spans",
        ),
        (
            item("pump 9 hums", "fault", ("pump 9", "asset")),
            item("pump 9 hums", "fault"),
            "contradicting-spans",
        ),
    ],
)
def test_the_same_text_labelled_otherwise_is_a_warning_that_names_both(
    folder: Path, one: dict, other: dict, code: str
) -> None:
    write(folder, train=[*sound(60, "a"), one], dev=[*sound(50, "b"), other])
    finding = only(folder, code)
    assert finding.severity == "warning"
    assert "train.jsonl:61" in finding.problem
    assert "dev.jsonl:51" in finding.problem


def test_what_is_left_open_contradicts_nothing(folder: Path) -> None:
    """A null route, and entities that nobody looked for."""
    full, open_ = item("pump 9 hums", "fault", ("pump 9", "asset")), {"text": "pump 9 hums"}
    write(folder, train=[*sound(60, "a"), full], dev=[*sound(50, "b"), open_])
    assert codes(folder) == {"leak": 1}


def test_duplicates_within_and_across_splits_are_told_apart(folder: Path) -> None:
    same = item("boiler 4 is cold")
    write(folder, train=[*sound(60, "a"), same, same], dev=[*sound(50, "b"), same])
    assert codes(folder) == {"duplicate": 1, "leak": 1}
    assert "train.jsonl:61, :62" in only(folder, "duplicate").problem
    leak = only(folder, "leak")
    assert (leak.where, leak.severity) == (f"{folder}/dev.jsonl:51", "warning")
    assert "train.jsonl:61" in leak.problem


def test_near_duplicates_across_splits_are_leaks_too(folder: Path) -> None:
    known, twin = "conveyor 12 tripped on overload at noon", "Conveyor 12 tripped on overload at 9"
    write(folder, train=[*sound(60, "a"), item(known)], dev=[*sound(50, "b"), item(twin)])
    finding = only(folder, "near-duplicate")
    assert finding.where == f"{folder}/dev.jsonl:51"
    assert "train.jsonl:61" in finding.problem


def test_the_nearest_of_several_twins_is_named(folder: Path) -> None:
    text = "conveyor 12 tripped on overload at noon"
    known = [item(text + end) for end in (" again", " x", " today")]
    write(folder, train=[*sound(60, "a"), *known], dev=[*sound(50, "b"), item(text)])
    assert "train.jsonl:62 " in only(folder, "near-duplicate").problem


def test_a_near_duplicate_that_stands_often_is_told_once(folder: Path) -> None:
    """Where it stands first."""
    train, dev = [item("Please stop the mixer")], [item("please stop the mixer")] * 3
    write(folder, train=[*sound(60, "a"), *train], dev=[*sound(50, "b"), *dev])
    assert only(folder, "near-duplicate").where == f"{folder}/dev.jsonl:51"


def test_a_contrast_of_words_and_route_is_no_leak_but_of_punctuation_is(folder: Path) -> None:
    """``open`` and ``close`` make the difference a model must learn; a full stop makes none."""
    train = [item("please open the main inlet valve now"), item("please shut the gate now")]
    dev = [item("please reopen the main inlet valve now", "reading")]
    dev += [item("Please shut the gate now.", "reading")]
    write(folder, train=[*sound(60, "a"), *train], dev=[*sound(50, "b"), *dev])
    finding = only(folder, "near-duplicate")
    assert finding.where == f"{folder}/dev.jsonl:52"
    assert "routed reading here and fault there" in finding.problem


def grams(text: str) -> set[str]:
    plain = f" {' '.join(text.lower().split())} ".ljust(4, "_")
    return {plain[i : i + 4] for i in range(len(plain) - 3)}


@given(
    st.lists(st.text("abc ", min_size=1, max_size=14).filter(str.strip), min_size=1, max_size=12),
    st.lists(st.text("abc ", min_size=1, max_size=14).filter(str.strip), min_size=1, max_size=12),
)
def test_twins_are_what_comparing_every_pair_finds(one: list[str], other: list[str]) -> None:
    known, later = (
        Split(name, name, tuple(Entry(name, i, text) for i, text in enumerate(texts)))
        for name, texts in (("train", one), ("dev", other))
    )
    slow = {}
    for text in other:
        if text not in one:
            rates = [len(grams(text) & grams(k)) / len(grams(text) | grams(k)) for k in one]
            if max(rates) >= near.ALIKE:
                slow[text] = max(rates)
    fast = {twin.entry.text: twin.similarity for twin in near.twins(known, later)}
    assert fast == pytest.approx(slow)


def test_fifteen_thousand_by_five_thousand_messages_are_compared_exactly() -> None:
    """Every 50th message of the second split is one of the first and a word more: all are found."""
    known = tuple(
        Entry("train", i, f"{WORDS[i % 10]} {i * 7919} at hall {i * 31 % 97} reports {i * 104729}")
        for i in range(15000)
    )
    later = tuple(
        Entry("dev", i, known[i].text + " ok" if i % 50 == 0 else f"nothing {i * 15485863} here")
        for i in range(5000)
    )
    twins = list(near.twins(Split("train", "train", known), Split("dev", "dev", later)))
    assert [(t.entry.line, t.known.line) for t in twins] == [(i, i) for i in range(0, 5000, 50)]


def test_words_labelled_against_their_custom_are_told_with_counts(folder: Path) -> None:
    """Between the same neighbours they can hardly mean something else, so that weighs most."""
    rows = [item(f"the north yard is {i}", "fault", ("north yard", "place")) for i in range(20)]
    rows += [item(f"in the north yard is {i}") for i in range(2)]
    rows += [item(f"{i} mixer {i}x", "fault", ("mixer", "asset")) for i in range(20)]
    rows += [item(f"x{i} mixer") for i in range(3)]
    write(folder, train=[*sound(60, "a"), *rows])
    yard, mixer = [f for f in found(folder) if f.code == "inconsistent-label"]
    assert yard.problem == (
        "'north yard' is place 20 times, unlabelled twice, 2 of these between the same words, "
        "as in 'the north yard is': place in train.jsonl:61, :62, :63, :64 and 16 more; "
        "unlabelled in train.jsonl:81, :82"
    )
    assert yard.where == f"{folder}/train.jsonl:81"
    assert "'mixer' is asset 20 times, unlabelled 3 times: " in mixer.problem


def test_whole_messages_at_odds_are_left_to_the_contradictions(folder: Path) -> None:
    rows = [item("six", "fault", ("six", "people"))] * 3 + [item("six", "fault", ("six", "hour"))]
    write(folder, train=[*sound(60, "a"), *rows])
    assert "between the same words" not in only(folder, "inconsistent-label").problem
    assert only(folder, "contradicting-spans").where == f"{folder}/train.jsonl:64"


def test_words_mostly_unlabelled_or_within_another_span_are_let_be(folder: Path) -> None:
    """``gate`` alone is often nothing; ``gate`` in ``main gate`` is no occurrence of ``gate``."""
    rows = [item(f"{i} gate {i}x", "fault", ("gate", "asset")) for i in range(20)]
    rows += [item(f"{i} main gate {i}y", "fault", ("main gate", "asset")) for i in range(5)]
    rows += [item(f"x{i} hum y{i}", "fault", ("hum", "symptom")) for i in range(4)]
    rows += [item(f"z{i} hum") for i in range(9)]
    write(folder, train=[*sound(60, "a"), *rows])
    assert not codes(folder)["inconsistent-label"]


def test_only_the_ten_worst_inconsistencies_are_told(folder: Path) -> None:
    rows = []
    for n, word in enumerate([*WORDS, "crane", "saw", "oven"]):
        rows += [item(f"{word} {i}{n} rests", "fault", (word, "machine")) for i in range(5)]
        rows += [item(f"{word} x{i}{n} rests") for i in range(1 + n % 3)]
    write(folder, train=[*sound(60, "a"), *rows])
    assert codes(folder)["inconsistent-label"] == 10
