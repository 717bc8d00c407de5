"""What the model answers over time: rates, confidence, drift."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.answers import (
    LEAST_DRIFT_MESSAGES,
    WINDOW_MESSAGES,
    Answers,
    population_stability,
    reference_mix,
)
from edge_agent.types import Prediction, Route

MIXES = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 1000), min_size=1)


def answered(label: str = "fault", confidence: float = 0.9, **more: int | None) -> Prediction:
    abstained = label == "other"
    return Prediction(Route(label, confidence, abstained=abstained), (), **more)  # type: ignore[arg-type]


def test_rates_are_of_the_latest_messages_of_one_bundle() -> None:
    """What an earlier bundle answered, or messages long ago, do not blur the rates."""
    answers = Answers()
    for _ in range(WINDOW_MESSAGES):
        answers.add(answered("other", tokens=10, unknown_tokens=10), "new")
    for _ in range(50):
        answers.add(answered("other", tokens=5, unknown_tokens=5), "old")
    for i in range(WINDOW_MESSAGES - 50):
        answers.add(
            answered("other" if i % 10 == 0 else "fault", tokens=8, unknown_tokens=2), "new"
        )
    data = answers.data("new", {})
    assert data["window"] == WINDOW_MESSAGES - 50
    assert data["abstention_rate"] == pytest.approx(0.1, abs=0.001)
    assert data["unknown_token_rate"] == 0.25
    assert data["abstained"] == WINDOW_MESSAGES + 50 + math.ceil((WINDOW_MESSAGES - 50) / 10)


def test_no_rates_of_nothing() -> None:
    """Before the first message, and for tokenizers that can spell everything."""
    answers = Answers()
    assert answers.data("b", {"fault": 5}).keys() == {
        *("abstained", "tokens", "unknown_tokens", "confidence", "window")
    }
    answers.add(answered(tokens=7), "b")
    assert "unknown_token_rate" not in answers.data("b", {})
    assert answers.data("b", {})["tokens"] == 7


def test_the_confidence_histogram_is_cumulative() -> None:
    """A value equal to a bound counts up to it, as Prometheus has it."""
    answers = Answers()
    for confidence in (0.05, 0.5, 0.51, 1.0):
        answers.add(answered(confidence=confidence), "b")
    answers.add(Prediction(None, ()), "b")
    data = answers.data("b", {})["confidence"]
    counts = dict(zip(data["le"], data["counts"], strict=False))
    assert (counts[0.1], counts[0.5], counts[0.6], data["counts"][-1]) == (1, 2, 3, 4)
    assert data["sum"] == pytest.approx(2.06)


def test_drift_needs_a_reference_and_enough_messages() -> None:
    """Chance is not reported as drift."""
    answers, reference = Answers(), {"fault": 50, "alarm": 50}
    for i in range(LEAST_DRIFT_MESSAGES):
        assert "drift_psi" not in answers.data("b", reference)
        answers.add(answered("alarm" if i % 2 else "fault"), "b")
    assert answers.data("b", reference)["drift_psi"] == pytest.approx(0, abs=0.01)
    assert "drift_psi" not in answers.data("b", {})
    for _ in range(WINDOW_MESSAGES):
        answers.add(answered("alarm"), "b")
    assert answers.data("b", reference)["drift_psi"] > 0.25


def test_the_index_by_hand() -> None:
    """Half a message is added to each count: 80.5/101 and 20.5/101 against 50.5/101 each."""
    expected = (80.5 - 50.5) / 101 * math.log(80.5 / 50.5)
    expected += (20.5 - 50.5) / 101 * math.log(20.5 / 50.5)
    found = population_stability({"a": 80, "b": 20}, {"a": 50, "b": 50})
    assert found == pytest.approx(expected)


@given(MIXES, MIXES)
def test_the_index_is_a_distance(one: dict[str, int], other: dict[str, int]) -> None:
    """Never below 0, the same both ways, 0 with itself; a label missing on one side is finite."""
    index = population_stability(one, other)
    assert -1e-12 <= index < math.inf
    assert index == pytest.approx(population_stability(other, one))
    assert population_stability(one, one) == pytest.approx(0)


@pytest.mark.parametrize(
    ("provenance", "mix"),
    [
        ({}, {}),
        ({"dev": {"messages": 311}}, {}),
        ({"dev": "unknown"}, {}),
        ({"dev": {"routes": {"fault": 3, "alarm": 0, "x": "?"}}}, {"fault": 3}),
    ],
)
def test_the_reference_of_a_bundle(provenance: dict[str, object], mix: dict[str, int]) -> None:
    """Absent in older bundles, which is no error."""
    assert reference_mix(provenance) == mix
