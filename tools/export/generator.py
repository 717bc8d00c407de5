"""The graphs of a Gemma 3 that writes: trunk with a cache, whole head, and head of a few rows.

Names and shapes are those of docs/gemma3.md.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from tools.export.gemma3 import HIDDEN_AWAY, by_head, gated
from tools.export.graph import Graph
from tools.trunks.gemma3 import Layer
from tools.trunks.gemma3_generator import Gemma3Generator
from tools.trunks.gemma3_shape import KINDS
from tools.trunks.parts import RmsNorm

BAND = "band"


def build_generator(model: Gemma3Generator, accuracy_level: int = 4) -> dict[str, onnx.ModelProto]:
    """The checked graphs by file name, each with all its weights in it."""
    return {
        "model.onnx": _trunk(model, accuracy_level),
        "head.onnx": _head(model, accuracy_level),
        "rows.onnx": _rows(model, accuracy_level),
    }


def _trunk(model: Gemma3Generator, accuracy_level: int) -> onnx.ModelProto:
    graph = Graph(accuracy_level, half_scales=True)
    graph.input("input_ids", TensorProto.INT64, [1, "T"])
    graph.input("seqlens_k", TensorProto.INT32, [1])
    graph.input("total_sequence_length", TensorProto.INT32, [])
    for kind in KINDS:
        graph.constant(f"{kind}.cos", model.angles(kind).cos())
        graph.constant(f"{kind}.sin", model.angles(kind).sin())
    if model.shape.has_band("sliding_attention"):
        _band(graph, model.shape.window)
    scale = graph.constant("word_scale", np.float32([model.shape.hidden**0.5]))
    x = graph.add("Mul", [graph.words(model.words), scale], "embedding")
    seen = graph.rms_norm(x, model.layers[0].before_attention, "layer0.before_attention")
    for index, layer in enumerate(model.layers):
        is_last = index == len(model.layers) - 1
        x, narrow = _layer(graph, x, seen, layer, index, is_last=is_last)
        if is_last:
            graph.skip_rms_norm(x, narrow, model.norm, "hidden")
        else:
            after = model.layers[index + 1].before_attention
            x, seen = graph.skip_rms_norm(x, narrow, after, f"layer{index + 1}.before_attention")
    graph.output("hidden", [1, 1, model.shape.hidden])
    _declare_cache(graph, model)
    return graph.finished("edge-agent-generator")


def _band(graph: Graph, window: int) -> None:
    """Lowers what lies ``window`` tokens back or more: [1, 1, T, total].

    The operator's own window is one token wider before onnxruntime 1.28 than after, so it is not
    used.
    """
    tokens = graph.add("Size", ["input_ids"], f"{BAND}.tokens")
    tokens = graph.add("Cast", [tokens], f"{BAND}.new", to=TensorProto.INT32)
    total = "total_sequence_length"
    past = graph.add("Sub", [total, tokens], f"{BAND}.past")
    zero, one = (graph.constant(f"{BAND}.{i}", np.int32(i)) for i in (0, 1))
    keys = graph.add("Range", [zero, total, one], f"{BAND}.keys")
    queries = graph.add("Range", [past, total, one], f"{BAND}.queries")
    column = graph.add("Unsqueeze", [queries, graph.integers(1)], f"{BAND}.column")
    back = graph.add("Sub", [column, keys], f"{BAND}.back")
    width = graph.constant(f"{BAND}.width", np.int32(window))
    near = graph.add("Less", [back, width], f"{BAND}.near")
    choice = [graph.constant(f"{BAND}.{x}", np.float32(x)) for x in (0.0, HIDDEN_AWAY)]
    flat = graph.add("Where", [near, *choice], f"{BAND}.flat")
    graph.add("Unsqueeze", [flat, graph.integers(0, 1)], BAND)


def _layer(
    graph: Graph, x: str, seen: str, layer: Layer, index: int, *, is_last: bool
) -> tuple[str, str]:
    """[1, T, H] and its norm -> what is to be added, twice [1, T, H].

    Of the last layer only the last token's, [1, 1, H].
    """
    name = f"layer{index}"
    mixed = _attention(graph, seen, layer, index)
    if is_last:
        x, mixed = (_last_token(graph, states) for states in (x, mixed))
    mixed = graph.linear(mixed, layer.attention_out, f"{name}.attention_out", bias=False)
    mixed = graph.rms_norm(mixed, layer.after_attention, f"{name}.after_attention")
    x, seen = graph.skip_rms_norm(x, mixed, layer.before_ffn, f"{name}.before_ffn")
    wide = gated(graph, seen, layer, name)
    narrow = graph.linear(wide, layer.ffn_out, f"{name}.ffn_out", bias=False)
    return x, graph.rms_norm(narrow, layer.after_ffn, f"{name}.after_ffn")


def _attention(graph: Graph, x: str, layer: Layer, index: int) -> str:
    """[1, T, H] -> [1, T, A * D], before the product that mixes the heads."""
    shape, name = layer.shape, f"layer{index}"
    qkv = graph.linear(x, layer.qkv, f"{name}.qkv", bias=False)
    q, k, v = graph.split(qkv, shape.widths, [f"{name}.{part}" for part in ("q", "k", "v")])
    q = _normed(graph, q, layer.query_norm, layer, shape.heads)
    k = _normed(graph, k, layer.key_norm, layer, shape.key_heads)
    past = [f"past_key_values.{index}.{part}" for part in ("key", "value")]
    lengths = ["seqlens_k", "total_sequence_length"]
    inputs = [q, k, v, *past, *lengths, f"{layer.kind}.cos", f"{layer.kind}.sin"]
    inputs += ["", BAND] if shape.has_band(layer.kind) else []
    outputs = [f"{name}.mixed", *(f"present.{index}.{part}" for part in ("key", "value"))]
    return graph.contribs(
        "GroupQueryAttention", inputs, outputs, num_heads=shape.heads,
        kv_num_heads=shape.key_heads, scale=shape.query_scale, do_rotary=1,
    )  # fmt: skip


def _normed(graph: Graph, x: str, norm: RmsNorm, layer: Layer, heads: int) -> str:
    """Normed by head: [1, T, heads * D] -> the same. One head is no more than a row."""
    if heads == 1:
        return graph.rms_norm(x, norm, f"{x}.norm")
    by_heads = graph.add("Reshape", [x, by_head(graph, layer)], f"{x}.heads")
    normed = graph.rms_norm(by_heads, norm, f"{x}.norm")
    return graph.add("Reshape", [normed, graph.integers(0, 0, -1)], f"{x}.flat")


def _last_token(graph: Graph, x: str) -> str:
    """[1, T, N] -> [1, 1, N]."""
    return graph.add("Gather", [x, graph.integers(-1)], f"{x}.last", axis=1)


def _declare_cache(graph: Graph, model: Gemma3Generator) -> None:
    shape = model.shape
    for index in range(shape.layers):
        for part in ("key", "value"):
            sizes: list[str | int] = [1, shape.key_heads, "S", shape.head_size]
            graph.input(f"past_key_values.{index}.{part}", TensorProto.FLOAT, sizes)
            grown: list[str | int] = [1, shape.key_heads, "S_out", shape.head_size]
            graph.output(f"present.{index}.{part}", grown)


def _head(model: Gemma3Generator, accuracy_level: int) -> onnx.ModelProto:
    """``hidden`` [1, 1, H] -> ``logits`` [1, V]."""
    graph = Graph(accuracy_level, half_scales=True)
    graph.input("hidden", TensorProto.FLOAT, [1, 1, model.shape.hidden])
    flat = graph.add("Reshape", ["hidden", graph.integers(1, -1)], "flat")
    graph.word_logits(flat, model.words, "logits")
    graph.output("logits", [1, model.shape.vocabulary])
    return graph.finished("edge-agent-head")


def _rows(model: Gemma3Generator, accuracy_level: int) -> onnx.ModelProto:
    """``hidden`` [1, 1, H] and ``row_ids`` [K] -> ``logits`` [K]."""
    graph = Graph(accuracy_level, half_scales=True)
    graph.input("hidden", TensorProto.FLOAT, [1, 1, model.shape.hidden])
    graph.input("row_ids", TensorProto.INT64, ["K"])
    rows = graph.word_rows(model.words, "row_ids", "rows")
    column = graph.add("Reshape", ["hidden", graph.integers(-1)], "column")
    graph.add("MatMul", [rows, column], "logits")
    graph.output("logits", ["K"])
    return graph.finished("edge-agent-rows")
