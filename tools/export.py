"""Writes the ONNX graph of an encoder, node by node: INT4 blocks in the trunk, float32 heads.

Inputs ``input_ids`` and ``attention_mask`` int64 [B, T]; outputs ``route_logits`` float32 [B, R]
and ``tag_logits`` float32 [B, T, C], each absent when its head is.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from tools.model import EPSILON, Encoder, Layer, QuantLinear, Words
from tools.quantise import BITS, BLOCK, packed

OPSET = 17
IR_VERSION = 8
MICROSOFT = "com.microsoft"


class Graph:
    """Nodes and initialisers under construction. Every ``add`` gives its first output's name."""

    def __init__(self, accuracy_level: int) -> None:
        self.accuracy_level = accuracy_level
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Tensor | np.ndarray) -> str:
        array = value.detach().numpy() if isinstance(value, Tensor) else value
        self.constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def add(self, op: str, inputs: list[str], name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def contrib(self, op: str, inputs: list[str], name: str, **attributes: object) -> str:
        return self.add(op, inputs, name, domain=MICROSOFT, **attributes)

    def linear(self, x: str, layer: QuantLinear, name: str, *, bias: bool) -> str:
        """A trunk product: [B, T, K] -> [B, T, N], over INT4 blocks where the layer shows them."""
        if layer.quantise:
            return self._linear4(x, layer, name, bias=bias)
        product = self.constant(f"{name}.w", layer.weight.T)
        if not bias:
            return self.add("MatMul", [x, product], name)
        product = self.add("MatMul", [x, product], f"{name}.p")
        return self.add("Add", [product, self.constant(f"{name}.bias", layer.bias)], name)

    def _linear4(self, x: str, layer: QuantLinear, name: str, *, bias: bool) -> str:
        inputs = [
            x,
            self.constant(f"{name}.blocks", packed(layer.weight, layer.scales)),
            self.constant(f"{name}.scales", layer.scales),
        ]
        if bias:
            inputs += ["", "", self.constant(f"{name}.bias", layer.bias)]
        sizes = {"K": layer.in_features, "N": layer.out_features}
        return self.contrib(
            "MatMulNBits", inputs, name, bits=BITS, block_size=BLOCK,
            accuracy_level=self.accuracy_level, **sizes,
        )  # fmt: skip

    def skip_norm(self, x: str, skip: str, norm: nn.LayerNorm, name: str, bias: str = "") -> str:
        inputs = [
            x,
            skip,
            self.constant(f"{name}.gamma", norm.weight),
            self.constant(f"{name}.beta", norm.bias),
        ]
        inputs += [bias] if bias else []
        return self.contrib("SkipLayerNormalization", inputs, name, epsilon=EPSILON)

    def head(self, x: str, layer: nn.Linear, name: str) -> str:
        """A float32 product with bias: [..., K] -> [..., N]."""
        product = self.add("MatMul", [x, self.constant(f"{name}.w", layer.weight.T)], f"{name}.p")
        return self.add("Add", [product, self.constant(f"{name}.b", layer.bias)], name)


def build(encoder: Encoder, accuracy_level: int = 4) -> onnx.ModelProto:
    """The checked ONNX model of ``encoder``."""
    graph = Graph(accuracy_level)
    x = _embeddings(graph, encoder)
    mask = graph.add("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
    states = []
    for index, layer in enumerate(encoder.layers):
        x = _layer(graph, x, mask, layer, f"layer{index}")
        states.append(x)
    outputs = []
    if encoder.route is not None:
        graph.head(_pooled(graph, x), encoder.route, "route_logits")
        outputs.append(_value("route_logits", TensorProto.FLOAT, ["B", encoder.shape.routes]))
    if encoder.tag is not None:
        both = graph.add("Concat", [x, states[encoder.shape.tap - 1]], "tag_features", axis=-1)
        graph.head(both, encoder.tag, "tag_logits")
        outputs.append(_value("tag_logits", TensorProto.FLOAT, ["B", "T", encoder.shape.tags]))
    return _finished(graph, outputs)


def _embeddings(graph: Graph, encoder: Encoder) -> str:
    """Word rows unpacked from INT4, plus positions, normalised: [B, T, H]."""
    rows = _words(graph, encoder.words)
    shape = graph.add("Shape", ["input_ids"], "tokens", start=1, end=2)
    ends = [graph.constant("first", np.array([0])), shape, graph.constant("rows", np.array([0]))]
    positions = graph.constant("positions", encoder.positions)
    near = graph.add("Slice", [positions, *ends], "near_positions")
    return graph.skip_norm(rows, near, encoder.norm, "embedding")


def _words(graph: Graph, words: Words) -> str:
    if not words.quantise:
        return graph.add(
            "Gather", [graph.constant("words.table", words.weight), "input_ids"], "words"
        )
    table = graph.constant("words.blocks", packed(words.weight, words.scales).flatten(1))
    scales = graph.constant("words.scales", words.scales)
    return graph.contrib(
        "GatherBlockQuantized", [table, "input_ids", scales], "words",
        bits=BITS, block_size=BLOCK, gather_axis=0, quantize_axis=1,
    )  # fmt: skip


def _layer(graph: Graph, x: str, mask: str, layer: Layer, name: str) -> str:
    """One transformer layer: [B, T, H] -> [B, T, H]."""
    qkv = graph.linear(x, layer.qkv, f"{name}.qkv", bias=True)
    parts = [f"{name}.{part}" for part in ("query", "key", "value")]
    thirds = graph.constant(f"{name}.thirds", np.array([layer.attention_out.in_features] * 3))
    graph.nodes.append(helper.make_node("Split", [qkv, thirds], parts, f"{name}.split", axis=-1))
    mixed = graph.contrib(
        "MultiHeadAttention", [*parts, "", mask], f"{name}.attention", num_heads=layer.heads
    )
    mixed = graph.linear(mixed, layer.attention_out, f"{name}.attention_out", bias=False)
    bias = graph.constant(f"{name}.attention_out.bias", layer.attention_out.bias)
    x = graph.skip_norm(mixed, x, layer.attention_norm, f"{name}.attention_norm", bias)
    wide = graph.linear(x, layer.ffn_in, f"{name}.ffn_in", bias=False)
    bias = graph.constant(f"{name}.ffn_in.bias", layer.ffn_in.bias)
    wide = graph.contrib("BiasGelu", [wide, bias], f"{name}.gelu")
    narrow = graph.linear(wide, layer.ffn_out, f"{name}.ffn_out", bias=False)
    bias = graph.constant(f"{name}.ffn_out.bias", layer.ffn_out.bias)
    return graph.skip_norm(narrow, x, layer.ffn_norm, f"{name}.ffn_norm", bias)


def _pooled(graph: Graph, x: str) -> str:
    """First token, mean and maximum over real tokens: [B, 3 H]."""
    axes = {"axes": [1], "keepdims": 0}
    last = graph.constant("last_axis", np.array([2]))
    number = graph.add("Cast", ["attention_mask"], "mask_float", to=TensorProto.FLOAT)
    real = graph.add("Unsqueeze", [number, last], "real")
    one = graph.constant("axis_1", np.array([1]))
    kept = graph.add("Mul", [x, real], "kept")
    total = graph.add("ReduceSum", [kept, one], "total", keepdims=0)
    mean = graph.add("Div", [total, graph.add("ReduceSum", [real, one], "n", keepdims=0)], "mean")
    less = graph.add("Sub", [real, graph.constant("unit", np.float32([1]))], "less")
    sunk = graph.add("Mul", [less, graph.constant("depth", np.float32([1e4]))], "sunk")
    largest = graph.add("ReduceMax", [graph.add("Add", [x, sunk], "raised")], "largest", **axes)
    first = graph.add("Gather", [x, graph.constant("cls", np.array(0))], "first_token", axis=1)
    return graph.add("Concat", [first, mean, largest], "pooled", axis=-1)


def _value(name: str, kind: int, shape: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _finished(graph: Graph, outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
    inputs = [
        _value(name, TensorProto.INT64, ["B", "T"]) for name in ("input_ids", "attention_mask")
    ]
    proto = helper.make_graph(graph.nodes, "edge-agent-encoder", inputs, outputs, graph.constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(
        proto, producer_name="edge-agent", ir_version=IR_VERSION, opset_imports=opsets
    )
    onnx.checker.check_model(model)
    return model
