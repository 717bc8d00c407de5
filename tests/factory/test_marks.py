"""What a generator that begins with nothing is helped with: where values stand, words of others."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from edge_agent.inference.output_schema import narrow
from tests.factory.test_train_generator import LEARN, PROMPT, SIZES
from tests.support.tiny_bases import tiny_bert, tiny_gemma3
from tests.support.writing_site import writing_site
from tools.bases.base import open_base, read_tokenizer
from tools.bases.fresh import WORDS, fresh_base
from tools.bases.vectors import word_vectors
from tools.bundling.generator import Contents
from tools.learning.answering import AnsweringLesson
from tools.train_generator import tokens_of
from tools.trunks.gemma3_generator import load_generator
from tools.writing.corpus import read_writing
from tools.writing.marks import Marks
from tools.writing.pairs import Pair


def test_where_a_text_holds_what_is_extracted_is_learnt_besides(tmp_path: Path) -> None:
    """At its last place in the prompt: every token of a value, and no other."""
    sizes = {"use_bidirectional_attention": False, "head_dim": 32, "max_position_embeddings": 256}
    base = tiny_gemma3(tmp_path / "gemma", eos_token_id=1, **sizes)
    site = writing_site(tmp_path / "site", prompt="<bos>{text}\n{text}<end_of_turn>")
    corpus = read_writing(site, site / "task.json", LEARN)
    contents = Contents("a", "1", open_base(base), ("<eos>",), corpus.task)
    tokens = tokens_of(contents, corpus, 256, Marks.under(corpus.schema))
    tokenizer = read_tokenizer(base / "tokenizer.json")
    for pair in corpus.dev:
        row = tokens.row(pair)
        asset = [row.ids[i] for i, mark in row.marks.items() if mark == 1]
        assert tokenizer.decode(asset).strip() == pair.output["asset"]
        assert min(row.marks) == tokens.prompts.encode(pair.text).last > 1
    lesson = AnsweringLesson(LEARN, tokens, torch.device("cpu"))
    model = load_generator(contents.base, 256)
    plain = lesson.loss(model, lesson.rows(corpus.dev))
    model.mark = torch.nn.Linear(model.shape.hidden, 3)
    torch.nn.init.zeros_(model.mark.weight)
    torch.nn.init.zeros_(model.mark.bias)
    with_marks = lesson.loss(model, lesson.rows(corpus.dev))
    torch.testing.assert_close(with_marks - plain, torch.tensor(3.0).log(), rtol=1e-3, atol=0)


def test_places_of_what_is_extracted() -> None:
    """All items of a list are one; names may hold what JSON Pointers escape."""
    span = {"type": "string", "x-extractive": True}
    rows = {"type": "array", "items": {"type": "object", "properties": {"a/b": span}}}
    schema = narrow({"type": "object", "properties": {"7": span, "rows": rows, "n": {"const": 1}}})
    marks = Marks.under(schema)
    assert marks is not None
    assert len(marks.places) == 2
    output = {"7": "fan", "rows": [{"a/b": "hot"}, {"a/b": "loud"}], "n": 1}
    pair = Pair("fan hot, loud", json.dumps(output))
    assert list(marks.of(pair, pair.text)) == [(0, 3, 0), (4, 7, 1), (9, 13, 1)]
    assert list(marks.of(pair, "fan")) == [(0, 3, 0)]
    assert Marks.under(narrow({"type": "string"})) is None
    assert Marks.under(None) is None


def test_random_weights_take_over_words_of_another_base(tmp_path: Path) -> None:
    """Words that are alike there are alike here; what it does not know stays random."""
    site = writing_site(tmp_path / "site", prompt=PROMPT)
    corpus = read_writing(site, site / "task.json", LEARN)
    known = open_base(tiny_bert(tmp_path / "bert"))
    table = word_vectors(known, ["pump", "▁pump", "pumpleak", "<pad>", "\u2603"], 24)
    assert torch.equal(table[0], table[1])
    parts = word_vectors(known, ["pump", "leak"], 24)
    torch.testing.assert_close(word_vectors(known, ["pump leak"], 24)[0], parts.sum(0) / 2**0.5)
    assert not table[3:].any()
    bases = [
        fresh_base(tmp_path / name, corpus.texts(), corpus.schema, SIZES, known) for name in "ab"
    ]
    plain = fresh_base(tmp_path / "plain", corpus.texts(), corpus.schema, SIZES)
    assert bases[0].provenance() == bases[1].provenance() != plain.provenance()
    assert "words of bert" in bases[0].provenance()["name"]
    one, other = (load_file(base.weights[0]) for base in (bases[0], plain))
    assert {name for name in one if not torch.equal(one[name], other[name])} == {WORDS}
    assert one[WORDS].std() < 2 * other[WORDS].std()
