"""Bootstrap over messages. Each message is counted once; a resample only weighs those counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.evaluation.metrics import (
    BOTH,
    Heads,
    Pair,
    exact_counts,
    exact_rights,
    found_spans,
    has_entities,
    has_judged_route,
    predicted_route,
    truth,
)

Floats = NDArray[np.float32]
RESAMPLES = 2000
SEED = 7
CHUNK_CELLS = 4_000_000
TAILS_PERCENT = (2.5, 97.5)


@dataclass(frozen=True)
class Measure:
    """A score: the mean over K classes of ``sum(part) / sum(whole)``, all arrays ``[N, K]``.

    A class takes part where ``sum(present)`` is not 0: a macro average leaves out what a resample
    does not hold.
    """

    part: Floats
    whole: Floats
    present: Floats

    @property
    def value(self) -> float:
        """The score over the messages as they are."""
        return float(self.resampled(np.ones((1, len(self.part)), np.float32))[0])

    def resampled(self, weights: Floats) -> NDArray[np.float64]:
        """``[S, N]`` times each message counts, to ``[S]`` scores; 0 where nothing counts."""
        part, whole, present = (weights @ a for a in (self.part, self.whole, self.present))
        ratios = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
        classes = np.maximum((present > 0).sum(1), 1)
        return np.where(present > 0, ratios, 0).sum(1, dtype=np.float64) / classes


def measures(pairs: Sequence[Pair], heads: Heads = BOTH) -> dict[str, Measure]:
    """The scores that these pairs and heads allow, under the names of ``Scores``."""
    found = {}
    judged = [has_judged_route(pair) for pair in pairs]
    if any(judged):
        right = [
            j and predicted_route(p) == e.route for j, (e, p) in zip(judged, pairs, strict=True)
        ]
        found["route_accuracy"] = _share(right, judged)
        found["route_macro_f1"] = _macro_f1(pairs, np.array(judged))
    if has_entities(pairs, heads):
        hits, gold, said = np.array([_span_counts(*pair) for pair in pairs], np.float32).T
        found["entity_f1"] = _share(2 * hits, gold + said)
        found["entity_precision"] = _share(hits, said)
        found["entity_recall"] = _share(hits, gold)
    if any(counted := exact_counts(pairs, heads)):
        found["exact"] = _share(exact_rights(pairs, heads), counted)
    return found


def draws(
    scores: Mapping[str, Measure], resamples: int = RESAMPLES
) -> dict[str, NDArray[np.float64]]:
    """``[resamples]`` values of each measure. The n-th resample is the same for every measure and
    every system over as many messages, so differences of draws are paired.
    """
    parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in scores}
    if scores:
        messages = len(next(iter(scores.values())).part)
        for weights in weight_chunks(messages, resamples):
            for name, measure in scores.items():
                parts[name].append(measure.resampled(weights))
    return {name: np.concatenate(chunks) for name, chunks in parts.items()}


def weight_chunks(messages: int, resamples: int) -> Iterator[Floats]:
    """``[S, messages]`` at a time: how often each message was drawn, with replacement."""
    random = np.random.default_rng(SEED)
    rows = max(1, CHUNK_CELLS // messages)
    for first in range(0, resamples, rows):
        count = min(rows, resamples - first)
        drawn = random.integers(messages, size=(count, messages))
        cells = (drawn + messages * np.arange(count)[:, None]).ravel()
        table = np.bincount(cells, minlength=count * messages).reshape(count, messages)
        yield table.astype(np.float32)


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 % of the draws."""
    low, high = np.percentile(values, TAILS_PERCENT)
    return float(low), float(high)


def p_value(differences: NDArray[np.float64]) -> float:
    """Two-sided: how often the bootstrap finds no difference, or one the other way."""
    sides = min((differences <= 0).sum(), (differences >= 0).sum())
    return min(1.0, float(2 * (sides + 1) / (len(differences) + 1)))


def _share(part: Sequence[float] | Floats, whole: Sequence[float] | Floats) -> Measure:
    columns = [np.asarray(values, np.float32)[:, None] for values in (part, whole)]
    return Measure(*columns, present=columns[1])


def _span_counts(example: object, prediction: object) -> tuple[int, int, int]:
    gold, said = truth(example), found_spans(prediction)
    return len(gold & said), len(gold), len(said)


def _macro_f1(pairs: Sequence[Pair], judged: NDArray[np.bool_]) -> Measure:
    """F1 of each route that the messages hold, by ``2 · hits / (gold + predicted)``."""
    names = sorted({e.route for e, _ in pairs} - {""})
    column = {name: i for i, name in enumerate(names)}
    gold = np.zeros((len(pairs), len(names)), np.float32)
    said = np.zeros_like(gold)
    for row, (example, prediction) in enumerate(pairs):
        if judged[row]:
            gold[row, column[example.route]] = 1
            place = column.get(predicted_route(prediction))
            if place is not None:
                said[row, place] = 1
    return Measure(2 * gold * said, gold + said, gold)
