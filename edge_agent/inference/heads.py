"""Logits to routes and entities. Pure numpy. Knows nothing of sessions or tokenizers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_agent.manifest import Calibration, Manifest
from edge_agent.types import Alternative, Entity, Route
from edge_agent.values import normalise

Floats = NDArray[np.float32]
FORBIDDEN = np.float32(-1e9)
ALTERNATIVES = 3
ABSTAINED_LABEL = "other"
"""The label of an abstention when the bundle names no out-of-scope route."""


def softmax(logits: Floats) -> Floats:
    """Probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), np.float32)


def decode_route(route_logits: Floats, manifest: Manifest) -> Route:
    """One row ``[R]`` to a Route.

    Abstains when the best route is the out-of-scope one or its probability lies below the
    threshold.
    """
    calibration = manifest.calibration
    probabilities = softmax(route_logits / calibration.temperature)
    order = np.argsort(-probabilities, kind="stable")
    ranked = [Alternative(manifest.routes[i], _rounded(probabilities[i])) for i in order]
    best = ranked[0]
    refused = best.label == manifest.out_of_scope or best.confidence < calibration.abstain_below
    if not refused:
        return Route(best.label, best.confidence, alternatives=tuple(ranked[1 : 1 + ALTERNATIVES]))
    label = manifest.out_of_scope or ABSTAINED_LABEL
    return Route(label, best.confidence, abstained=True, alternatives=tuple(ranked[:ALTERNATIVES]))


class TagDecoder:
    """The best legal tag sequence of a text, by Viterbi.

    Columns are outside, then begin and inside of each label. Inside may follow only begin or inside
    of its own label; learnt ``transitions`` are added where the bundle has them.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._labels = manifest.labels
        self._calibration: Calibration = manifest.calibration
        tags = 1 + 2 * len(manifest.labels)
        self._learnt = manifest.transitions is not None
        learnt = manifest.transitions if manifest.transitions is not None else 0.0
        self._scores = np.zeros((tags, tags), np.float32) + np.asarray(learnt, np.float32)
        self._scores[~legal_transitions(tags)] = FORBIDDEN
        self._inside = np.arange(tags) % 2 == 0
        self._inside[0] = False

    def best_path(self, tag_logits: Floats) -> NDArray[np.int64]:
        """``[T, C]`` to the tags ``[T]`` of the highest-scoring legal sequence."""
        greedy = np.asarray(tag_logits.argmax(axis=1), np.int64)
        if not self._learnt and self._is_legal(greedy):
            return greedy
        return self._viterbi(tag_logits)

    def entities(
        self, tag_logits: Floats, offsets: list[tuple[int, int]], text: str
    ) -> tuple[Entity, ...]:
        """Logits ``[T, C]`` of the tokens with these offsets, to entities in text order."""
        kept = [i for i, (start, end) in enumerate(offsets) if end > start]
        if not kept:
            return ()
        logits = tag_logits[kept]
        path = self.best_path(logits)
        probabilities = softmax(logits / self._calibration.tag_temperature)
        chosen = probabilities[np.arange(len(path)), path]
        found = []
        for label, first, last in spans(path):
            start, end = offsets[kept[first]][0], offsets[kept[last]][1]
            surface = text[start:end]
            start += len(surface) - len(surface.lstrip())
            surface = surface.strip()
            if surface:
                confidence = _rounded(chosen[first : last + 1].min())
                name = self._labels[label]
                value = normalise(name, surface)
                found.append(Entity(name, surface, start, start + len(surface), confidence, value))
        return tuple(found)

    def _is_legal(self, path: NDArray[np.int64]) -> bool:
        before = np.concatenate(([0], path[:-1]))
        return bool((self._scores[before, path] > FORBIDDEN).all())

    def _viterbi(self, logits: Floats) -> NDArray[np.int64]:
        steps = len(logits)
        back = np.zeros(logits.shape, np.int64)
        score = np.where(self._inside, FORBIDDEN, logits[0])
        for step in range(1, steps):
            candidates = score[:, None] + self._scores
            back[step] = candidates.argmax(axis=0)
            score = candidates.max(axis=0) + logits[step]
        path = np.zeros(steps, np.int64)
        path[-1] = score.argmax()
        for step in range(steps - 1, 0, -1):
            path[step - 1] = back[step, path[step]]
        return path


def legal_transitions(tags: int) -> NDArray[np.bool_]:
    """``[C, C]``, row before column: True where the second tag may follow the first."""
    legal = np.ones((tags, tags), bool)
    for inside in range(2, tags, 2):
        legal[:, inside] = False
        legal[[inside - 1, inside], inside] = True
    return legal


def spans(path: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Runs of a legal path as (label index, first token, last token), both inclusive."""
    start = None
    for i, tag in enumerate([*path.tolist(), 0]):
        if start is not None and (tag == 0 or tag % 2 == 1):
            yield (int(path[start]) - 1) // 2, start, i - 1
            start = None
        if tag % 2 == 1:
            start = i


def _rounded(probability: np.float32) -> float:
    return round(float(probability), 4)
