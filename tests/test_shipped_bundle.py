"""The shipped bundle: what it weighs, what its graph is made of, what it answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_agent.bundle import Bundle, load_bundle
from edge_agent.manifest import GOLDEN, MODEL, TOKENIZER
from edge_agent.specialists import load_specialist
from tools.corpus.annotation import LABELS, ROUTES

onnx = pytest.importorskip("onnx")
numpy_helper = pytest.importorskip("onnx.numpy_helper")

SHIPPED = Path(__file__).parents[1] / "models" / "gateway-default"
LAYERS, PRODUCTS_PER_LAYER = 6, 4
MIB = 1 << 20


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(SHIPPED)


@pytest.fixture(scope="module")
def graph(bundle: Bundle):
    return onnx.load_from_string(bundle.contents[MODEL]).graph


def attributes(node) -> dict[str, int]:
    return {item.name: item.i for item in node.attribute}


def nodes(graph, op: str) -> list:
    return [node for node in graph.node if node.op_type == op]


def test_the_bundle_weighs_at_most_20_mb(bundle: Bundle) -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= 20 * 1000 * 1000
    assert {path.name for path in SHIPPED.iterdir()} == {*bundle.manifest.files, "bundle.json"}


def test_the_manifest_names_our_routes_labels_and_where_it_comes_from(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert manifest.routes == ROUTES
    assert manifest.labels == LABELS
    assert manifest.out_of_scope == "other"
    assert manifest.licence == "Apache-2.0"
    assert {"base", "corpus", "seed", "dev"} <= set(manifest.provenance)


def test_every_trunk_product_is_int4_in_blocks_of_32(graph) -> None:
    """A float product is allowed in the two heads only."""
    products = nodes(graph, "MatMulNBits")
    assert len(products) == LAYERS * PRODUCTS_PER_LAYER
    for node in products:
        found = attributes(node)
        assert (found["bits"], found["block_size"], found["accuracy_level"]) == (4, 32, 4)
    assert {node.name for node in nodes(graph, "MatMul")} == {"route_logits.p", "tag_logits.p"}
    assert not nodes(graph, "Gemm")


def test_every_product_has_its_zero_points(graph) -> None:
    """With them onnxruntime works on Arm as on x86-64: a scale for each block of activations."""
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    for node in nodes(graph, "MatMulNBits"):
        sizes, zero_points = attributes(node), constants[node.input[3]]
        assert zero_points.shape == (sizes["N"], sizes["K"] // 64)
        assert set(zero_points.ravel()) == {0x88}


def test_the_word_table_is_int4(graph) -> None:
    (words,) = nodes(graph, "GatherBlockQuantized")
    found = attributes(words)
    assert (found["bits"], found["block_size"]) == (4, 32)
    assert (found.get("gather_axis", 0), found["quantize_axis"]) == (0, 1)


def test_nothing_lies_outside_the_model_file(graph) -> None:
    assert not any(item.external_data for item in graph.initializer)


def test_the_tokenizer_neither_pads_nor_cuts_by_itself(bundle: Bundle) -> None:
    tokenizer = json.loads(bundle.contents[TOKENIZER])
    assert tokenizer["padding"] is None
    assert tokenizer["truncation"] is None


def test_golden_messages_get_the_answers_the_bundle_was_packed_with(bundle: Bundle) -> None:
    golden = [json.loads(line) for line in bundle.contents[GOLDEN].decode().splitlines()]
    assert len(golden) == 32
    found = load_specialist(bundle, threads=1).predict([item["text"] for item in golden])
    for item, prediction in zip(golden, found, strict=True):
        route, entities = prediction.route, prediction.entities
        assert (route.label, route.abstained) == (
            item["route"]["label"],
            item["route"]["abstained"],
        )
        assert route.confidence == pytest.approx(item["route"]["confidence"], abs=0.05)
        assert item["entities"] == [
            {"label": e.label, "start": e.start, "end": e.end} for e in entities
        ], item["text"]


def test_neighbours_in_a_batch_do_not_change_an_answer(bundle: Bundle) -> None:
    golden = [json.loads(line)["text"] for line in bundle.contents[GOLDEN].decode().splitlines()]
    specialist = load_specialist(bundle, threads=1)
    together = specialist.predict(golden)
    for text, beside_others in zip(golden, together, strict=True):
        (alone,) = specialist.predict([text])
        assert alone.route.label == beside_others.route.label
        assert alone.route.confidence == pytest.approx(beside_others.route.confidence, abs=0.01)
        assert [(e.label, e.start, e.end) for e in alone.entities] == [
            (e.label, e.start, e.end) for e in beside_others.entities
        ]
