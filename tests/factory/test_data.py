"""What a training reads: lines as messages, splits, names, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent.manifest import MANIFEST, MAX_MANIFEST_BYTES, MODEL, TOKENIZER
from tests.support.labelled import codes, item, only, sound, write
from tools import corpora
from tools.bundling import pack
from tools.checking.checks import check
from tools.corpora import read_corpus
from tools.corpus.annotation import Example
from tools.data import MOST_LABELS, Vocabulary, read_jsonl, split
from tools.errors import ToolError
from tools.learning.crf import forbidden
from tools.learning.recipe import Recipe
from tools.writing.corpus import read_writing
from tools.writing.pairs import read_pairs

RECIPE = Recipe(epochs=1, fewest_steps=0)
SPAN = {"start": 0, "end": 4, "label": "asset"}


def line(**changes: object) -> str:
    return json.dumps({"text": "pump leaks", "route": "fault", "entities": [SPAN]} | changes)


def spans(**changes: object) -> str:
    return line(entities=[SPAN, {"start": 5, "end": 10, "label": "symptom"} | changes])


BAD = {
    "text a number": line(text=5),
    "text null": line(text=None),
    "text empty": line(text="", entities=[]),
    "text blank": line(text=" \n", entities=[]),
    "text NaN": line(text=float("nan")),
    "no text": '{"route": "fault"}',
    "text half a pair": line(text="leaks \ud800"),
    "route half a pair": line(route="fault\udc00"),
    "label half a pair": spans(label="\ud800"),
    "route a number": line(route=7),
    "route false": line(route=False),
    "start null": spans(start=None),
    "start a string": spans(start="5"),
    "start a fraction": spans(start=5.0),
    "end true": spans(end=True),
    "label a number": spans(label=1),
    "label emptied": spans(label="///"),
    "label empty": spans(label=""),
    "route emptied": line(route="/"),
    "entities no list": line(entities={}),
    "huge offset": spans().replace("10", "1" + "0" * 5000),
    "deep": "[" * 100_000,
    "no object": "[]",
}


@pytest.mark.parametrize("case", BAD)
def test_a_line_that_would_fail_later_is_named_at_once(tmp_path: Path, case: str) -> None:
    """With file and line, as `check-data` does."""
    folder = write(tmp_path / "site", train=[line(), BAD[case]])
    with pytest.raises(ToolError, match=r"train\.jsonl:2: "):
        read_jsonl(folder / "train.jsonl")
    found = check([folder / "train.jsonl"]).findings
    assert any(f.severity == "error" and f.where.endswith("train.jsonl:2") for f in found)


PAIRS = {
    "text empty": '{"text": " ", "output": {}}',
    "no output": '{"text": "pump leaks"}',
    "output half a pair": r'{"text": "pump leaks", "output": "\ud800"}',
}


@pytest.mark.parametrize("case", PAIRS)
def test_a_pair_that_is_none_is_named_in_the_same_way(tmp_path: Path, case: str) -> None:
    """What writes is trained on lines of its own; keys that mean nothing are ignored."""
    file = tmp_path / "train.jsonl"
    file.write_text('{"text": "pump leaks", "output": {}, "by": 1}\n' + PAIRS[case] + "\n")
    with pytest.raises(ToolError, match=r"train\.jsonl:2: no text and output \("):
        read_pairs(file, None)


def test_what_may_be_left_out_may_be_null_too(tmp_path: Path) -> None:
    lines = ['{"text": "é"}', line(route=None, entities=None), line(route="", entities=[], by=1)]
    found = read_jsonl(write(tmp_path / "site", train=lines) / "train.jsonl")
    assert [(e.text, e.route, e.entities) for e in found] == [
        ("é", "", ()),
        ("pump leaks", "", ()),
        ("pump leaks", "", ()),
    ]


def test_the_only_message_of_a_route_is_never_held_out() -> None:
    many = [Example(f"message {i}", "fault", ()) for i in range(20)]
    pair = [Example(f"pair {i}", "command", ()) for i in range(2)]
    train_set, dev = split([*many, *pair, Example("alone", "alarm", ())])
    assert [e.route for e in dev] == ["fault", "fault", "command"]
    assert {e.route for e in train_set} == {"fault", "command", "alarm"}


def test_a_route_of_one_text_stays_in_train_however_often_it_comes() -> None:
    """A heartbeat says the same each time; another route may say it too."""
    beats = [Example("ping", "heartbeat", ())] * 10
    others = [Example(f"message {i}", "fault", ()) for i in range(20)]
    train_set, dev = split([*beats, *others, Example("ping", "fault", ())])
    assert [e for e in train_set if e.route == "heartbeat"] == beats
    assert [e.route for e in dev] == ["fault", "fault"]


def test_repetitions_of_one_text_do_not_become_the_whole_of_dev() -> None:
    """The share is one of texts: those that come often must not fill it up."""
    rare = [Example(f"message {i}", "fault", ()) for i in range(20)]
    for often in rare:
        _, dev = split([*rare, *[often] * 200])
        assert len({e.text for e in dev}) == 2


def test_nothing_to_hold_out_is_said_before_training(tmp_path: Path) -> None:
    folder = write(tmp_path / "site", train=[item("pump broke"), item("fan runs", "reading")])
    with pytest.raises(ToolError, match=r"no dev\.jsonl, and too few messages"):
        read_corpus(folder, RECIPE)


def test_a_label_only_among_messages_held_out_is_not_blamed_on_a_missing_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = sound(20, "a")
    _, dev = split([Example(row["text"], row["route"], ()) for row in rows])
    held = {example.text for example in dev}
    for row in rows:
        if row["text"] in held:
            row["entities"][0]["label"] = "rarity"
    read_corpus(write(tmp_path / "site", train=rows), RECIPE)
    shown = capsys.readouterr().out
    assert "dev.jsonl names" not in shown
    assert "the messages held out name rarity" in shown


def test_names_written_otherwise_are_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [item(f"valve {i} shut", "Plugged / choked") for i in range(4)]
    rows += [item(f"fan {i} off", f"route {i}") for i in range(4)]
    dev = [item("gate up", "route 3"), item("gate down", "x" * 70), item("gate", "fault")]
    read_corpus(write(tmp_path / "site", train=rows, dev=dev), RECIPE)
    (told,) = [t for t in capsys.readouterr().out.splitlines() if t.startswith("names rewritten")]
    assert told.startswith("names rewritten for topics: 'Plugged / choked' -> 'Plugged_choked', ")
    assert told.count("->") == 5
    assert told.endswith("and 1 more")


@pytest.mark.parametrize("found", ["\x7f", "\x96", "\ufdd0", "\uffff"])
def test_what_brokers_refuse_in_topics_is_taken_out_of_names(tmp_path: Path, found: str) -> None:
    """A dash of Windows-1252 read as Latin-1 is a control character."""
    rows = [item(f"pump {i}", f"Pump{found}fault", ("pump", f"a{found}b")) for i in range(4)]
    corpus = read_corpus(write(tmp_path / "site", train=rows, dev=rows), RECIPE)
    assert corpus.vocabulary == Vocabulary(("Pump_fault",), ("a_b",))


def test_names_left_as_they_are_are_not_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read_corpus(write(tmp_path / "site", train=sound(20, "a"), dev=sound(4, "b")), RECIPE)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "problem"),
    [("falt: pump broke\n", "one.txt:1: 'falt"), ("# none\n", "no messages")],
)
def test_a_bad_hand_written_message_ends_with_a_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, problem: str
) -> None:
    (tmp_path / "one.txt").write_text(content)
    monkeypatch.setattr(corpora, "MESSAGES", tmp_path)
    with pytest.raises(ToolError, match=problem):
        read_corpus(None, RECIPE)


def test_pairs_of_one_text_are_held_out_together_and_never_all(tmp_path: Path) -> None:
    """What dev judges must not have been learnt, and something must be left to learn."""
    rows = [{"text": f"pump {i // 4}", "output": f"{i}"} for i in range(80)]
    folder = write(tmp_path / "site", train=rows)
    task = tmp_path / "task.json"
    task.write_text(json.dumps({"prompt": "About {text}"}))
    corpus = read_writing(folder, task, RECIPE)
    assert len(corpus.dev) == 8
    assert not {p.text for p in corpus.epochs[0]} & {p.text for p in corpus.dev}
    write(folder, train=rows[:4])
    with pytest.raises(ToolError, match="too few pairs"):
        read_writing(folder, task, RECIPE)


def test_labels_beyond_what_a_bundle_holds_are_refused_before_training(tmp_path: Path) -> None:
    """By the check as well."""
    rows = [item(f"pump {i}", "fault", ("pump", f"label{i}")) for i in range(MOST_LABELS)]
    folder = write(tmp_path / "site", train=rows, dev=rows[:50])
    assert "many-labels" not in codes(folder)
    read_corpus(folder, RECIPE)
    write(folder, train=[*rows, item("one more", "fault", ("one", "more"))])
    assert only(folder, "many-labels").problem == "has 341 labels, and a bundle holds 340"
    with pytest.raises(ToolError, match="has 341 labels, and a bundle holds 340"):
        read_corpus(folder, RECIPE)


def test_the_labels_a_bundle_holds_fit_into_its_manifest(tmp_path: Path) -> None:
    """With the longest names, and beside many routes."""
    names = Vocabulary(*(tuple(f"{i:064d}" for i in range(n)) for n in (1000, MOST_LABELS)))
    rows = [[-0.1234 if x == 0 else x for x in row] for row in forbidden(names.tags).tolist()]
    contents = pack.Contents(
        "my-site", "1.0.0", b"", Path(TOKENIZER), names, max_tokens=256, transitions=rows
    )
    (tmp_path / MODEL).touch()
    (tmp_path / TOKENIZER).touch()
    pack.write_manifest(contents, tmp_path)
    assert (tmp_path / MANIFEST).stat().st_size < MAX_MANIFEST_BYTES
