"""Logits to routes and entities, against brute force over all legal paths."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_agent.inference.heads import TagDecoder, decode_route, legal_transitions, softmax, spans
from edge_agent.manifest import Manifest

FILE = {"sha256": "0" * 64, "size_bytes": 1}
LABELS = ("asset", "time")
TAGS = 1 + 2 * len(LABELS)
OUT, B_ASSET, I_ASSET, B_TIME, I_TIME = range(TAGS)
LONGEST = 4
BIG = 20.0


def manifest(**changes: Any) -> Manifest:
    """A manifest with two labels and three routes."""
    plain = {
        "format": 1,
        "name": "m",
        "version": "1",
        "kind": "encoder",
        "routes": ("fault", "alarm", "other"),
        "out_of_scope": "other",
        "labels": LABELS,
        "max_tokens": 32,
        "licence": "Apache-2.0",
        "files": {"model.onnx": FILE, "tokenizer.json": FILE},
    }
    return Manifest.model_validate({**plain, **changes})


def is_legal(path: tuple[int, ...]) -> bool:
    """Inside follows only begin or inside of its own label."""
    return all(
        tag in (OUT, B_ASSET, B_TIME) or before in (tag - 1, tag)
        for before, tag in pairwise((OUT, *path))
    )


def score(path: tuple[int, ...], logits: NDArray[Any], learnt: NDArray[Any]) -> float:
    along = sum(float(logits[i, tag]) for i, tag in enumerate(path))
    return along + sum(float(learnt[a, b]) for a, b in pairwise(path))


def best_by_brute_force(logits: NDArray[Any], learnt: NDArray[Any]) -> float:
    paths = product(range(TAGS), repeat=len(logits))
    return max(score(path, logits, learnt) for path in paths if is_legal(path))


def matrices(rows: st.SearchStrategy[int]) -> st.SearchStrategy[NDArray[Any]]:
    cell = st.floats(-8, 8, width=16)
    row = st.lists(cell, min_size=TAGS, max_size=TAGS)
    sized = rows.flatmap(lambda n: st.lists(row, min_size=n, max_size=n))
    return sized.map(lambda table: np.array(table, np.float32))


LOGITS = matrices(st.integers(1, LONGEST))
LEARNT = matrices(st.just(TAGS))


@settings(deadline=None, max_examples=150)
@given(LOGITS, st.none() | LEARNT)
def test_best_path_is_the_best_legal_one(logits: NDArray[Any], learnt: NDArray[Any] | None) -> None:
    """No legal sequence scores higher, with learnt transitions and without."""
    table = np.zeros((TAGS, TAGS)) if learnt is None else learnt
    rows = None if learnt is None else learnt.tolist()
    path = tuple(TagDecoder(manifest(transitions=rows)).best_path(logits).tolist())
    assert is_legal(path)
    assert score(path, logits, table) == pytest.approx(best_by_brute_force(logits, table), abs=1e-3)


def test_the_quick_way_and_the_long_way_agree() -> None:
    """Learnt transitions of 0 change nothing."""
    zeros = np.zeros((TAGS, TAGS)).tolist()
    quick, long = TagDecoder(manifest()), TagDecoder(manifest(transitions=zeros))
    random = np.random.default_rng(7)
    for _ in range(100):
        logits = random.normal(size=(6, TAGS)).astype(np.float32)
        assert quick.best_path(logits).tolist() == long.best_path(logits).tolist()


def test_learnt_transitions_decide() -> None:
    """A high score for begin to inside outweighs the logits of one token."""
    learnt = np.zeros((TAGS, TAGS))
    learnt[B_ASSET, I_ASSET] = 5
    logits = one_hot([B_ASSET, OUT], 2.0)
    assert TagDecoder(manifest(transitions=learnt.tolist())).best_path(logits).tolist() == [
        B_ASSET,
        I_ASSET,
    ]


def test_legal_transitions_are_those_of_the_rule() -> None:
    """For every pair of tags."""
    legal = legal_transitions(TAGS)
    for before, tag in product(range(TAGS), repeat=2):
        assert legal[before, tag] == (tag in (OUT, B_ASSET, B_TIME) or before in (tag - 1, tag))


@given(st.lists(st.integers(0, TAGS - 1), max_size=8).map(tuple).filter(is_legal))
def test_spans_write_the_path_back(path: tuple[int, ...]) -> None:
    """Begin at the first token, inside after it, outside elsewhere: nothing lost or invented."""
    again = [OUT] * len(path)
    for label, first, last in spans(np.array(path, np.int64)):
        again[first] = 1 + 2 * label
        again[first + 1 : last + 1] = [2 + 2 * label] * (last - first)
    assert tuple(again) == path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([B_ASSET, B_ASSET], [(0, 0, 0), (0, 1, 1)]),
        ([B_ASSET, I_ASSET, B_TIME], [(0, 0, 1), (1, 2, 2)]),
        ([OUT, B_TIME, I_TIME, I_TIME, OUT], [(1, 1, 3)]),
        ([], []),
    ],
)
def test_neighbouring_spans_stay_apart(
    path: list[int], expected: list[tuple[int, int, int]]
) -> None:
    """A begin ends the span before it."""
    assert list(spans(np.array(path, np.int64))) == expected


def one_hot(path: list[int], height: float = BIG) -> NDArray[Any]:
    return np.eye(TAGS, dtype=np.float32)[path] * height


def test_entities_point_into_the_text() -> None:
    """Special tokens are left out, blanks at the ends too; the weakest token gives confidence."""
    text = "the pump 7 stopped at 06:40"
    offsets = [(0, 0), (0, 3), (3, 8), (9, 10), (11, 18), (19, 21), (22, 27), (0, 0)]
    logits = one_hot([B_TIME, OUT, B_ASSET, I_ASSET, OUT, OUT, B_TIME, I_TIME])
    logits[3, I_ASSET] = 1.0
    asset, time = TagDecoder(manifest()).entities(logits, offsets, text)
    assert (asset.label, asset.text, asset.start, asset.end) == ("asset", "pump 7", 4, 10)
    assert asset.confidence == pytest.approx(np.e / (np.e + 4), abs=1e-4)
    assert (time.label, time.text, time.start, time.end) == ("time", "06:40", 22, 27)
    assert time.confidence == 1.0


def test_a_span_of_blanks_is_no_entity() -> None:
    """Some tokenizers have tokens of white space."""
    assert TagDecoder(manifest()).entities(one_hot([B_ASSET]), [(0, 2)], "  ") == ()
    assert TagDecoder(manifest()).entities(one_hot([B_ASSET]), [(0, 0)], "") == ()


def test_the_temperature_of_tags_softens_confidence_only() -> None:
    """The path stays."""
    warm = manifest(calibration={"tag_temperature": 4.0})
    logits = one_hot([B_ASSET], 4.0)
    (entity,) = TagDecoder(warm).entities(logits, [(0, 1)], "x")
    assert entity.confidence == pytest.approx(np.e / (np.e + TAGS - 1), abs=1e-4)


@given(LOGITS)
def test_softmax_gives_probabilities(logits: NDArray[Any]) -> None:
    """They sum to 1, keep the best, and do not care for a common shift, however big."""
    found = softmax(logits)
    assert found.sum(axis=-1) == pytest.approx(1, abs=1e-5)
    best = np.take_along_axis(found, logits.argmax(axis=-1, keepdims=True), axis=-1)
    assert (best[:, 0] == found.max(axis=-1)).all()
    assert softmax(logits + np.float32(4096)) == pytest.approx(found, abs=1e-3)


def logits_for(*probabilities: float) -> NDArray[np.float32]:
    return np.log(np.array(probabilities, np.float32))


def test_a_route_above_the_threshold() -> None:
    """Its own probability; the others stand as alternatives, best first."""
    calibrated = manifest(calibration={"abstain_below": 0.5})
    route = decode_route(logits_for(0.6, 0.1, 0.3), calibrated)
    assert (route.label, route.confidence, route.abstained) == ("fault", 0.6, False)
    assert [(a.label, a.confidence) for a in route.alternatives] == [("other", 0.3), ("alarm", 0.1)]


@pytest.mark.parametrize(
    ("probabilities", "threshold", "candidate"),
    [((0.49, 0.31, 0.2), 0.5, "fault"), ((0.1, 0.1, 0.8), 0.5, "other")],
)
def test_abstains_when_unsure_or_out_of_scope(
    probabilities: tuple[float, ...], threshold: float, candidate: str
) -> None:
    """The label is the out-of-scope one; the best candidate stands first with its confidence."""
    calibrated = manifest(calibration={"abstain_below": threshold})
    route = decode_route(logits_for(*probabilities), calibrated)
    assert (route.label, route.abstained) == ("other", True)
    assert route.alternatives[0].label == candidate
    assert route.confidence == route.alternatives[0].confidence == max(probabilities)


def test_exactly_the_threshold_is_enough() -> None:
    """``abstain_below`` is meant literally."""
    route = decode_route(logits_for(0.5, 0.25, 0.25), manifest(calibration={"abstain_below": 0.5}))
    assert not route.abstained


def test_abstains_as_other_where_no_route_is_out_of_scope() -> None:
    """The word of the contract, also when the bundle has none."""
    without = manifest(routes=("a", "b"), out_of_scope=None, calibration={"abstain_below": 0.9})
    route = decode_route(logits_for(0.6, 0.4), without)
    assert (route.label, route.abstained) == ("other", True)
    assert [a.label for a in route.alternatives] == ["a", "b"]


def test_the_temperature_softens() -> None:
    """Twice the temperature, half the logits."""
    warm = manifest(calibration={"temperature": 2.0})
    route = decode_route(np.array([4.0, 0.0, 0.0], np.float32), warm)
    assert route.confidence == pytest.approx(np.e**2 / (np.e**2 + 2), abs=1e-4)
