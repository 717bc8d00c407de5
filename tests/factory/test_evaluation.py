"""Evaluation: the baselines, the whole command, the page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from argparse import ArgumentParser
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.bundle import load_bundle
from edge_agent.types import Prediction, Route
from tests.support.tiny_bundle import LABELS, ROUTES, tiny_bundle, write_manifest
from tools.commands import evaluate as command
from tools.corpus.annotation import Example, Span
from tools.errors import ToolError
from tools.evaluation.baselines import NoTraining, training_messages
from tools.evaluation.errors import marked, worst
from tools.evaluation.evaluate import Job, evaluate
from tools.evaluation.html import confusion_matrix, page
from tools.evaluation.router import train_router
from tools.evaluation.tagger import features, legal, tokens, train_tagger

TEXT = "pump leaks"


def write(path: Path, *lines: dict[str, object]) -> Path:
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n", encoding="utf-8")
    return path


def line(text: str, route: str | None = None, *entities: tuple[int, int, str]) -> dict[str, object]:
    spans = [{"start": a, "end": b, "label": name} for a, b, name in entities]
    return {"text": text, "route": route, "entities": spans}


LEAK = line("pump leaking", "fault", (0, 4, "asset"), (5, 12, "symptom"))
FIRE = line("fire in hall", "alarm", (8, 12, "location"))
CHAT = line("good morning all", "other")
DATA = (
    LEAK,
    FIRE,
    CHAT,
    line("temp ok", "reading"),
    line("open valve", "command", (5, 10, "asset")),
)


def run(*arguments: object) -> int:
    parser = ArgumentParser()
    command.arguments(parser)
    return command.run(parser.parse_args([str(item) for item in arguments]))


# --- baselines


def test_the_tagger_learns_words_and_finds_exact_spans() -> None:
    texts = [f"check {name} now" for name in ("pump", "valve", "tank", "motor")] * 3
    examples = [Example(t, "", (Span(6, len(t) - 4, "asset"),)) for t in texts]
    iterations = []
    tagger = train_tagger(examples, lambda: iterations.append(1))
    assert iterations
    (entity,) = tagger.entities("check fan now")
    assert (entity.label, entity.text, entity.start, entity.end) == ("asset", "fan", 6, 9)


@pytest.mark.parametrize("text", ["", "   ", "🔥", "é", "a\u0301 ❄️\x00 ١٢٣", "x" * 5000])
def test_the_tagger_takes_any_text(text: str) -> None:
    tagger = train_tagger([Example("pump on", "", (Span(0, 4, "asset"),))], lambda: None)
    for entity in tagger.entities(text):
        assert entity.text == text[entity.start : entity.end]


@pytest.mark.parametrize(
    ("text", "span"), [("40Hz", (0, 2)), ("sshd[4532]:", (5, 9)), ("temp=21.5", (5, 9))]
)
def test_tokens_begin_and_end_where_spans_do(text: str, span: tuple[int, int]) -> None:
    words = tokens(text)
    assert span[0] in {word.start for word in words}
    assert span[1] in {word.end for word in words}
    assert len(features(words)) == len(words)


@given(st.lists(st.integers(0, 6), max_size=12))
def test_inside_follows_only_its_own_label(path: list[int]) -> None:
    found = legal(path)
    for before, tag in zip([0, *found], found, strict=False):
        assert tag == 0 or tag % 2 == 1 or before in (tag, tag - 1)
    assert [(tag + 1) // 2 for tag in found] == [(tag + 1) // 2 for tag in path]


def test_the_router_learns_routes_and_copes_with_one_or_none() -> None:
    both = [Example("pump leaks", "fault", ()), Example("fire", "alarm", ())]
    assert list(train_router(both).predict(["a leak at the pump", "fire!"])) == ["fault", "alarm"]
    assert list(train_router(both[:1]).predict(["anything"])) == ["fault"]
    assert train_router([Example("pump leaks", "", ())]) is None


def test_training_data_is_found_beside_the_file_or_named(tiny: Path, tmp_path: Path) -> None:
    manifest = load_bundle(tiny).manifest
    dev = write(tmp_path / "dev.jsonl", *DATA)
    with pytest.raises(NoTraining, match="--train"):
        training_messages(None, dev, manifest)
    beside = write(tmp_path / "train.jsonl", LEAK)
    assert training_messages(None, dev, manifest).source == str(beside)
    named = write(tmp_path / "mine.jsonl", LEAK, FIRE)
    assert len(training_messages(named, dev, manifest).examples) == 2
    with pytest.raises(NoTraining, match="training data itself"):
        training_messages(None, beside, manifest)
    with pytest.raises(ToolError, match="the file to score"):
        training_messages(dev, dev, manifest)


# --- the whole


def test_a_bundle_is_scored_beside_its_baseline(tiny: Path, tmp_path: Path, capsys) -> None:
    """stdout holds one JSON object; what to do next goes to stderr."""
    file = write(tmp_path / "dev.jsonl", *DATA)
    write(tmp_path / "train.jsonl", *DATA, *DATA)
    assert run(tiny, file, "--json") == 0
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert report["route_accuracy"] == report["entity_f1"] == report["exact"] == 1
    assert report["intervals"]["exact"] == [1, 1]
    assert report["baselines"]["training"]["messages"] == 10
    assert set(report["baselines"]["differences"]) == set(report["intervals"])
    assert report["out_of_scope"]["recall"] == 1
    assert report["latency"]["p95_ms"] >= report["latency"]["p50_ms"] > 0
    assert any("5 of the texts stand in" in note for note in report["notes"])
    assert "next: python -m tools" in shown.err
    old = "routes labels confusions messages bundle digest file threads calibration_error"
    assert set(old.split()) <= set(report)


def test_a_bundle_that_a_simple_model_beats_is_not_recommended(
    tiny: Path, tmp_path: Path, capsys
) -> None:
    texts = [(f"zig {i}", "reading") for i in range(30)] + [
        (f"zag {i}", "alarm") for i in range(30)
    ]
    lines = [line(text, route) for text, route in texts]
    file = write(tmp_path / "dev.jsonl", *lines)
    train = write(tmp_path / "train.jsonl", *lines)
    assert run(tiny, file) == 0
    shown = capsys.readouterr().out
    assert "a simple model does better: route accuracy" in shown
    assert f"next: python -m tools check-data {train} {file}\n" in shown
    (tmp_path / "away").mkdir()
    named = train.rename(tmp_path / "away" / "mine.jsonl")
    assert run(tiny, file, "--train", named) == 0
    assert f"next: python -m tools check-data {named} {file}\n" in capsys.readouterr().out


CASES = {
    "no routes": [line("pump leaking", None, (0, 4, "asset"))] * 2,
    "no entities": [line("temp ok", "reading"), line("fire", "alarm")],
    "nothing labelled": [line("hello there")],
    "unknown to the bundle": [line("pump x", "billing", (5, 6, "widget"))],
    "one message": [LEAK],
    "the same text twice": [LEAK, LEAK],
    "no letters": [line("🔥 ٣ \u202e\x00", "alarm", (0, 1, "fire"))],
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["joint", "routes", "labels"])
def test_odd_files_are_scored_and_shown(case: str, kind: str, tmp_path: Path, capsys) -> None:
    """With every kind of bundle, as tables, as JSON and as a page."""
    bundle = tiny_bundle(
        tmp_path / "b", {} if kind == "labels" else ROUTES, {} if kind == "routes" else LABELS
    )
    file = write(tmp_path / "odd.jsonl", *CASES[case])
    train = write(tmp_path / "other.jsonl", *CASES[case], *DATA)
    assert run(bundle, file, "--train", train, "--html", tmp_path / "page.html") == 0
    assert run(bundle, file, "--no-baselines", "--json") == 0
    out = capsys.readouterr().out
    assert json.loads(out[out.index("\n{\n") :])["messages"] == len(CASES[case])
    svgs = re.findall(r"<svg.*?</svg>", (tmp_path / "page.html").read_text("utf-8"), re.DOTALL)
    for svg in svgs:
        ET.fromstring(svg)


def test_strangers_are_named(tiny: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "f.jsonl", *CASES["unknown to the bundle"])
    notes = evaluate(Job(tiny, file, baselines=False)).notes
    assert notes == [
        "routes the bundle does not know: billing (messages: 1)",
        "labels the bundle does not know: widget (entities: 1)",
    ]


def test_evaluation_needs_no_torch() -> None:
    """Nor transformers nor onnx: all the modules of the two commands, in a fresh interpreter."""
    code = (
        "import sys, tools.evaluation.html, tools.evaluation.comparison, tools.evaluation.tagger,"
        "tools.evaluation.router, tools.commands.evaluate, tools.commands.compare;"
        "print({'torch', 'transformers', 'onnx'} & set(sys.modules) or 'none')"
    )
    root = Path(__file__).parents[2]
    shown = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=root)
    assert shown.strip() == "none"


# --- the page


class Page(HTMLParser):
    """Collects what a page loads, and checks that tags nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_by_itself_and_hostile_text_stays_text(tiny: Path, tmp_path: Path) -> None:
    hostile = '<script>alert(1)</script> & "pump" \'</mark>'
    file = write(tmp_path / "a&b.jsonl", line(hostile, "<b>bold", (0, 8, "<i>label")), LEAK)
    write(tmp_path / "train.jsonl", *DATA)
    reader = Page()
    text = page(evaluate(Job(tiny, file)))
    reader.feed(text)
    assert not reader.open
    assert "script" not in reader.tags
    assert not {"b", "i"} & reader.tags or "&lt;b&gt;bold" in text
    assert not {"src", "href", "onload"} & reader.attributes
    assert "http" not in text
    assert "url(" not in text
    assert "&lt;script&gt;" in text


def test_marks_show_what_is_missed_and_what_is_extra() -> None:
    shown = marked("pump <2> leaks", {(0, 8, "asset")}, {(0, 8, "asset")}, "missed")
    assert shown == '<mark class="missed">pump &lt;2&gt;<i>asset</i></mark> leaks'
    assert marked("a\x00b", set(), set(), "extra") == "a␀b"
    assert marked("y" * 5000, set(), set(), "extra").endswith("y…")


def test_the_worst_errors_are_the_sure_ones_and_right_messages_are_left_out() -> None:
    example = Example(TEXT, "fault", ())
    answers = [Route("alarm", 0.4), Route("fault", 0.9), Route("alarm", 0.8)]
    rows = [(example, Prediction(route, ())) for route in answers]
    assert [number for number, _ in worst(rows)] == [3, 1]


def test_the_matrix_keeps_the_most_confused_of_many() -> None:
    """However often the others were right."""

    def said(gold: str, found: str) -> tuple[Example, Prediction]:
        return Example("x", gold, ()), Prediction(Route(found, 1.0), ())

    often = [said(f"r{i:02}", f"r{i:02}") for i in range(38)] * 5
    names, counts, left_out = confusion_matrix([*often, said("r39", "r38")])
    assert len(names) == 30
    assert left_out == 10
    assert counts[names.index("r39"), names.index("r38")] == 1


def test_an_abstaining_bundle_is_judged_as_it_is_configured(tiny: Path, tmp_path: Path) -> None:
    """With a threshold no message reaches, everything is out of scope."""
    manifest = json.loads((tiny / "bundle.json").read_text())
    write_manifest(tiny, {**manifest, "calibration": {"abstain_below": 1.0, "temperature": 50.0}})
    found = evaluate(Job(tiny, write(tmp_path / "f.jsonl", *DATA), baselines=False)).as_dict()
    scope = found["out_of_scope"]
    assert (scope["recall"], scope["in_scope_accuracy"]) == (1, 0)
    assert scope["in_scope_accuracy_without_abstention"] == 1
    assert found["route_accuracy"] == pytest.approx(1 / 5)
