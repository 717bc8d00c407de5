"""Bundles that write whose parts do not belong together: refused with a fix, never a traceback."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pytest

from edge_agent.bundle import load_bundle
from edge_agent.errors import BundleError, InferenceFailed
from edge_agent.generator import load_model, load_writer
from tests.support.tiny_bundle import write_manifest
from tests.support.tiny_generator import tiny_generator

GRAPHS = ("model.onnx", "head.onnx", "rows.onnx")


@pytest.mark.parametrize(("name", "other"), [*permutations(GRAPHS, 2)])
def test_a_graph_in_the_place_of_another(tmp_path: Path, name: str, other: str) -> None:
    """A start that met a bug would be tried again for ever."""
    folder = tiny_generator(tmp_path)
    (folder / name).write_bytes((folder / other).read_bytes())
    write_manifest(folder, json.loads((folder / "bundle.json").read_text()))
    with pytest.raises(BundleError, match=f"bundle {folder}: ") as caught:
        load_writer(load_bundle(folder), 1)
    assert caught.value.fix == "pack the bundle again: its parts do not belong together"


def test_a_token_that_the_model_does_not_know(tmp_path: Path) -> None:
    """Only this output fails, not the agent."""
    model = load_model(load_bundle(tiny_generator(tmp_path)), 1)
    with pytest.raises(InferenceFailed, match="the model failed on this input"):
        model.feed([1 << 20])
    assert model.feed([1]).shape
