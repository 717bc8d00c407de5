"""``train --task`` from end to end: a dozen pairs, tiny models, real bundles, a real kill -9."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from edge_agent.bundle import Bundle, load_bundle
from edge_agent.generator import GeneratorSpecialist
from edge_agent.golden import check_written
from edge_agent.inference.grammar import Grammar
from tests.factory.test_documented import commands
from tests.support.killed_training import kill_after_a_checkpoint
from tests.support.tiny_bases import tiny_gemma3
from tests.support.writing_site import PAIRS, SPAN, writing_site
from tools.__main__ import main
from tools.bases.base import open_base, read_tokenizer
from tools.bases.fresh import SHAPE, Sizes, fresh_base
from tools.bundling.generator import Contents
from tools.learning.answering import AnsweringLesson
from tools.learning.recipe import Recipe
from tools.train_generator import Job, run, tokens_of
from tools.trunks.gemma3_generator import load_generator
from tools.writing.corpus import read_writing

TINY = {"hidden_size": 96, "num_hidden_layers": 2, "intermediate_size": 128, "head_dim": 32,
        "num_attention_heads": 2, "num_key_value_heads": 1, "query_pre_attn_scalar": 32,
        "layer_types": ["sliding_attention", "full_attention"]}  # fmt: skip
SIZES = Sizes(400, config={**json.loads(SHAPE.read_text()), **TINY})
PROMPT = "<bos>{text}<end_of_turn>\n<start_of_turn>"
LEARN = Recipe(
    epochs=120, fewest_steps=0, judgements=3, trunk_rate=4e-3, layer_decay=1.0, mark_weight=1.0
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as transformers writes it."""
    folder = tmp_path_factory.mktemp("bases") / "gemma"
    sizes = {"use_bidirectional_attention": False, "head_dim": 32, "max_position_embeddings": 256}
    return tiny_gemma3(folder, eos_token_id=1, **sizes)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return writing_site(tmp_path_factory.mktemp("pairs") / "site")


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """From random weights, with a tokenizer of its own."""
    folder = tmp_path_factory.mktemp("fresh")
    site = writing_site(folder / "site", prompt=PROMPT)
    torch.set_num_threads(1)
    job = Job(folder / "bundle", site / "task.json", site, sizes=SIZES, recipe=LEARN)
    return run(job)


def arguments(base: Path, site: Path, out: Path, *more: str) -> list[str]:
    paths = ["--base", str(base), "--data", str(site), "--task", str(site / "task.json")]
    return ["train", *paths, "--out", str(out), "--threads", "1", "--epochs", "5", *more]


def digests(bundle: Path) -> dict[str, str]:
    files = sorted(file for file in bundle.iterdir() if file.is_file())
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_a_dozen_pairs_are_learnt_and_the_packed_bundle_writes_them(learnt: Bundle) -> None:
    specialist = GeneratorSpecialist(learnt, 1, lambda: 0.0)
    for text, expected in PAIRS:
        output = specialist.write(text)
        assert output.value == expected
        assert list(output.value) == ["asset", "problem", "due", "priority"]
        assert {one.path for one in output.extracts} == {"/asset", "/problem"}


def test_the_bundle_tells_how_well_it_writes_and_proves_it(learnt: Bundle) -> None:
    """Scores of what was held out, golden messages, a card with a row for each field."""
    dev = learnt.manifest.provenance["dev"]
    assert (dev["messages"], dev["field_f1"], dev["invented_spans"]) == (12, 1.0, 0)
    assert check_written(learnt, GeneratorSpecialist(learnt, 1, lambda: 0.0)) == 12
    card = (learnt.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| /asset | 1.000 | 1.000 | 1.000 | 12 |" in card
    assert "Gemma 3, 2 layers" in card


def test_evaluate_scores_the_fields_of_a_bundle_that_writes(
    learnt: Bundle, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(learnt.path), str(site / "dev.jsonl"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["valid"], said["exact"], said["invented_spans"]) == (1.0, 1.0, 0)
    assert said["fields"]["/priority"]["f1"] == 1.0
    assert said["latency"]["p50_ms"] > 0
    assert main(["evaluate", str(learnt.path), str(site / "dev.jsonl")]) == 0
    shown = capsys.readouterr().out
    assert "F1 of all fields: 100.0 (100.0…100.0, 95 %)" in shown
    assert "next: python -m tools pack" in shown
    assert main(["evaluate", str(learnt.path), str(site / "dev.jsonl"), "--html", "x.html"]) == 2


def test_a_training_killed_in_the_middle_goes_on_to_the_same_bundle(
    base: Path, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """kill -9 soon after there is a checkpoint; every file ends as one run would have left it."""
    killed, whole = tmp_path / "killed" / "bundle", tmp_path / "whole" / "bundle"
    kill_after_a_checkpoint(arguments(base, site, killed))
    assert not killed.exists()
    assert main(arguments(base, site, killed)) == 0
    said = capsys.readouterr().out
    assert "going on after epoch" in said
    assert f"next: python -m tools evaluate {killed} {site / 'dev.jsonl'}" in said
    assert main(arguments(base, site, whole)) == 0
    assert digests(killed) == digests(whole)
    assert load_bundle(killed).manifest.provenance["base"]["name"] == "gemma"


def test_a_vocabulary_is_cut_to_what_the_pairs_need(base: Path, site: Path, tmp_path: Path) -> None:
    """The token that ends an answer keeps its name and gets another id."""
    out = tmp_path / "small"
    assert main(arguments(base, site, out, "--trim-vocabulary", "5", "--epochs", "1")) == 0
    bundle = load_bundle(out)
    shape = bundle.manifest.generator
    assert shape.vocabulary < json.loads((base / "config.json").read_text())["vocab_size"]
    tokenizer = read_tokenizer(out / "tokenizer.json")
    assert [tokenizer.id_to_token(i) for i in shape.stop_tokens] == ["<eos>"]
    assert GeneratorSpecialist(bundle, 1, lambda: 0.0).write(PAIRS[0][0]).complete


def test_the_commands_shown_work_in_the_order_shown(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/generate.md has them, with fewer passes; our own pairs take most of an hour."""
    writing_site(tmp_path / "my-orders")
    (tmp_path / "gemma-3-270m-it").symlink_to(base)
    monkeypatch.chdir(tmp_path)
    shown = [one for one in commands("docs/generate.md") if any("my-orders" in a for a in one)]
    assert [one[0] for one in shown] == ["train", "evaluate"]
    for one in shown:
        fewer = ["--epochs", "2", "--threads", "1"]
        assert main([*one, *(fewer if one[0] == "train" else [])]) == 0, one
    assert load_bundle(Path("models/my-orders")).manifest.task is not None


def test_what_is_learnt_is_what_the_runtime_forces(tmp_path: Path) -> None:
    """The tokens of an answer agree with those that the grammar puts without asking."""
    site = writing_site(tmp_path / "site", prompt=PROMPT)
    corpus = read_writing(site, site / "task.json", LEARN)
    fresh = fresh_base(tmp_path / "base", corpus.texts(), corpus.schema, SIZES)
    contents = Contents("a", "1", fresh, ("<eos>", "<end_of_turn>"), corpus.task)
    vocabulary = fresh.config["vocab_size"]
    tokens = tokens_of(contents, corpus, 256)
    schema, stops = corpus.task.output_schema, contents.stop_ids()
    grammar = Grammar(tokens.tokenizer, schema, vocabulary, stops)
    for pair in corpus.dev:
        taught, constraint, chosen = tokens.answer(pair.answer), grammar.start(pair.text), 0
        while taught:
            forced = constraint.forced()
            assert taught[: len(forced)] == forced
            taught = taught[len(forced) :]
            if taught:
                constraint.accept(taught.pop(0))
                chosen += 1
        assert constraint.finished
        assert chosen < 12


def test_the_loss_is_that_of_the_answers_alone(base: Path, site: Path) -> None:
    """Of rows side by side what each gives alone: its tokens, and the one that ends it."""
    corpus = read_writing(site, site / "task.json", LEARN)
    opened = open_base(base)
    tokens = tokens_of(Contents("a", "1", opened, ("<eos>",), corpus.task), corpus, 256)
    lesson = AnsweringLesson(LEARN, tokens, torch.device("cpu"))
    model, rows = load_generator(opened, 256), lesson.rows(corpus.dev)
    expected = []
    for row in rows:
        with torch.autocast("cpu", torch.bfloat16):
            logits = model.words.logits(model(torch.tensor([row.ids])))[0]
        logits = logits.float().log_softmax(-1)
        expected += [-logits[i - 1, row.ids[i]] for i in range(row.answer, len(row.ids))]
    assert rows[0].ids[-1] == read_tokenizer(opened.tokenizer).token_to_id("<eos>")
    assert len(expected) == sum(len(tokens.answer(pair.answer)) + 1 for pair in corpus.dev)
    found = lesson.loss(model, rows)
    torch.testing.assert_close(found, torch.stack(expected).mean(), rtol=1e-3, atol=0)


def test_a_word_is_the_same_tokens_wherever_it_stands(tmp_path: Path) -> None:
    """Else what is copied into an answer would have to be spelled anew."""
    site = writing_site(tmp_path / "site", prompt=PROMPT)
    corpus = read_writing(site, site / "task.json", LEARN)
    fresh = fresh_base(tmp_path / "base", corpus.texts(), corpus.schema, SIZES)
    contents = Contents("a", "1", fresh, ("<eos>",), corpus.task)
    tokens = tokens_of(contents, corpus, 256)
    spans = [f"{open_}valve V-7{close}" for open_, close in ((" ", " "), ('"', '"'), ("(", ","))]
    assert len({tuple(tokens.answer(span)[1:-1]) for span in spans}) == 1
    (key,) = tokens.answer(',"problem":')
    assert key


@pytest.mark.parametrize("before", [0, 700])
def test_an_output_that_could_never_be_written_is_refused(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], before: int
) -> None:
    """Wherever its line stands."""
    site = writing_site(tmp_path / "site")
    line = {"text": "the pump is leaking", "output": {**PAIRS[0][1], "asset": "fan"}}
    good = json.dumps({"text": PAIRS[0][0], "output": PAIRS[0][1]}) + "\n"
    (site / "train.jsonl").write_text(good * before + json.dumps(line), encoding="utf-8")
    assert main(arguments(base, site, tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert "for 'the pump is leaking' cannot be written" in said
    assert "a run of whole words" in said


@pytest.mark.parametrize(
    ("schema", "output"), [({"type": "integer", "minimum": 10}, 5), (None, ""), (SPAN, "")]
)
def test_an_output_that_is_not_whole_is_refused(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], schema: Any, output: Any
) -> None:
    """Its tokens may all come where they stand; it cannot end behind them."""
    site = writing_site(tmp_path / "site", output_schema=schema)
    for name in ("train", "dev"):
        line = json.dumps({"text": "!", "output": output})
        (site / f"{name}.jsonl").write_text(line, encoding="utf-8")
    assert main(arguments(base, site, tmp_path / "out")) == 2
    assert "for '!' cannot be written" in capsys.readouterr().err


def test_an_output_longer_than_the_task_permits_is_refused(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be learnt, and cut by its limit each time it is written."""
    site = writing_site(tmp_path / "site", max_output_tokens=4)
    assert main(arguments(base, site, tmp_path / "out")) == 2
    assert "raise max_output_tokens of the task, which is 4" in capsys.readouterr().err


@pytest.mark.parametrize("held_out", [True, False])
def test_no_pairs_are_too_few(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], held_out: bool
) -> None:
    """Else a bundle would be packed that has learnt nothing."""
    site = writing_site(tmp_path / "site")
    (site / "train.jsonl").write_text("\n", encoding="utf-8")
    if not held_out:
        (site / "dev.jsonl").unlink()
    assert main(arguments(base, site, tmp_path / "out")) == 2
    assert "has too few pairs" in capsys.readouterr().err


def test_a_line_that_is_no_pair_is_named(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = writing_site(tmp_path / "site")
    (site / "train.jsonl").write_text('{"text": "a", "route": "b"}\n', encoding="utf-8")
    assert main(arguments(base, site, tmp_path / "out")) == 2
    assert "train.jsonl:1: no text and output (output: Field required)" in capsys.readouterr().err


def test_options_of_encoders_are_refused(
    base: Path, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(base, site, tmp_path / "out", "--layers", "1")) == 2
    assert "--layers is for bundles that sort and mark" in capsys.readouterr().err


def test_a_version_no_manifest_can_say_is_refused_before_training(
    base: Path, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And before an export."""
    out = ("--out", str(tmp_path / "out"), "--version", "1 0")
    assert main(arguments(base, site, tmp_path / "out", "--version", "1 0")) == 2
    assert main(["export-gemma3", str(base), *out]) == 2
    shown = capsys.readouterr()
    assert shown.err.count("no bundle can be named out 1 0") == 2
    assert not shown.out
