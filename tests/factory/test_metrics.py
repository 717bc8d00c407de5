"""Scores and data checks. Needs neither torch nor a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent.types import Alternative, Entity, Prediction, Route
from tools.__main__ import main
from tools.bundling.pack import GOLDEN_MESSAGES, golden_choice
from tools.corpus.annotation import Example, Span
from tools.data import topic_name
from tools.evaluation.metrics import Heads, expected_calibration_error, score

PUMP = Entity("asset", "pump", 0, 4, 0.9)
LEAKS = Entity("symptom", "leaks", 5, 10, 0.9)


def said(label: str, *entities: Entity, abstained: bool = False) -> Prediction:
    best = Alternative(label, 0.9)
    route = Route("other" if abstained else label, 0.9, abstained, (best,) if abstained else ())
    return Prediction(route, entities)


def wanted(route: str, *spans: Span) -> Example:
    return Example("pump leaks", route, spans)


def test_an_abstention_is_right_only_on_other() -> None:
    examples = [wanted("other"), wanted("fault")]
    scores = score(examples, [said("fault", abstained=True), said("fault", abstained=True)])
    assert scores.route_accuracy == 0.5
    assert scores.confusions == {"fault > other": 1}


def test_an_abstention_carries_the_out_of_scope_name_of_its_bundle() -> None:
    abstained = Prediction(Route("oos", 0.3, True, (Alternative("fault", 0.3),)), ())
    scores = score([wanted("oos"), wanted("other")], [abstained, abstained])
    assert scores.route_accuracy == 0.5
    assert scores.confusions == {"other > oos": 1}


def test_confidence_is_judged_by_the_candidate_it_belongs_to() -> None:
    """An abstention at 0.9 on what is a fault: the best guess was right, so 0.1 is the gap."""
    assert score([wanted("fault")], [said("fault", abstained=True)]).calibration_error == (
        pytest.approx(0.1)
    )


def test_entities_count_only_with_exact_span_and_label() -> None:
    example = wanted("fault", Span(0, 4, "asset"), Span(5, 9, "symptom"))
    scores = score([example], [said("fault", PUMP, LEAKS)])
    assert scores.entity_f1 == 0.5
    assert scores.labels["asset"].f1 == 1
    assert scores.labels["symptom"].f1 == 0
    assert scores.exact == 0


def test_exact_asks_for_the_route_and_every_entity() -> None:
    example = wanted("fault", Span(0, 4, "asset"), Span(5, 10, "symptom"))
    answers = [said("fault", PUMP, LEAKS), said("alarm", PUMP, LEAKS), said("fault", PUMP)]
    assert score([example] * 3, answers).exact == pytest.approx(1 / 3)


def test_a_message_without_a_route_of_its_own_says_nothing_about_routes() -> None:
    example = wanted("", Span(0, 4, "asset"))
    scores = score([example, wanted("fault")], [said("alarm", PUMP), said("alarm")])
    assert scores.route_accuracy == 0
    assert scores.exact == 0.5


def test_heads_a_bundle_lacks_are_not_scored() -> None:
    scores = score([wanted("", Span(0, 4, "asset"))], [Prediction(None, (PUMP,))])
    assert scores.route_accuracy is None
    assert scores.exact == 1


def test_a_bundle_with_routes_alone_is_judged_by_its_routes_alone() -> None:
    """A message without a route says nothing of such a bundle, in exact neither."""
    examples = [wanted(name, Span(0, 4, "asset")) for name in ("fault", "alarm", "")]
    scores = score(examples, [said("fault")] * 3, Heads(labels=False))
    assert scores.entity_f1 is scores.entity_precision is scores.entity_recall is None
    assert not scores.labels
    assert scores.exact == scores.route_accuracy == 0.5
    assert score(examples[2:], [said("fault")], Heads(labels=False)).exact is None


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    assert expected_calibration_error([0.8] * 10, [True] * 8 + [False] * 2) == pytest.approx(0)
    assert expected_calibration_error([0.9] * 10, [True] * 4 + [False] * 6) == pytest.approx(0.5)


def test_golden_messages_cover_every_route_and_prefer_sure_answers() -> None:
    unsure = Prediction(Route("fault", 0.4, False, (Alternative("alarm", 0.35),)), ())
    pairs = [
        (Example(f"{route} {i}", route, ()), said(route)) for route in "abc" for i in range(20)
    ]
    chosen = golden_choice([*pairs, *((example, unsure) for example, _ in pairs)])
    assert len(chosen) == GOLDEN_MESSAGES
    assert {example.route for example, _ in chosen} == set("abc")
    assert all(prediction is not unsure for _, prediction in chosen)


@pytest.mark.parametrize(
    ("name", "fit"),
    [("Plugged / choked", "Plugged_choked"), ("a+b#c", "a_b_c"), ("fault", "fault")],
)
def test_names_that_cannot_stand_in_a_topic_are_made_fit(name: str, fit: str) -> None:
    assert topic_name(name) == fit


def test_a_missing_file_ends_with_a_message_and_a_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b").mkdir()
    assert main(["evaluate", str(tmp_path / "b"), str(tmp_path / "none.jsonl")]) == 2
    error = capsys.readouterr().err
    assert "none.jsonl: no such file" in error
    assert "fix:" in error


def test_the_shipped_bundle_is_evaluated_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "few.jsonl"
    line = {"text": "pump 2 is leaking", "route": "fault", "entities": []}
    file.write_text(json.dumps(line) + "\n", encoding="utf-8")
    shipped = Path(__file__).parents[2] / "models" / "gateway-default"
    assert main(["evaluate", str(shipped), str(file), "--json", "--no-baselines"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["messages"] == 1
    assert {"route_accuracy", "entity_f1", "exact", "calibration_error"} <= set(report)
