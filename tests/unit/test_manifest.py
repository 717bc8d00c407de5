"""What a manifest of a generator must say. (That of an encoder: see test_bundle.)"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edge_agent.manifest import Manifest

FILE = {"sha256": "0" * 64, "size_bytes": 0}
NAMES = ("model.onnx", "head.onnx", "rows.onnx", "weights.bin", "tokenizer.json")
SHAPE = {"layers": 18, "key_heads": 1, "head_size": 256, "hidden": 640, "vocabulary": 262144,
         "stop_tokens": [1, 106]}  # fmt: skip


def manifest(**changes: Any) -> Manifest:
    sound = {"format": 1, "name": "g", "version": "1", "kind": "generator", "max_tokens": 1024,
             "licence": "gemma", "generator": SHAPE,
             "files": dict.fromkeys(NAMES, FILE)}  # fmt: skip
    return Manifest.model_validate(sound | changes)


def test_a_generator_needs_neither_routes_nor_labels() -> None:
    assert manifest().generator.stop_tokens == (1, 106)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"generator": None}, "needs the key generator"),
        ({"kind": "encoder", "routes": ["a"]}, "only a bundle of kind generator"),
        ({"routes": ["a"]}, "neither routes nor labels"),
        ({"labels": ["a"]}, "neither routes nor labels"),
        ({"generator": {**SHAPE, "stop_tokens": [262144]}}, "stop token"),
        ({"generator": {**SHAPE, "stop_tokens": [-1]}}, "stop token"),
        ({"generator": {**SHAPE, "stop_tokens": []}}, "stop_tokens"),
        ({"files": dict.fromkeys(NAMES[:1], FILE)}, "files lacks head.onnx, rows.onnx, tok"),
    ],
)
def test_a_generator_that_contradicts_itself_is_refused(changes: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        manifest(**changes)
