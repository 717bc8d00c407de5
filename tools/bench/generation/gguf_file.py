"""A generator bundle as a GGUF file for llama.cpp: the very same INT4 blocks, in its byte order.

Both keep 32 neighbours as (q - 8) * scale. A byte of ours holds neighbours 2j and 2j + 1, one of
Q4_0 holds j and j + 16, behind the scale.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edge_agent.bundle import Bundle
from edge_agent.manifest import MODEL, TOKENIZER
from tools.errors import ToolError

NORMS = {
    "before_attention": "attn_norm", "after_attention": "post_attention_norm",
    "before_ffn": "ffn_norm", "after_ffn": "post_ffw_norm",
    "q.norm": "attn_q_norm", "k.norm": "attn_k_norm",
}  # fmt: skip
PRODUCTS = {
    "qkv": ("attn_q", "attn_k", "attn_v"), "attention_out": ("attn_output",),
    "ffn_in": ("ffn_gate", "ffn_up"), "ffn_out": ("ffn_down",),
}  # fmt: skip
NORMAL, UNKNOWN, CONTROL, OCTET = 1, 2, 3, 6
"""llama.cpp's kinds of pieces."""


@dataclass
class Trunk:
    """What the graph of a bundle says: constants by name, and the model's sizes."""

    bundle: Bundle

    @cached_property
    def graph(self) -> onnx.GraphProto:
        return onnx.load(self.bundle.path / MODEL).graph

    @cached_property
    def constants(self) -> dict[str, onnx.TensorProto]:
        return {tensor.name: tensor for tensor in self.graph.initializer}

    def floats(self, name: str) -> NDArray[np.float32]:
        return numpy_helper.to_array(self.constants[name])

    def blocks(self, name: str) -> NDArray[np.uint8]:
        """The matrix ``name`` as Q4_0: [N, K / 32 * 18]."""
        halves = numpy_helper.to_array(self.constants[f"{name}.scales.half"])
        packed = numpy_helper.to_array(self.constants[f"{name}.blocks"])
        return q4_0(packed.reshape(*halves.shape, -1), halves)

    def attribute(self, op: str, name: str) -> Any:
        node = next(node for node in self.graph.node if node.op_type == op)
        return next(onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name)

    def theta(self, kind: str) -> float:
        """Of the rotary positions: pair D / 4 turns by theta ** -0.5 a position."""
        sines = self.floats(f"{kind}.sin")[1]
        return float(np.arcsin(np.float64(sines[len(sines) // 2])) ** -2)

    @property
    def period(self) -> int:
        """Every how many layers one sees all. ToolError where that is irregular."""
        nodes = [node for node in self.graph.node if node.op_type == "GroupQueryAttention"]
        full = [node.input[7].startswith("full") for node in nodes]
        period = full.index(True) + 1 if True in full else len(full) + 1
        if full != [(i + 1) % period == 0 for i in range(len(full))]:
            raise ToolError(
                f"{self.bundle.path}: llama.cpp knows no such order of sliding and full layers",
                "measure a Gemma 3 whose full layers come at regular distances",
            )
        return period

    @property
    def window(self) -> int:
        """Tokens that sliding layers look back on, at most the context."""
        band = self.constants.get("band.width")
        return self.bundle.manifest.max_tokens if band is None else int(numpy_helper.to_array(band))


def q4_0(packed: NDArray[np.uint8], scales: NDArray[np.float16]) -> NDArray[np.uint8]:
    """[N, B, 16] and [N, B] -> [N, B * 18]."""
    values = np.stack([packed & 15, packed >> 4], -1).reshape(*scales.shape, 32)
    nibbles = values[..., :16] | values[..., 16:] << 4
    d = scales[..., None].astype("<f2").view(np.uint8)
    return np.concatenate([d, nibbles], -1).reshape(len(scales), -1)


def write_gguf(bundle: Bundle, out: Path) -> Path:
    """The bundle's trunk, word table (tied head) and pieces in one file. Raises ToolError."""
    gguf = gguf_library()
    trunk = Trunk(bundle)
    writer = gguf.GGUFWriter(out, "gemma3")
    _add_sizes(writer, trunk)
    _add_pieces(writer, bundle)
    for name, matrix in _matrices(trunk):
        writer.add_tensor(name, matrix, raw_dtype=gguf.GGMLQuantizationType.Q4_0)
    for name, factors in _norms(trunk):
        writer.add_tensor(name, factors)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def _add_sizes(writer: Any, trunk: Trunk) -> None:
    shape = trunk.bundle.manifest.generator
    assert shape is not None
    writer.add_context_length(trunk.bundle.manifest.max_tokens)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(len(trunk.blocks("layer0.ffn_in")) // 2)
    writer.add_head_count(trunk.attribute("GroupQueryAttention", "num_heads"))
    writer.add_head_count_kv(shape.key_heads)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    writer.add_layer_norm_rms_eps(trunk.attribute("SimplifiedLayerNormalization", "epsilon"))
    writer.add_rope_freq_base(trunk.theta("full_attention"))
    writer.add_rope_freq_base_swa(trunk.theta("sliding_attention"))
    writer.add_sliding_window(trunk.window)
    writer.add_sliding_window_pattern(trunk.period)
    writer.add_file_type(2)  # mostly Q4_0


def _add_pieces(writer: Any, bundle: Bundle) -> None:
    """Texts are cut into tokens by our tokenizer for both, so the scores are never used."""
    shape = bundle.manifest.generator
    assert shape is not None
    content = json.loads(bundle.contents[TOKENIZER])
    pieces = {i: piece for piece, i in content["model"]["vocab"].items()}
    special = {token["id"]: token["content"] for token in content["added_tokens"]}
    pieces |= special
    ids = range(shape.vocabulary)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([pieces.get(i, f"<unused{i}>") for i in ids])
    writer.add_token_scores([float(-i) for i in ids])
    writer.add_token_types([_kind(pieces.get(i), is_special=i in special) for i in ids])
    writer.add_eos_token_id(shape.stop_tokens[0])
    writer.add_eot_token_id(shape.stop_tokens[-1])
    writer.add_add_bos_token(False)


def _kind(piece: str | None, *, is_special: bool) -> int:
    if piece == "<unk>":
        return UNKNOWN
    if piece is None or is_special:
        return CONTROL
    return OCTET if len(piece) == 6 and piece.startswith("<0x") else NORMAL


def _matrices(trunk: Trunk) -> list[tuple[str, NDArray[np.uint8]]]:
    shape = trunk.bundle.manifest.generator
    assert shape is not None
    keys = shape.key_heads * shape.head_size
    found = [("token_embd.weight", trunk.blocks("words"))]
    for index in range(shape.layers):
        for ours, theirs in PRODUCTS.items():
            rows = trunk.blocks(f"layer{index}.{ours}")
            cuts = [len(rows) - 2 * keys, len(rows) - keys] if ours == "qkv" else len(theirs)
            parts = zip(theirs, np.split(rows, cuts), strict=True)
            found += [(f"blk.{index}.{name}.weight", part) for name, part in parts]
    return found


def _norms(trunk: Trunk) -> list[tuple[str, NDArray[np.float32]]]:
    """Factors as in our graphs: 1 + weight."""
    shape = trunk.bundle.manifest.generator
    assert shape is not None
    found = [("output_norm.weight", trunk.floats("hidden.gamma"))]
    for index in range(shape.layers):
        for ours, theirs in NORMS.items():
            factors = trunk.floats(f"layer{index}.{ours}.gamma")
            found.append((f"blk.{index}.{theirs}.weight", factors))
    return found


def gguf_library() -> Any:
    """The package. Raises ToolError where it is missing."""
    try:
        import gguf  # noqa: PLC0415 only to compare with llama.cpp
    except ImportError as error:
        raise ToolError(
            "a GGUF file is written by the package gguf, which is not installed",
            "pip install gguf",
        ) from error
    return gguf
