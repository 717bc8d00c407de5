"""Tiny bundles whose model is set off by the word ``gas``: it never returns, or raises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.support.tiny_bundle import LABELS, ROUTES, Vocabulary, tiny_bundle, write_manifest

TRIGGER = "gas"
Trap = Literal["hang", "raise"]
ENDLESS = 1 << 62


def trap_bundle(path: Path, trap: Trap) -> Path:
    """Writes the bundle into the folder ``path`` and returns it."""
    tiny_bundle(path)
    model = onnx.load(str(path / "model.onnx"))
    _set_trap(model.graph, Vocabulary.of(ROUTES, LABELS).id(TRIGGER), trap)
    onnx.checker.check_model(model)
    (path / "model.onnx").write_bytes(model.SerializeToString())
    write_manifest(path, json.loads((path / "bundle.json").read_text()))
    return path


def _set_trap(graph: onnx.GraphProto, word: int, trap: Trap) -> None:
    """``seen`` is 1 where the word occurs; the trap's result, always 0, joins the route votes."""
    graph.initializer.append(numpy_helper.from_array(np.array(word, np.int64), "trigger"))
    graph.node.extend(
        [
            helper.make_node("Equal", ["input_ids", "trigger"], ["hits"]),
            helper.make_node("Cast", ["hits"], ["hit_counts"], to=TensorProto.INT64),
            helper.make_node("ReduceMax", ["hit_counts"], ["seen"], keepdims=0),
        ]
    )
    graph.node.extend(_hang(graph) if trap == "hang" else _raise(graph))
    final = next(node for node in graph.node if "route_logits" in node.output)
    final.output[0] = "trapless_logits"
    graph.node.extend(
        [
            helper.make_node("Cast", ["trapped"], ["nothing"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["trapless_logits", "nothing"], ["route_logits"]),
        ]
    )


def _raise(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Looks up row ``seen`` of a table of one row."""
    graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.int64), "one_row"))
    return [helper.make_node("Gather", ["one_row", "seen"], ["trapped"])]


def _hang(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Counts nothing, ``seen`` times 2**62 turns."""
    for name, value in (("endless", np.array(ENDLESS)), ("zero", np.array(0))):
        graph.initializer.append(numpy_helper.from_array(value.astype(np.int64), name))
    number, condition, carried = (
        helper.make_tensor_value_info(name, kind, [])
        for name, kind in (
            ("turn", TensorProto.INT64),
            ("go_on", TensorProto.BOOL),
            ("kept", TensorProto.INT64),
        )
    )
    goes_on = helper.make_tensor_value_info("still_on", TensorProto.BOOL, [])
    result = helper.make_tensor_value_info("kept_on", TensorProto.INT64, [])
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["still_on"]),
            helper.make_node("Identity", ["kept"], ["kept_on"]),
        ],
        "body",
        [number, condition, carried],
        [goes_on, result],
    )
    return [
        helper.make_node("Mul", ["seen", "endless"], ["turns"]),
        helper.make_node("Loop", ["turns", "", "zero"], ["trapped"], body=body),
    ]
