"""Champion against challenger: the tests, the verdicts, the words."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_bundle import LABELS, ROUTES, tiny_bundle
from tests.support.tiny_generator import tiny_generator
from tools.commands import compare as command
from tools.errors import ToolError
from tools.evaluation.comparison import PairedTest, compare, mcnemar
from tools.evaluation.report import verdict

FORGETFUL = {**ROUTES, "fault": ("fault",)}
BLIND = {**LABELS, "asset": ("valve",)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Twenty leaking pumps and a temperature."""
    spans = [
        {"start": 0, "end": 4, "label": "asset"},
        {"start": 5, "end": 12, "label": "symptom"},
    ]
    leak = {"text": "pump leaking", "route": "fault", "entities": spans}
    path = tmp_path / "dev.jsonl"
    quiet = {"text": "temp ok", "route": "reading", "entities": []}
    path.write_text("\n".join(json.dumps(item) for item in [*[leak] * 20, quiet]))
    return path


def run(*arguments: object) -> int:
    parser = ArgumentParser()
    command.arguments(parser)
    return command.run(parser.parse_args([str(item) for item in arguments]))


def test_mcnemar_looks_only_at_messages_that_one_of_the_two_gets_right() -> None:
    """Five flips, all one way: the chance of that is 2 / 2^5."""
    before = np.array([False] * 5 + [True] * 95)
    assert mcnemar(before, np.ones(100, bool)) == pytest.approx(0.0625)
    assert mcnemar(before, before) == 1
    assert mcnemar(np.array([True, False]), np.array([False, True])) == 1


def test_a_bundle_is_no_better_than_itself(tiny: Path, file: Path) -> None:
    found = compare(tiny, tiny, file)
    assert [test.score for test in found.tests] == ["route_accuracy", "entity_f1", "exact"]
    assert {(test.difference, test.interval, test.p) for test in found.tests} == {(0, (0, 0), 1)}
    assert not found.flips
    assert found.notes == ["both are the same bundle"]


def test_a_better_challenger_is_called_better_in_each_measure(
    tiny: Path, file: Path, tmp_path: Path
) -> None:
    weak = tiny_bundle(tmp_path / "weak", FORGETFUL, BLIND)
    found = compare(weak, tiny, file)
    assert {test.score: test.verdict for test in found.tests} == dict.fromkeys(
        ("route_accuracy", "entity_f1", "exact"), "better"
    )
    assert all(test.p < 0.001 and test.interval[0] > 0 for test in found.tests)
    routes = [flip for flip in found.flips if flip.of == "route"]
    assert len(routes) == 20
    assert all(flip.fixed for flip in routes)
    assert (routes[0].message, routes[0].gold, routes[0].challenger) == (1, "fault", "fault")
    back = compare(tiny, weak, file)
    assert {test.verdict for test in back.tests} == {"worse"}
    assert back.worse


def test_verdicts_are_plain_words() -> None:
    test = PairedTest("entity_f1", 0.7, 0.8, (0.05, 0.15), 0.0004, "paired bootstrap")
    assert verdict(test) == "entity F1: challenger is better (p = 0.0004)"
    test = PairedTest("exact", 0.8, 0.7, (-0.2, 0.01), 0.3, "exact McNemar")
    assert verdict(test) == "exact: no difference shown (p = 0.3)"


def test_different_route_sets_are_compared_and_named(
    tiny: Path, file: Path, tmp_path: Path
) -> None:
    routes = {"fault": ("leaking",), "weather": ("rain",), "other": ()}
    found = compare(tiny, tiny_bundle(tmp_path / "b", routes), file)
    assert found.tests[0].challenger == pytest.approx(20 / 21)
    said = "\n".join(found.notes)
    assert "only the champion has alarm, command, reading" in said
    assert "only the challenger has weather" in said
    assert "challenger: routes the bundle does not know: reading (messages: 1)" in said


def test_a_bundle_without_routes_is_compared_by_its_entities(
    tiny: Path, file: Path, tmp_path: Path
) -> None:
    found = compare(tiny, tiny_bundle(tmp_path / "b", {}, LABELS), file)
    assert [test.score for test in found.tests] == ["entity_f1"]
    assert not found.flips
    assert "the challenger has no routes: neither they nor exact" in found.notes[0]


def test_a_bundle_without_labels_is_compared_by_its_routes(
    tiny: Path, file: Path, tmp_path: Path
) -> None:
    weak = tiny_bundle(tmp_path / "b", FORGETFUL, {})
    found = compare(tiny, weak, file)
    assert [test.score for test in found.tests] == ["route_accuracy"]
    assert {flip.of for flip in found.flips} == {"route"}
    both = compare(weak, tiny_bundle(tmp_path / "c", ROUTES, {}), file)
    assert [test.score for test in both.tests] == ["route_accuracy", "exact"]
    assert both.better


def test_bundles_that_answer_nothing_alike_have_no_test(file: Path, tmp_path: Path) -> None:
    routes = tiny_bundle(tmp_path / "b", ROUTES, {})
    assert compare(routes, tiny_bundle(tmp_path / "c", {}, LABELS), file).tests == []


@pytest.mark.parametrize(("routes", "labels"), [(ROUTES, {}), ({}, LABELS)])
def test_a_challenger_that_lacks_a_head_is_not_packed_however_good(
    file: Path, tmp_path: Path, capsys, routes, labels
) -> None:
    champion = tiny_bundle(tmp_path / "weak", FORGETFUL, BLIND)
    challenger = tiny_bundle(tmp_path / "b", routes, labels)
    assert run(champion, challenger, file) == 0
    shown = capsys.readouterr().out.replace("\n", " ")
    assert "challenger is better" in shown
    assert "tools pack" not in shown
    assert (
        f"next: keep the champion: the challenger has no {'routes' if labels else 'label'}" in shown
    )
    assert run(challenger, champion, file) == 0
    assert "keep the champion" not in capsys.readouterr().out


def test_without_a_difference_nothing_is_packed(
    tiny: Path, file: Path, tmp_path: Path, capsys
) -> None:
    assert run(tiny, tiny, file) == 0
    assert "next: nothing to do: both are the same bundle\n" in capsys.readouterr().out
    twin = tiny_bundle(tmp_path / "twin", max_tokens=16)
    assert run(tiny, twin, file) == 0
    shown = capsys.readouterr().out
    assert "next: no difference shown: label more test messages" in shown
    assert f"then: python -m tools compare {tiny} {twin} {file}\n" in shown


def test_the_better_one_is_packed_next_and_the_worse_one_looked_at(
    tiny: Path, file: Path, tmp_path: Path, capsys
) -> None:
    """Tables and JSON say the same; only the object goes to stdout."""
    weak = tiny_bundle(tmp_path / "weak", FORGETFUL, BLIND)
    assert run(weak, tiny, file, "--json") == 0
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert report["tests"]["exact"]["verdict"] == "better"
    assert len(report["flips"]) == 40
    assert f"next: python -m tools pack {tiny}" in shown.err
    assert run(tiny, weak, file) == 0
    shown = capsys.readouterr().out
    assert "route accuracy: challenger is worse" in shown
    assert "route: 20 messages broken" in shown
    assert f"next: python -m tools evaluate {weak}" in shown


def test_a_bundle_that_writes_is_told_how_to_be_scored(file: Path, tmp_path: Path) -> None:
    """Whichever of the two it is."""
    marks, writes = tiny_bundle(tmp_path / "m"), tiny_generator(tmp_path / "w")
    for pair in ((marks, writes), (writes, marks)):
        with pytest.raises(ToolError, match="writes; those that sort and mark") as caught:
            run(*pair, file)
        assert caught.value.fix.endswith(f"python -m tools evaluate {writes} {file}")
