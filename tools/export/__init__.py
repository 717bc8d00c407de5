"""Writes the ONNX graph of an encoder: INT4 blocks in the trunk, float32 heads.

Inputs ``input_ids`` and ``attention_mask`` int64 [B, T]; outputs ``route_logits`` float32 [B, R]
and ``tag_logits`` float32 [B, T, C], each absent when its head is. The products carry their zero
points, for confidences that agree on Arm and x86-64: see ``zero_points``.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from tools.export import bert, gemma3, zero_points
from tools.export.graph import INPUTS, Graph
from tools.trunks.bert import BertEncoder
from tools.trunks.gemma3 import Gemma3Encoder
from tools.trunks.joint import Encoder

TRUNKS = {BertEncoder: bert.trunk, Gemma3Encoder: gemma3.trunk}


def build(encoder: Encoder, accuracy_level: int = 4) -> onnx.ModelProto:
    """The checked ONNX model of ``encoder``."""
    graph = Graph(accuracy_level)
    for name in INPUTS:
        graph.input(name, TensorProto.INT64, ["B", "T"])
    mask = graph.add("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
    last, tapped = TRUNKS[type(encoder)](graph, encoder, mask)
    if encoder.route is not None:
        graph.head(_pooled(graph, last), encoder.route, "route_logits")
        graph.output("route_logits", ["B", encoder.shape.routes])
    if encoder.tag is not None:
        both = graph.add("Concat", [last, tapped], "tag_features", axis=-1)
        graph.head(both, encoder.tag, "tag_logits")
        graph.output("tag_logits", ["B", "T", encoder.shape.tags])
    model = graph.finished("edge-agent-encoder")
    zero_points.write_out(model)
    return model


def _pooled(graph: Graph, x: str) -> str:
    """First token, mean and maximum over real tokens: [B, 3 H]."""
    number = graph.add("Cast", ["attention_mask"], "mask_float", to=TensorProto.FLOAT)
    real = graph.add("Unsqueeze", [number, graph.integers(2)], "real")
    kept = graph.add("Mul", [x, real], "kept")
    total = graph.add("ReduceSum", [kept, graph.integers(1)], "total", keepdims=0)
    count = graph.add("ReduceSum", [real, graph.integers(1)], "n", keepdims=0)
    mean = graph.add("Div", [total, count], "mean")
    less = graph.add("Sub", [real, graph.constant("unit", np.float32([1]))], "less")
    sunk = graph.add("Mul", [less, graph.constant("depth", np.float32([1e4]))], "sunk")
    raised = graph.add("Add", [x, sunk], "raised")
    largest = graph.add("ReduceMax", [raised], "largest", axes=[1], keepdims=0)
    first = graph.add("Gather", [x, graph.constant("first", np.array(0))], "first_token", axis=1)
    return graph.add("Concat", [first, mean, largest], "pooled", axis=-1)
