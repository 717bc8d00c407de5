"""Temperatures and the abstention threshold, from the packed model's own logits over dev."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_agent.inference.encode import TextEncoder, pad
from edge_agent.inference.session import Session
from edge_agent.manifest import Calibration
from tools.corpus.annotation import Example
from tools.data import Vocabulary, tag_tokens

TEMPERATURES = np.geomspace(0.5, 4.0, 61)
THRESHOLDS = np.linspace(0.0, 0.95, 96)


@dataclass
class Logits:
    """Route logits [N, R] with targets [N], tag logits [M, C] of all tokens with targets [M]."""

    routes: NDArray[np.float32]
    route_targets: NDArray[np.int64]
    tags: NDArray[np.float32]
    tag_targets: NDArray[np.int64]


def calibrate(logits: Logits, vocabulary: Vocabulary, abstain_cost: float) -> Calibration:
    """Temperatures of least negative log-likelihood, and the threshold to abstain below.

    ``abstain_cost`` is the share of in-scope messages that abstaining may get wrong.
    """
    temperature = _best_temperature(logits.routes, logits.route_targets)
    return Calibration(
        temperature=temperature,
        abstain_below=_best_threshold(logits, temperature, vocabulary, abstain_cost),
        tag_temperature=_best_temperature(logits.tags, logits.tag_targets),
    )


def collect(
    session: Session, encoder: TextEncoder, examples: Iterable[Example], vocabulary: Vocabulary
) -> Logits:
    """Runs every message by itself through the packed model."""
    routes, route_targets, tags, tag_targets = [], [], [], []
    for example in examples:
        encoding = encoder.encode(example.text)
        ids, mask = pad([encoding])
        out = session.run({"input_ids": ids, "attention_mask": mask})
        if example.route in vocabulary.routes:
            routes.append(out["route_logits"][0])
            route_targets.append(vocabulary.routes.index(example.route))
        if vocabulary.labels:
            kept = [i for i, (start, end) in enumerate(encoding.offsets) if end > start]
            tags.append(out["tag_logits"][0][kept])
            tag_targets += [
                tag_tokens(encoding.offsets, example, vocabulary.labels)[i] for i in kept
            ]
    return Logits(
        np.array(routes, np.float32).reshape(len(routes), len(vocabulary.routes)),
        np.array(route_targets, np.int64),
        np.concatenate([*tags, np.zeros((0, vocabulary.tags), np.float32)]),
        np.array(tag_targets, np.int64),
    )


def _best_temperature(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    if not len(targets):
        return 1.0
    losses = [_loss(logits / temperature, targets) for temperature in TEMPERATURES]
    return round(float(TEMPERATURES[int(np.argmin(losses))]), 3)


def _best_threshold(
    logits: Logits, temperature: float, vocabulary: Vocabulary, cost: float
) -> float:
    """The lowest that refuses most out-of-scope messages for ``cost`` of the in-scope accuracy."""
    if vocabulary.out_of_scope is None:
        return 0.0
    other = vocabulary.routes.index(vocabulary.out_of_scope)
    strange = logits.route_targets == other
    if not strange.any() or strange.all():
        return 0.0
    probabilities = np.exp(_log_softmax(logits.routes / temperature))
    best, confidence = probabilities.argmax(1), probabilities.max(1)
    answers = np.where(confidence < THRESHOLDS[:, None], other, best)
    right = answers == logits.route_targets
    accuracy, recall = right[:, ~strange].mean(1), right[:, strange].mean(1)
    recall[accuracy < accuracy.max() - cost] = -1
    return round(float(THRESHOLDS[int(recall.argmax())]), 3)


def _loss(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    return float(-_log_softmax(logits)[np.arange(len(targets)), targets].mean())


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
