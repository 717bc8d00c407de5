"""Entities that begin or end inside a piece of the vocabulary: the pieces give way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from edge_agent.bundle import load_bundle
from edge_agent.specialists import load_specialist
from tests.support import tiny_bases
from tools.__main__ import main
from tools.bases.base import open_base
from tools.bases.borders import hiding_pieces
from tools.bases.pieces import without
from tools.bases.trim import uncover_borders
from tools.corpus.annotation import Example, Span
from tools.evaluation.tagger import train_tagger

TOKENIZERS = {"bert": tiny_bases.wordpiece(), "gemma3": tiny_bases.pairs()}
WHOLE = tiny_bases.LINES[:40]
both = pytest.mark.parametrize("kind", TOKENIZERS)


def marked(text: str, *spans: tuple[int, int]) -> Example:
    return Example(text, "fault", tuple(Span(*span, "part") for span in spans))


def content(kind: str) -> bytes:
    return TOKENIZERS[kind].to_str().encode()


def left(kind: str, train: list[Example], dev: list[Example] | None = None) -> Tokenizer:
    """The tokenizer without the pieces in the way."""
    gone = hiding_pieces(content(kind), train, dev or [])
    return Tokenizer.from_str(without(content(kind), gone).tokenizer)


def borders(tokenizer: Tokenizer, text: str) -> set[int]:
    """Where pieces begin and end, white space left out."""
    found = set[int]()
    for start, end in tokenizer.encode(text).offsets:
        surface = text[start:end]
        found |= {end - len(surface.lstrip()), start + len(surface.rstrip())}
    return found


@both
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_entity_can_be_told_apart(kind: str, data: st.DataObject) -> None:
    """Wherever it begins and ends, and no text becomes unknown by it."""
    words = [*tiny_bases.WORDS, "bearings", "leaking", "temphigh", "valvetemp7"]
    text = " ".join(data.draw(st.lists(st.sampled_from(words), min_size=1, max_size=4)))
    start = data.draw(st.sampled_from([i for i, c in enumerate(text) if c != " "]))
    ends = [i + 1 for i, c in enumerate(text) if c != " " and i >= start]
    end = data.draw(st.sampled_from(ends))
    tokenizer = left(kind, [marked(text, (start, end))])
    assert {start, end} <= borders(tokenizer, text)
    assert not {"[UNK]", "<unk>"} & set(tokenizer.encode(text).tokens)


@both
def test_texts_without_such_pieces_are_cut_as_before(kind: str) -> None:
    tokenizer = left(kind, [marked("bearings", (0, 4), (4, 7))])
    others = [line for line in WHOLE if "bearing" not in line and "ing" not in line]
    for line in others:
        assert tokenizer.encode(line).tokens == TOKENIZERS[kind].encode(line).tokens
    assert tokenizer.encode("bearings").tokens != TOKENIZERS[kind].encode("bearings").tokens


@both
def test_a_slip_of_who_labelled_changes_nothing(kind: str) -> None:
    """One entity of hundreds that begins in the middle of a word."""
    good = [marked(f"the pump in hall {i}", (4, 8)) for i in range(300)]
    assert not hiding_pieces(content(kind), [*good, marked("bearing", (2, 7))], [])


@both
def test_a_piece_that_is_nearly_always_whole_stays(kind: str) -> None:
    """``pump`` is cut once and whole a hundred times; ``valve`` is always cut."""
    train = (
        [marked("a pump", (2, 6))] * 100
        + [marked("a pump", (2, 4))]
        + [marked("a valve", (2, 5))] * 9
    )
    tokenizer = left(kind, train)
    assert 5 in borders(tokenizer, "a valve")
    assert tokenizer.encode("a pump").tokens == TOKENIZERS[kind].encode("a pump").tokens


@both
def test_pieces_never_seen_go_when_messages_held_out_show_the_need(kind: str) -> None:
    """Special tokens, bytes and single characters stay, so nothing becomes unknown."""
    train, unseen = [marked("a valve", (2, 5))], marked("a motor", (2, 5))
    assert {2, 5} <= borders(left(kind, train), "a valve")
    assert 5 not in borders(left(kind, train), "a motor")
    tokenizer = left(kind, train, [unseen])
    assert {2, 5} <= borders(tokenizer, "a motor")
    prose = [*train, *[marked("a pump", (2, 6))] * 20]
    assert {2, 5} <= borders(left(kind, prose), "a valve")
    assert 5 not in borders(left(kind, prose, [unseen]), "a motor")
    tokens = tokenizer.encode("Zyxw 7 é 中 \U0001f525").tokens
    assert ("[UNK]" in tokens) == (kind == "bert")
    assert "seal" not in tokenizer.encode("seal").tokens
    specials = {"bert": ("[PAD]", "[MASK]", "[unused0]"), "gemma3": ("<pad>", "<mask>", "<0x41>")}
    assert all(tokenizer.token_to_id(name) is not None for name in specials[kind])


def test_a_kind_of_vocabulary_that_cannot_be_cut_stays() -> None:
    whole = json.loads(content("bert"))
    whole["model"] = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["pump", -1.0]]}
    assert not hiding_pieces(json.dumps(whole).encode(), [marked("pump", (0, 2))], [])


def test_a_base_without_such_pieces_stays_itself(tmp_path: Path) -> None:
    base = open_base(tiny_bases.tiny_bert(tmp_path / "base"))
    assert uncover_borders(base, [marked("pump", (0, 4))], [], tmp_path / "out") is base
    changed = uncover_borders(base, [marked("pump", (0, 2))], [], tmp_path / "out")
    assert changed.provenance()["changes"] == [
        "left out 1 pieces to tell apart entities inside words"
    ]
    assert changed.config["vocab_size"] == base.config["vocab_size"] - 1


def test_the_baseline_finds_them_too() -> None:
    """A CRF over words could not: it reads characters where it must."""
    train = [
        marked(f"{n} {word}", (2, 3), (3, 2 + len(word)))
        for word in ("low", "fan", "stop")
        for n in range(10)
    ]
    tagger = train_tagger(train, lambda: None)
    assert tagger is not None
    assert [e.text for e in tagger.entities("3 stop")] == ["s", "top"]


def test_entities_inside_a_word_are_learnt_to_their_borders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names of a place and of a thing, glued: by the factory and the runtime."""
    lines = [
        json.dumps({"text": f"{n} {word}", "route": route, "entities": [
            {"start": 2, "end": 3, "label": "place"},
            {"start": 3, "end": 2 + len(word), "label": "thing"},
        ]})
        for word, route in (("low", "fault"), ("fan", "command"), ("stop", "question"))
        for n in range(10)
    ]  # fmt: skip
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "train.jsonl").write_text("\n".join(lines[::2]))
    (tmp_path / "site" / "dev.jsonl").write_text("\n".join(lines[1::2]))
    base, out = tiny_bases.tiny_bert(tmp_path / "base"), tmp_path / "bundle"
    paths = ["--base", str(base), "--data", str(tmp_path / "site"), "--out", str(out)]
    assert main(["train", *paths, "--threads", "1", "--epochs", "120"]) == 0
    assert "left out 3 pieces to tell apart entities inside words" in capsys.readouterr().out
    found = load_specialist(load_bundle(out), threads=1).predict(["3 stop"])[0]
    assert [(e.text, e.label) for e in found.entities] == [("s", "place"), ("top", "thing")]
