"""Intervals against a slow twin; risk, thresholds and what is out of scope."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.bundle import load_bundle
from edge_agent.types import Alternative, Entity, Prediction, Route
from tests.support.tiny_bundle import tiny_bundle
from tools.corpus.annotation import Example, Span
from tools.evaluation.metrics import BOTH, Heads, reliability, score
from tools.evaluation.resampling import draws, interval, measures, p_value, weight_chunks
from tools.evaluation.scope import aligned, at_coverages, measure_scope
from tools.evaluation.selective import RiskCoverage, measure_risk, risk_curve

TEXT = "pump leaks"
NAMES = ("fault", "alarm", "reading")
SPANS = ((0, 4, "asset"), (5, 10, "symptom"), (0, 10, "asset"))

routes = st.sampled_from(NAMES)
triples = st.sampled_from(SPANS)
heads = st.sampled_from((BOTH, Heads(labels=False)))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Example, Prediction]:
    """A message with or without route and entity, and an answer to it."""
    gold = draw(st.one_of(st.just(""), routes))
    spans = tuple(Span(*triple) for triple in draw(st.sets(triples, max_size=1)))
    label, confidence = draw(routes), draw(st.sampled_from((0.3, 0.6, 0.9)))
    said = draw(st.sets(triples, max_size=2))
    entities = tuple(Entity(name, TEXT[a:b], a, b, confidence) for a, b, name in said)
    return Example(TEXT, gold, spans), Prediction(Route(label, confidence), entities)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(pairs(), st.integers(0, 3)), min_size=1, max_size=12), heads)
def test_a_weighted_score_equals_the_score_of_messages_repeated(rows, heads) -> None:
    """The slow twin: write every message as often as it weighs, and score that."""
    repeated = [pair for pair, times in rows for _ in range(times)]
    if not repeated:
        return
    weights = np.array([[times for _, times in rows]], np.float32)
    slow = score(*zip(*repeated, strict=True), heads).as_dict()
    for name, measure in measures([pair for pair, _ in rows], heads).items():
        assert measure.resampled(weights)[0] == pytest.approx(slow[name] or 0, abs=1e-4), name


@given(st.lists(pairs(), min_size=1, max_size=12), heads)
def test_measures_hold_the_very_scores(rows, heads) -> None:
    scores = score(*zip(*rows, strict=True), heads)
    found = measures(rows, heads)
    for name in ("route_accuracy", "route_macro_f1", "entity_f1", "entity_recall", "exact"):
        value = getattr(scores, name)
        assert (name in found) == (value is not None)
        assert value is None or found[name].value == pytest.approx(value)


def test_resamples_are_as_many_messages_each_and_the_same_every_time() -> None:
    first, again = (np.concatenate(list(weight_chunks(50, 30))) for _ in range(2))
    assert first.shape == (30, 50)
    assert (first.sum(1) == 50).all()
    assert (first == again).all()
    assert len(np.unique(first, axis=0)) == 30


def test_the_interval_of_a_share_is_about_what_the_binomial_gives() -> None:
    right, wrong = (Prediction(Route(name, 0.9), ()) for name in ("fault", "alarm"))
    rows = [(Example("x", "fault", ()), right if i % 5 else wrong) for i in range(400)]
    low, high = interval(draws(measures(rows))["route_accuracy"])
    assert (low, high) == (pytest.approx(0.76, abs=0.015), pytest.approx(0.84, abs=0.015))


def test_p_is_small_only_when_the_draws_agree_on_a_side() -> None:
    assert p_value(np.full(999, 0.1)) == pytest.approx(0.002)
    assert p_value(np.zeros(999)) == 1
    assert p_value(np.linspace(-1, 1, 999)) == 1


# --- confidence and scope


def test_risk_falls_as_only_the_surest_are_answered() -> None:
    curve = risk_curve([0.9, 0.2, 0.8, 0.5], [False, True, False, True])
    assert curve.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2])
    risk = RiskCoverage("route", curve)
    assert (risk.at(100), risk.at(50)) == (0.5, 0)
    assert risk.aurc == pytest.approx(curve.mean())


@given(st.lists(st.tuples(st.sampled_from((0.5, 0.9)), st.booleans()), min_size=1), st.randoms())
def test_the_order_of_equally_sure_messages_changes_nothing(rows, random) -> None:
    shuffled = random.sample(rows, len(rows))
    one, other = (risk_curve(*zip(*r, strict=True)) for r in (rows, shuffled))
    assert one.tolist() == pytest.approx(other.tolist())


def test_without_routes_the_least_sure_entity_speaks_for_a_message() -> None:
    sure, unsure = (Entity("asset", "pump", 0, 4, c) for c in (0.9, 0.4))
    gold = Example(TEXT, "", (Span(0, 4, "asset"),))
    missing = Example(TEXT, "", ())
    risk = measure_risk([(gold, Prediction(None, (sure,))), (missing, Prediction(None, (unsure,)))])
    assert risk.of == "entities"
    assert risk.curve.tolist() == [0, 0.5]


def test_bins_hold_every_message_once() -> None:
    bins = reliability([0.0, 0.05, 0.95, 1.0], [False, True, True, True])
    assert [(b.low, b.messages, b.accuracy) for b in bins] == [(0, 2, 0.5), (0.9, 2, 1)]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.lists(st.floats(0, 1), max_size=20))
def test_a_threshold_keeps_at_least_the_share_it_promises(inside, outside) -> None:
    scores, strangers = np.array(inside), np.array(outside)
    for item in at_coverages(scores, np.ones(len(scores), bool), strangers):
        kept = (scores >= item.threshold).mean()
        assert kept >= item.coverage_percent / 100
        assert (scores > item.threshold).mean() < item.coverage_percent / 100
        assert item.in_scope_accuracy == pytest.approx(kept)


def test_out_of_scope_recall_counts_abstentions(tiny: Path) -> None:
    """One of two strangers caught; one of two messages in scope abstained on, though guessed."""
    manifest = load_bundle(tiny).manifest
    sure = Prediction(Route("fault", 0.9, False, (Alternative("other", 0.1),)), ())
    guess = (Alternative("other", 0.5), Alternative("fault", 0.4))
    away = Prediction(Route("other", 0.5, True, guess), ())
    rows = [(Example("x", name, ()), p) for name in ("other", "fault") for p in (sure, away)]
    found = measure_scope(rows, manifest)
    assert (found.recall, found.in_scope_accuracy, found.in_scope_forced) == (0.5, 0.5, 1)
    assert found.at_coverage[0].threshold == 0.4


def test_what_a_file_calls_out_of_scope_follows_the_bundle(tiny: Path, tmp_path: Path) -> None:
    """`oos` is the bundle's `other`, unless the bundle has a route of that name."""
    stranger = [Example("hello", "oos", ())]
    assert aligned(stranger, load_bundle(tiny).manifest)[0].route == "other"
    knows = tiny_bundle(tmp_path / "oos", {"oos": ("odd",), "other": ()})
    assert aligned(stranger, load_bundle(knows).manifest) == stranger
    names = tiny_bundle(tmp_path / "names", {"fault": ("leaking",), "oos": ()})
    (renamed,) = aligned([Example("hello", "other", ())], load_bundle(names).manifest)
    assert renamed.route == "oos"
