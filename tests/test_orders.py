"""Work orders out of annotated messages: the rules, and the pairs that a generator learns from."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from edge_agent.bundle import load_bundle
from edge_agent.inference.output_schema import narrow
from edge_agent.inference.spans import find_span
from tests.support.agent_process import ROOT
from tools.corpora import own_messages
from tools.corpus.annotation import parse_line, read_messages
from tools.orders.__main__ import main
from tools.orders.corpus import HERE, ROUTES, held_out, pair_of, passes
from tools.orders.marked import orders_of
from tools.orders.phrases import furnished
from tools.orders.rules import FIELDS, priority, work_order
from tools.writing.pairs import read_pairs
from tools.writing.task import read_task


def order(line: str) -> dict[str, str | None]:
    return work_order(parse_line(line))


def test_fields_are_the_first_of_their_kind_in_reading_order() -> None:
    line = "fault: [rod|component] of [pump 1|asset] [bent|symptom], [seal|component] [wet|symptom]"
    found = {"asset": "pump 1", "component": "rod", "problem": "bent", "action": None, "due": None}
    assert order(line) == {**found, "priority": "normal"}


def test_what_is_no_run_of_whole_words_is_passed_over() -> None:
    """The grammar could not write it."""
    assert order("fault: PT[10|asset]4 and [P-7|asset] fail")["asset"] == "P-7"


@pytest.mark.parametrize(
    ("line", "due"),
    [
        ("maintenance: [grease|action] it [before friday|time]", "before friday"),
        ("maintenance: [inspection|action] due [12 October|time]", "12 October"),
        ('maintenance: {"todo":"[oil|action]","due":"[2025-09-01|time]"}', "2025-09-01"),
        ("maintenance: [recheck|action] [in 2 years|time]", "in 2 years"),
        ("maintenance: divers to [inspect|action] [Tuesday|time]", "Tuesday"),
        ("maintenance: [inspected|action] [Tuesday|time]", None),
        ("maintenance: [greased|action] [every monday|time]", None),
        ("maintenance: [14:05:11|time] [rotate|action] logs", None),
        ("fault: [pump|asset] [leaks|symptom] [since monday|time]", None),
        ("fault: [fan|asset] [loud|symptom] [yesterday|time], stop it [by 14:00|time]", "by 14:00"),
        ("fault: [fan|asset] [tripped|symptom] [Tuesday|time]", None),
    ],
)
def test_only_a_time_that_lies_ahead_is_a_due(line: str, due: str | None) -> None:
    """A log's own time, a past one and an interval are none."""
    assert order(line)["due"] == due


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("grease the fan", "normal"),
        ("ASAP grease the fan", "urgent"),
        ("not urgent: grease the fan", "low"),
        ("smoke from M-5", "urgent"),
        ("smoke detector 4 dirty", "normal"),
        ("pump tripped", "high"),
        ("pump tripped, come right away", "urgent"),
        ("P1 seal lost", "urgent"),
        ("scrap P12", "normal"),
    ],
)
def test_priority_is_by_the_wording(text: str, level: str) -> None:
    assert priority(text) == level


def test_the_messages_of_orders_are_sound_and_stand_nowhere_else() -> None:
    messages = read_messages(HERE / "messages")
    assert len(messages) > 150
    assert not {e.text.lower() for e in messages} & {e.text.lower() for e in own_messages()}
    dues = [work_order(message)["due"] for message in messages]
    assert sum(due is not None for due in dues) > 90


def test_what_an_encoder_finds_goes_through_the_same_rules() -> None:
    """Its entities, not those of the corpus."""
    text = "please replace the bearing of pump P-101 before friday, urgent"
    bundle = load_bundle(ROOT / "models/gateway-default")
    (output,) = orders_of(bundle, [parse_line(f"maintenance: {text}")])
    assert output.value == {
        "asset": "pump P-101", "component": "bearing", "problem": None, "action": "replace",
        "due": "before friday", "priority": "urgent",
    }  # fmt: skip


def test_what_is_held_out_is_never_learnt_from() -> None:
    """Neither as it is nor by another route."""
    ours, others, dev = held_out()
    assert {example.route for example in dev} == set(ROUTES)
    assert len(dev) > 600
    assert not {e.text for e in dev} & {e.text for e in [*ours, *others]}


def test_every_pass_shows_other_forms_and_the_same_seed_the_same_ones() -> None:
    ours, others, _ = held_out()
    first, second = passes(ours[:300], others[:50], 2, seed=7)
    pairs = list(first)
    assert len(pairs) == len(first) == 310
    assert pairs == list(passes(ours[:300], others[:50], 1, seed=7)[0])
    assert sum(one == two for one, two in zip(pairs, second, strict=True)) < 0.5 * 310


def test_every_answer_is_made_of_spans_of_its_message() -> None:
    ours, others, dev = held_out()
    for pair in [*islice(passes(ours, others, 1, 3)[0], 1500), *map(pair_of, dev)]:
        value = json.loads(pair.answer)
        assert list(value) == [*FIELDS, "due", "priority"]
        for name in (*FIELDS, "due"):
            assert value[name] is None or find_span(pair.text, value[name]) is not None


def test_a_furnished_message_has_a_deadline_or_an_urgency_of_its_own() -> None:
    plain = parse_line("maintenance: [grease|action] the [fan 3|asset].")
    found = [work_order(furnished(plain, Random(i))) for i in range(60)]
    assert all(one["asset"] == "fan 3" for one in found)
    assert all(one["due"] or one["priority"] != "normal" for one in found)
    assert {one["priority"] for one in found} == {"low", "normal", "high", "urgent"}


def test_the_orders_can_be_had_as_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To evaluate with, or to add lines to."""
    assert main([str(tmp_path / "orders")]) == 0
    assert "pairs into" in capsys.readouterr().out
    schema = narrow(read_task(tmp_path / "orders" / "task.json").output_schema)
    found = read_pairs(tmp_path / "orders" / "dev.jsonl", schema)
    assert found == [pair_of(example) for example in held_out()[2]]
