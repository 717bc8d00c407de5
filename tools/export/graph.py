"""An ONNX graph under construction. Knows INT4 blocks and norms, not architectures.

With ``half_scales`` the scales of blocks are stored in float16, which they must fit exactly, and
widened in the graph: onnxruntime does that once, while it loads.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from tools.trunks.parts import QuantLinear, RmsNorm, Words
from tools.trunks.quantise import BITS, BLOCK, packed

OPSET = 17
IR_VERSION = 8
MICROSOFT = "com.microsoft"
INPUTS = ("input_ids", "attention_mask")
RUNTIMES_OWN = {"SimplifiedLayerNormalization"}
"""onnxruntime keeps these in the standard domain, where onnx's checker does not know them."""


class Graph:
    """Nodes, constants and outputs. Every method that adds nodes gives its output's name."""

    def __init__(self, accuracy_level: int, *, half_scales: bool = False) -> None:
        self.accuracy_level = accuracy_level
        self.half_scales = half_scales
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def constant(self, name: str, value: Tensor | np.ndarray) -> str:
        array = value.detach().numpy() if isinstance(value, Tensor) else value
        self.constants[name] = numpy_helper.from_array(np.array(array, order="C"), name)
        return name

    def integers(self, *values: int) -> str:
        """A constant list, of which there is one in the graph."""
        return self.constant(f"integers_{'_'.join(map(str, values))}", np.array(values))

    def add(self, op: str, inputs: list[str], name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def contrib(self, op: str, inputs: list[str], name: str, **attributes: object) -> str:
        return self.add(op, inputs, name, domain=MICROSOFT, **attributes)

    def contribs(self, op: str, inputs: list[str], outputs: list[str], **attributes: object) -> str:
        """A node of several outputs; gives the name of the first, which is the node's too."""
        domain, name = MICROSOFT, outputs[0]
        node = helper.make_node(op, inputs, outputs, name=name, domain=domain, **attributes)
        self.nodes.append(node)
        return name

    def split(self, x: str, widths: list[int], names: list[str]) -> list[str]:
        """Parts of the last axis."""
        inputs = [x, self.integers(*widths)]
        self.nodes.append(helper.make_node("Split", inputs, names, f"{x}.split", axis=-1))
        return names

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
            self.scales(f"{name}.scales", layer.scales),
        ]
        if bias:
            inputs += ["", "", self.constant(f"{name}.bias", layer.bias)]
        return self._product4(inputs, layer.out_features, layer.in_features, name)

    def word_logits(self, x: str, words: Words, name: str) -> str:
        """The word table as a head: [1, H] -> [1, V]."""
        if not words.quantise:
            table = self.constant("words.table", words.weight)
            return self.add("Gemm", [x, table], name, transB=1)
        blocks = self.constant("words.blocks", packed(words.weight, words.scales))
        inputs = [x, blocks, self.scales("words.scales", words.scales)]
        return self._product4(inputs, *words.weight.shape, name)

    def _product4(self, inputs: list[str], outputs: int, width: int, name: str) -> str:
        """[..., K] -> [..., N] by blocks uint8 [N, K / 32, 16] and scales [N, K / 32]."""
        return self.contrib(
            "MatMulNBits", inputs, name, bits=BITS, block_size=BLOCK, K=width, N=outputs,
            accuracy_level=self.accuracy_level,
        )  # fmt: skip

    def scales(self, name: str, scales: Tensor) -> str:
        """Scales in float32, however they are stored."""
        if not self.half_scales:
            return self.constant(name, scales)
        stored = self.constant(f"{name}.half", scales.half())
        return self.add("Cast", [stored], name, to=TensorProto.FLOAT)

    def words(self, words: Words) -> str:
        """Rows of ``input_ids`` [B, T, H], unpacked from INT4 where the table shows it."""
        return self.word_rows(words, INPUTS[0], "words")

    def word_rows(self, words: Words, ids: str, name: str) -> str:
        """Rows of the word table: [...] int64 -> [..., H]."""
        if words.whole is not None:
            raise ValueError("widen the word table before it is exported")
        if not words.quantise:
            return self.add("Gather", [self.constant("words.table", words.weight), ids], name)
        table = self.constant("words.blocks", packed(words.weight, words.scales).flatten(1))
        if self.half_scales:
            return self._half_rows(table, words.scales, ids, name)
        scales = self.constant("words.scales", words.scales)
        return self._unpacked([table, ids, scales], name)

    def _half_rows(self, table: str, scales: Tensor, ids: str, name: str) -> str:
        """Takes the rows out first, so that only their scales are widened. ``ids`` [..., T]."""
        stored = self.constant("words.scales.half", scales.half())
        flat = self.add("Reshape", [ids, self.integers(-1)], f"{name}.ids")
        few = self.add("Gather", [table, flat], f"{name}.few")
        halves = self.add("Gather", [stored, flat], f"{name}.halves")
        wide = self.add("Cast", [halves], f"{name}.few_scales", to=TensorProto.FLOAT)
        count = self.add("Size", [flat], f"{name}.count")
        limits = [self.constant("zero", np.array(0)), count, self.constant("one", np.array(1))]
        order = self.add("Range", limits, f"{name}.order")
        shaped = self.add("Shape", [ids], f"{name}.like")
        order = self.add("Reshape", [order, shaped], f"{name}.places")
        return self._unpacked([few, order, wide], name)

    def _unpacked(self, inputs: list[str], name: str) -> str:
        return self.contrib(
            "GatherBlockQuantized", inputs, name,
            bits=BITS, block_size=BLOCK, gather_axis=0, quantize_axis=1,
        )  # fmt: skip

    def skip_norm(self, x: str, skip: str, norm: nn.LayerNorm, name: str, bias: str = "") -> str:
        """Layer norm of the sum of both, and of ``bias`` [H]."""
        gamma = self.constant(f"{name}.gamma", norm.weight)
        beta = self.constant(f"{name}.beta", norm.bias)
        inputs = [x, skip, gamma, beta, *([bias] if bias else [])]
        return self.contrib("SkipLayerNormalization", inputs, name, epsilon=norm.eps)

    def rms_norm(self, x: str, norm: RmsNorm, name: str) -> str:
        """Over the last axis; the graph's factor is 1 + weight."""
        gamma = self.constant(f"{name}.gamma", 1 + norm.weight.detach())
        return self.add(
            "SimplifiedLayerNormalization", [x, gamma], name, axis=-1, epsilon=norm.epsilon
        )

    def skip_rms_norm(self, x: str, skip: str, norm: RmsNorm, name: str) -> tuple[str, str]:
        """The sum of both, and that normed as by ``rms_norm``: one node in place of two."""
        gamma = self.constant(f"{name}.gamma", 1 + norm.weight.detach())
        outputs = [name, "", "", f"{name}.sum"]
        op = "SkipSimplifiedLayerNormalization"
        self.contribs(op, [x, skip, gamma], outputs, epsilon=norm.epsilon)
        return outputs[-1], name

    def head(self, x: str, layer: nn.Linear, name: str) -> str:
        """A float32 product with bias: [..., K] -> [..., N]."""
        product = self.add("MatMul", [x, self.constant(f"{name}.w", layer.weight.T)], f"{name}.p")
        return self.add("Add", [product, self.constant(f"{name}.b", layer.bias)], name)

    def input(self, name: str, kind: int, shape: list[str | int]) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, shape: list[str | int]) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def finished(self, name: str) -> onnx.ModelProto:
        """The checked model."""
        constants = list(self.constants.values())
        proto = helper.make_graph(self.nodes, name, self.inputs, self.outputs, constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(
            proto, producer_name="edge-agent", ir_version=IR_VERSION, opset_imports=opsets
        )
        own = [node for node in model.graph.node if node.op_type in RUNTIMES_OWN]
        _move(own, MICROSOFT)
        onnx.checker.check_model(model)
        _move(own, "")
        return model


def _move(nodes: list[onnx.NodeProto], domain: str) -> None:
    for node in nodes:
        node.domain = domain
