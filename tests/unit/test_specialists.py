"""Specialists on the tiny and on the shipped bundle: batches equal singles, spans are honest."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.bundle import load_bundle
from edge_agent.errors import InferenceFailed
from edge_agent.specialists import (
    EncoderSpecialist,
    default_threads,
    load_specialist,
)
from edge_agent.types import Prediction
from tests.support.tiny_bundle import LABELS, ROUTES, tiny_bundle

SHIPPED = Path(__file__).parents[2] / "models" / "gateway-default"
TOLERANCE = 0.02
"""Dynamic quantisation of activations looks at a whole batch."""

TEXTS = [
    "pump P-101 is leaking since 06:40",
    "temp 21.5 degC ok",
    "device=ahu-3 status=open code=E42 addr=10.0.0.7",
    "fire alarm in hall 3, call Maria today",
    "open valve 12",
    "what is the level of tank 7 ?",
    "x",
    "Nov 21 05:40:01 gw kernel: usb 1-1: new high-speed USB device number 4 using xhci_hcd " * 3,
    "the pump in hall 2 is noisy and broken, bearing worn, please replace it tomorrow morning",
]


@pytest.fixture(scope="module", params=["tiny", "shipped"])
def specialist(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> EncoderSpecialist:
    """Each promise holds for both."""
    if request.param == "shipped":
        return load_specialist(load_bundle(SHIPPED), 1)
    return load_specialist(load_bundle(tiny_bundle(tmp_path_factory.mktemp("t") / "b")), 1)


@pytest.fixture(scope="module")
def tiny_specialist(tmp_path_factory: pytest.TempPathFactory) -> EncoderSpecialist:
    """The obvious one."""
    return load_specialist(load_bundle(tiny_bundle(tmp_path_factory.mktemp("t") / "b")), 1)


def assert_equal_decisions(one: Prediction, other: Prediction) -> None:
    """The same route and spans; confidences alike."""
    assert one.route is not None
    assert other.route is not None
    assert (one.route.label, one.route.abstained) == (other.route.label, other.route.abstained)
    assert one.route.confidence == pytest.approx(other.route.confidence, abs=TOLERANCE)
    assert one.truncated == other.truncated
    found, expected = (
        [(e.label, e.text, e.start, e.end) for e in p.entities] for p in (one, other)
    )
    assert found == expected
    for a, b in zip(one.entities, other.entities, strict=True):
        assert a.confidence == pytest.approx(b.confidence, abs=TOLERANCE)


@pytest.mark.parametrize("seed", range(3))
def test_a_padded_batch_equals_singles(specialist: EncoderSpecialist, seed: int) -> None:
    """Company, its order and the padding change no decision; results stand in the order asked."""
    texts = random.Random(seed).sample(TEXTS, len(TEXTS))
    singles = [specialist.predict([text])[0] for text in texts]
    for one, other in zip(specialist.predict(texts), singles, strict=True):
        assert_equal_decisions(one, other)


def assert_honest(specialist: EncoderSpecialist, text: str) -> Prediction:
    """Every entity is the text at its place; none overlaps another."""
    (prediction,) = specialist.predict([text])
    reached = 0
    for entity in prediction.entities:
        assert text[entity.start : entity.end] == entity.text
        assert entity.text == entity.text.strip() != ""
        assert entity.start >= reached
        assert 0 <= entity.confidence <= 1
        reached = entity.end
    return prediction


PIECES = st.sampled_from(
    (
        *("pump P-101", "leaking", "21.5 °C", "10.0.0.7", "hall" * 60, " "),
        *("🔥", "😀🏽", "é", "\u0301", "\u200d", "ﬁre", "İ", "ß", "温度"),
        *("\x00", "\x07", "\u202e", "\r\n", "\u2028", "\ufeff"),
    )
)


@settings(
    deadline=None,
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=st.lists(PIECES | st.text(max_size=8), max_size=12).map("".join))
def test_entities_are_the_text_at_their_place(specialist: EncoderSpecialist, text: str) -> None:
    """For any Unicode: emoji, combining marks, control characters, characters that grow lower."""
    assert_honest(specialist, text)


@pytest.mark.parametrize("text", ["pump " * 5000, "p" * 200_000, "🔥" * 9000, "pump\n" * 600])
def test_a_text_beyond_the_window_is_flagged(specialist: EncoderSpecialist, text: str) -> None:
    """It is answered from its beginning."""
    assert assert_honest(specialist, text).truncated
    assert not assert_honest(specialist, text[:5]).truncated


def test_no_texts_no_predictions(specialist: EncoderSpecialist) -> None:
    """An empty batch is none."""
    assert specialist.predict([]) == []


def test_answers_that_are_no_numbers_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message gets a dead letter: no JSON can carry them."""
    monkeypatch.setattr("tests.support.tiny_bundle.VOTE", float("nan"))
    specialist = load_specialist(load_bundle(tiny_bundle(tmp_path)), threads=1)
    with pytest.raises(InferenceFailed, match="not finite"):
        specialist.predict(["pump leaking"])


def test_says_what_the_tiny_model_can_be_seen_to_know(tiny_specialist: EncoderSpecialist) -> None:
    """By eye, from its table of words."""
    (prediction,) = tiny_specialist.predict(["the pump 7 is leaking today"])
    assert prediction.route is not None
    assert prediction.route.label == "fault"
    assert [(e.label, e.text) for e in prediction.entities] == [
        ("asset", "pump 7"),
        ("symptom", "leaking"),
        ("time", "today"),
    ]


def test_the_shipped_model_does_the_main_job() -> None:
    """The message of the first screen."""
    text = "pump P-101 is leaking since 06:40"
    (prediction,) = load_specialist(load_bundle(SHIPPED), 1).predict([text])
    assert prediction.route is not None
    assert prediction.route.label == "fault"
    found = {(e.label, e.text, e.start, e.end) for e in prediction.entities}
    assert found >= {
        ("asset", "pump P-101", 0, 10),
        ("symptom", "leaking", 14, 21),
        ("time", "since 06:40", 22, 33),
    }


def test_a_bundle_may_have_only_routes_or_only_labels(tmp_path: Path) -> None:
    """What it has no head for is absent."""
    routes = load_specialist(load_bundle(tiny_bundle(tmp_path / "r", ROUTES, {})), 1)
    labels = load_specialist(load_bundle(tiny_bundle(tmp_path / "l", {}, LABELS)), 1)
    (routed,), (labelled,) = routes.predict(["pump leaking"]), labels.predict(["pump leaking"])
    assert routed.route is not None
    assert routed.entities == ()
    assert labelled.route is None
    assert [e.label for e in labelled.entities] == ["asset", "symptom"]


def test_half_of_the_cores_and_at_least_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those this process may use, not those of the machine."""
    for cores, threads in ((1, 1), (2, 1), (4, 2), (5, 2)):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, n=cores: set(range(n)))
        assert default_threads() == threads
