"""Golden messages: decisions equal, confidences nearly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.bundle import Bundle, load_bundle
from edge_agent.errors import BundleError, InferenceFailed
from edge_agent.golden import check_golden
from edge_agent.specialists import Specialist, load_specialist
from edge_agent.types import Prediction
from tools.bundling.pack import as_golden

TEXTS = ["pump 7 is leaking", "gas alarm in hall", "qwertz"]


class Said:
    """Answers what it was given."""

    def __init__(self, inner: Specialist, prediction: Prediction | Exception) -> None:
        self.card, self.reference = inner.card, inner.reference
        self.prediction = prediction

    def predict(self, texts: list[str]) -> list[Prediction]:
        if isinstance(self.prediction, Exception):
            raise self.prediction
        return [self.prediction for _ in texts]


@pytest.fixture
def bundle(tiny: Path) -> Bundle:
    return load_bundle(tiny)


@pytest.fixture
def specialist(bundle: Bundle) -> Specialist:
    return load_specialist(bundle, 1)


def with_golden(bundle: Bundle, *lines: Any) -> Bundle:
    raw = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    return replace(bundle, contents={**bundle.contents, "golden.jsonl": raw.encode()})


def test_its_own_answers_pass(bundle: Bundle, specialist: Specialist) -> None:
    """And are counted; blank lines are nothing."""
    answers = [as_golden(t, p) for t, p in zip(TEXTS, specialist.predict(TEXTS), strict=True)]
    assert check_golden(with_golden(bundle, *answers, " "), specialist) == 3
    assert check_golden(bundle, specialist) == 0


@pytest.mark.parametrize(
    ("off", "sound"), [(0.04, True), (-0.04, True), (0.06, False), (-0.06, False)]
)
def test_confidences_have_a_tolerance(
    bundle: Bundle, specialist: Specialist, off: float, sound: bool
) -> None:
    """0.05, both ways; decisions have none."""
    (prediction,) = specialist.predict(TEXTS[:1])
    assert prediction.route is not None
    golden = as_golden(TEXTS[0], prediction)
    near = replace(prediction.route, confidence=prediction.route.confidence + off)
    said = Said(specialist, replace(prediction, route=near))
    if sound:
        assert check_golden(with_golden(bundle, golden), said) == 1
        return
    with pytest.raises(BundleError, match="confidence"):
        check_golden(with_golden(bundle, golden), said)


def test_another_abstention_or_span_is_another_decision(
    bundle: Bundle, specialist: Specialist
) -> None:
    """However small."""
    (prediction,) = specialist.predict(TEXTS[:1])
    assert prediction.route is not None
    golden = with_golden(bundle, as_golden(TEXTS[0], prediction))
    shorter = replace(prediction.entities[0], end=prediction.entities[0].end - 1)
    for other in (
        replace(prediction, route=replace(prediction.route, abstained=True)),
        replace(prediction, route=None),
        replace(prediction, entities=(shorter, *prediction.entities[1:])),
        replace(prediction, entities=prediction.entities[1:]),
    ):
        with pytest.raises(BundleError, match="does not answer as"):
            check_golden(golden, Said(specialist, other))


def test_what_cannot_be_answered(bundle: Bundle, specialist: Specialist) -> None:
    """Lines that are none, and a model that fails on one."""
    half = '{"text": "pump \\ud83d", "route": null, "entities": []}'
    lines = ("nonsense", '{"text": "pump"}', "[]", '{"text": 3, "route": null}', half)
    for line in (*lines, "[" * 100_000):
        with pytest.raises(BundleError, match=r"golden.jsonl cannot be read"):
            check_golden(with_golden(bundle, line), specialist)
    golden = with_golden(bundle, as_golden("pump", specialist.predict(["pump"])[0]))
    with pytest.raises(BundleError, match="cannot") as caught:
        check_golden(golden, Said(specialist, InferenceFailed("cannot", "try")))
    assert caught.value.fix == "try"


def test_a_bug_met_by_the_model_is_not_put_on_the_file(
    bundle: Bundle, specialist: Specialist
) -> None:
    """The lines are right: who copied the bundle again would copy it in vain."""
    golden = with_golden(bundle, as_golden("pump", specialist.predict(["pump"])[0]))
    for bug in (ValueError("axis"), KeyError("axis"), TypeError("axis")):
        with pytest.raises(type(bug), match="axis"):
            check_golden(golden, Said(specialist, bug))


def test_only_a_few_differences_are_shown(bundle: Bundle, specialist: Specialist) -> None:
    """Five, and how many more."""
    (prediction,) = specialist.predict(["pump"])
    lines = [as_golden("pump", replace(prediction, route=None))] * 7
    with pytest.raises(BundleError, match="and 2 more") as caught:
        check_golden(with_golden(bundle, *lines), specialist)
    assert caught.value.problem.count("\n") == 6
