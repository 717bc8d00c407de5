"""Packed bundles as teachers: what they think of a batch, in the student's routes and tags.

A teacher may be larger, of other tokens or another family: its tags are matched by characters.
Several teachers count as their mean. Knows nothing of the student's model.
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edge_agent.bundle import Bundle, load_bundle
from edge_agent.inference.encode import Encoding, TextEncoder, pad
from edge_agent.inference.heads import softmax
from edge_agent.inference.session import Session
from edge_agent.manifest import MODEL, TOKENIZER
from tools.data import Vocabulary
from tools.errors import ToolError
from tools.learning.batches import Batch
from tools.learning.loss import Wisdom


class BundleTeacher:
    """One bundle. Raises ToolError when it does not know the student's routes or labels."""

    def __init__(self, path: Path, vocabulary: Vocabulary, student: Tokenizer) -> None:
        bundle = load_bundle(path)
        manifest = bundle.manifest
        self._routes = _columns(bundle, "routes", manifest.routes, vocabulary.routes)
        labels = _columns(bundle, "labels", manifest.labels, vocabulary.labels)
        tags = [0, *(column for i in labels for column in (1 + 2 * i, 2 + 2 * i))]
        self._tags = tags if labels else []
        self._student = student
        self._encoder = TextEncoder(bundle.contents[TOKENIZER], manifest.max_tokens)
        self._session = Session(bundle.contents[MODEL], threads=1)

    def __call__(self, batch: Batch) -> Wisdom:
        """Probabilities over the student's routes [B, R] and over its tags [B, L, C]."""
        encodings = [self._encoder.encode(text) for text in batch.texts]
        ids, mask = pad(encodings)
        outputs = self._session.run({"input_ids": ids, "attention_mask": mask})
        routes = tags = None
        if self._routes:
            routes = torch.from_numpy(softmax(outputs["route_logits"][:, self._routes]))
        if self._tags:
            tags = self._aligned(batch, encodings, softmax(outputs["tag_logits"][..., self._tags]))
        return Wisdom(routes, tags)

    def _aligned(
        self, batch: Batch, encodings: list[Encoding], tags: NDArray[np.float32]
    ) -> torch.Tensor:
        """[B, T', C] by the teacher's tokens -> [B, L, C] by the student's."""
        aligned = torch.zeros(*batch.kept.shape, len(self._tags))
        for row, (text, theirs) in enumerate(zip(batch.texts, encodings, strict=True)):
            ours = [o for o in self._student.encode(text).offsets if o[1] > o[0]]
            aligned[row, : len(ours)] = torch.from_numpy(_matched(ours, theirs.offsets, tags[row]))
        return aligned


class Teachers:
    """Several teachers as one: the mean of what they think."""

    def __init__(self, teachers: list[BundleTeacher]) -> None:
        self._teachers = teachers

    def __call__(self, batch: Batch) -> Wisdom:
        said = [teacher(batch) for teacher in self._teachers]
        routes = [wisdom.routes for wisdom in said if wisdom.routes is not None]
        tags = [wisdom.tags for wisdom in said if wisdom.tags is not None]
        return Wisdom(
            torch.stack(routes).mean(0) if routes else None,
            torch.stack(tags).mean(0) if tags else None,
        )


def _columns(
    bundle: Bundle, kind: str, known: tuple[str, ...], wanted: tuple[str, ...]
) -> list[int]:
    missing = [name for name in wanted if name not in known]
    if missing and known:
        raise ToolError(
            f"teacher {bundle.path} knows no {', '.join(missing)} among its {kind}",
            "train the teacher on the same data as the student",
        )
    return [known.index(name) for name in wanted] if known else []


def _matched(
    ours: list[tuple[int, int]], theirs: list[tuple[int, int]], tags: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The teacher's row at each of our tokens' first character; outside beyond what it has read.

    A begin of theirs spread over several of our tokens begins once and is inside then.
    """
    kept = [i for i, (start, end) in enumerate(theirs) if end > start]
    starts = [theirs[i][0] for i in kept]
    outside = np.eye(1, tags.shape[1], dtype=np.float32)[0]
    rows = []
    for start, _ in ours:
        place = bisect_right(starts, start) - 1
        if place < 0 or start >= theirs[kept[place]][1]:
            rows.append(outside)
        else:
            row = tags[kept[place]]
            rows.append(row if starts[place] == start else _as_inside(row))
    return np.array(rows, np.float32).reshape(len(ours), tags.shape[1])


def _as_inside(row: NDArray[np.float32]) -> NDArray[np.float32]:
    moved = row.copy()
    moved[2::2] += moved[1::2]
    moved[1::2] = 0
    return moved
