"""Zero points of INT4 products: in every exported encoder, and added to a bundle without them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from edge_agent.bundle import load_bundle
from edge_agent.inference.session import Session
from edge_agent.manifest import MANIFEST, MODEL, SIGNATURE
from tests.support.tiny_bases import MAKERS, inputs, loaded
from tests.support.tiny_generator import tiny_generator
from tools.__main__ import main
from tools.bundling.pack import replace_file
from tools.export import build
from tools.export.zero_points import ZERO_POINTS, given

SHIPPED = Path(__file__).parents[2] / "models/gateway-default"


def products(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == "MatMulNBits"]


def without(model: onnx.ModelProto) -> bytes:
    """The graph as it was written before."""
    for node in products(model):
        before, after = node.input[:ZERO_POINTS], node.input[ZERO_POINTS + 1 :]
        node.ClearField("input")
        node.input.extend([*before, "", *after] if after else before)
    return model.SerializeToString()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The default bundle, as an earlier version exported it."""
    path = Path(shutil.copytree(SHIPPED, tmp_path / "old"))
    bundle = load_bundle(path)
    replace_file(bundle, MODEL, without(onnx.load_from_string(bundle.contents[MODEL])))
    return path


@pytest.mark.parametrize("kind", MAKERS)
def test_an_exported_encoder_has_them_and_says_the_same(kind: str, tmp_path: Path) -> None:
    """To the last bit, on a processor that quantises activations by block anyway."""
    model = build(loaded(MAKERS[kind](tmp_path)))
    assert all(given(node) for node in products(model))
    ids, mask = (array.numpy() for array in inputs())
    graphs = [model.SerializeToString(), without(model)]
    found, expected = (
        Session(graph, 1).run({"input_ids": ids, "attention_mask": mask}) for graph in graphs
    )
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_a_bundle_without_them_gets_them_and_nothing_else(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = load_bundle(old)
    assert not any(map(given, products(onnx.load(old / MODEL))))
    assert main(["zero-points", str(old)]) == 0
    assert "added to 24 products; 32 golden messages answered alike" in capsys.readouterr().out
    after = load_bundle(old)
    assert all(map(given, products(onnx.load(old / MODEL))))
    changed = json.loads(before.raw) | {"files": json.loads(after.raw)["files"]}
    assert changed == json.loads(after.raw)
    assert main(["zero-points", str(old)]) == 0
    assert "added to 0 products" in capsys.readouterr().out
    assert load_bundle(old).digest == after.digest


@pytest.mark.parametrize("wrong", ["signed", "generator", "missing"])
def test_what_it_cannot_rewrite_it_leaves(
    old: Path, tmp_path: Path, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A signature would no longer hold; a generator has no confidences."""
    path = {"signed": old, "generator": tmp_path / "g", "missing": tmp_path / "none"}[wrong]
    if wrong == "signed":
        (old / SIGNATURE).write_text("{}")
    if wrong == "generator":
        tiny_generator(path)
    content = (path / MANIFEST).read_bytes() if path.exists() else None
    assert main(["zero-points", str(path)]) == 2
    assert "\n  fix: " in capsys.readouterr().err
    assert content is None or (path / MANIFEST).read_bytes() == content
