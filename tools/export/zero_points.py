"""Zero points of an encoder's INT4 products, written out, so that Arm agrees with x86-64.

They say what ``MatMulNBits`` assumes without them, and no number of x86-64 changes. But on Arm
cores with int8 dot products onnxruntime chooses by them: without, KleidiAI's kernels give all of a
token's activations one scale; with, those that give each block its own, as on x86-64. Figures are
in docs/arm.md.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from tools.trunks.quantise import BITS, BLOCK, CENTRE

ZERO_POINTS = 3
"""Which input of the operator."""
PAIR = CENTRE << BITS | CENTRE
"""Two of them in a byte."""


def write_out(model: onnx.ModelProto) -> int:
    """Adds what is missing, uint8 [N, K / 64] each, equal ones once; to how many products."""
    lacking = [n for n in model.graph.node if n.op_type == "MatMulNBits" and not given(n)]
    added: dict[str, onnx.TensorProto] = {}
    for node in lacking:
        sizes = {item.name: item.i for item in node.attribute}
        name = f"zero_points_{sizes['N']}_{sizes['K']}"
        pairs = np.full((sizes["N"], -(-sizes["K"] // (2 * BLOCK))), PAIR, np.uint8)
        added[name] = numpy_helper.from_array(pairs, name)
        before, after = node.input[:ZERO_POINTS], node.input[ZERO_POINTS + 1 :]
        node.ClearField("input")
        node.input.extend([*before, name, *after])
    model.graph.initializer.extend(added.values())
    return len(lacking)


def given(node: onnx.NodeProto) -> str:
    """The name of a product's zero points, empty where it has none."""
    return node.input[ZERO_POINTS] if len(node.input) > ZERO_POINTS else ""
