"""A generator of a few KB with random weights: two layers, one with a sliding window, tied head.

Its tokenizer is byte-fallback BPE, as Gemma's is, learnt from a few words. What it writes makes no
sense, which is the point: whatever it prefers, the grammar must hold.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from tests.support.tiny_bundle import write_manifest

Floats = NDArray[np.float32]
SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
EOS, BOS, END_OF_TURN = 1, 2, 5
STOP_TOKENS = (EOS, END_OF_TURN)
WORDS = (
    "pump P-101 is leaking in hall 3 since 06:40",
    'valve V-7 is stuck {"asset":"pump","priority":"high","symptoms":["leaking"],"note":null}',
    "write a work order for this message",
)
CONTEXT_TOKENS = 192
LAYERS = 2
WINDOW = 8


WORK_ORDER = {
    "type": "object",
    "properties": {
        "asset": {"type": "string", "x-extractive": True},
        "priority": {"enum": ["low", "high"]},
        "note": {"type": "string", "maxLength": 12},
    },
    "required": ["asset", "priority", "note"],
}
PROMPT = "<bos><start_of_turn>write a work order\n{text}<end_of_turn>\n<start_of_turn>"
TASK = {"prompt": PROMPT, "output_schema": WORK_ORDER, "max_output_tokens": 96}


@dataclass(frozen=True)
class Shape:
    """Of the model. ``heads`` query heads share one key and value head."""

    vocabulary: int
    width: int = 32
    heads: int = 2
    head_width: int = 16
    context: int = CONTEXT_TOKENS


def tiny_generator(path: Path, seed: int = 0, **task: Any) -> Path:
    """Writes a bundle into the folder ``path`` and returns it. ``task`` changes ``TASK``."""
    tokenizer = tokenizer_json()
    vocabulary = len(json.loads(tokenizer)["model"]["vocab"])
    shape = Shape(vocabulary)
    write_graphs(path, shape, seed)
    (path / "tokenizer.json").write_bytes(tokenizer)
    manifest = {
        "format": 1,
        "name": "tiny-generator",
        "version": "1.0.0",
        "kind": "generator",
        "max_tokens": shape.context,
        "generator": {
            "layers": LAYERS,
            "key_heads": 1,
            "head_size": shape.head_width,
            "hidden": shape.width,
            "vocabulary": vocabulary,
            "stop_tokens": STOP_TOKENS,
        },
        "task": {**TASK, **task},
        "licence": "Apache-2.0",
    }
    write_manifest(path, manifest)
    return path


@cache
def tokenizer_json(merges: bool = True) -> bytes:
    """Byte-fallback BPE. Without ``merges`` every token is one character."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    octets = [f"<0x{octet:02X}>" for octet in range(256)]
    letters = [chr(code) for code in range(33, 127)]
    trainer = trainers.BpeTrainer(
        vocab_size=500 if merges else len(SPECIAL) + len(octets) + len(letters) + 1,
        special_tokens=[*SPECIAL, *octets],
        initial_alphabet=letters,
        show_progress=False,
    )
    tokenizer.train_from_iterator([*WORDS] * 3, trainer)
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [
        token for token in content["added_tokens"] if token["content"] in SPECIAL
    ]
    return json.dumps(content, ensure_ascii=False).encode()


def write_graphs(folder: Path, shape: Shape, seed: int = 0) -> None:
    """``model.onnx``, ``head.onnx`` and ``rows.onnx``; ``weights.bin`` is the table of all."""
    rng = np.random.default_rng(seed)
    table = _random(rng, shape.vocabulary, shape.width) * np.float32(shape.width**0.5)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.bin").write_bytes(table.tobytes())
    (folder / "model.onnx").write_bytes(_trunk(shape, table, rng))
    (folder / "head.onnx").write_bytes(_head(table))
    (folder / "rows.onnx").write_bytes(_rows(table))


def _random(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    return (rng.normal(size=(rows, columns)) / np.sqrt(rows)).astype(np.float32)


def _trunk(shape: Shape, table: Floats, rng: np.random.Generator) -> bytes:
    angles = np.outer(
        np.arange(shape.context), 1e4 ** (-np.arange(0, shape.head_width, 2) / shape.head_width)
    )
    tensors = {
        "table": table,
        "cos": np.cos(angles).astype(np.float32),
        "sin": np.sin(angles).astype(np.float32),
        "last": np.array([-1], np.int64),
    }
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["x0"])]
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "T"]),
        helper.make_tensor_value_info("seqlens_k", TensorProto.INT32, [1]),
        helper.make_tensor_value_info("total_sequence_length", TensorProto.INT32, []),
    ]
    outputs = [_floats("hidden", [1, 1, shape.width])]
    for layer in range(LAYERS):
        nodes += _layer(layer, shape, tensors, rng)
        for part in ("key", "value"):
            inputs.append(_cache(f"past_key_values.{layer}.{part}", shape))
            outputs.append(_cache(f"present.{layer}.{part}", shape))
    nodes.append(helper.make_node("Gather", [f"x{LAYERS}", "last"], ["hidden"], axis=1))
    return _model(nodes, inputs, outputs, tensors)


def _layer(
    layer: int, shape: Shape, tensors: dict[str, Floats], rng: np.random.Generator
) -> list[onnx.NodeProto]:
    before, widths = f"x{layer}", (shape.heads * shape.head_width, shape.head_width)
    nodes = []
    for name, columns in zip("qkv", (widths[0], widths[1], widths[1]), strict=True):
        tensors[f"w{name}{layer}"] = _random(rng, shape.width, columns)
        nodes.append(helper.make_node("MatMul", [before, f"w{name}{layer}"], [f"{name}{layer}"]))
    caches = [f"past_key_values.{layer}.key", f"past_key_values.{layer}.value"]
    presents = [f"present.{layer}.key", f"present.{layer}.value"]
    lengths = ["seqlens_k", "total_sequence_length"]
    nodes.append(
        helper.make_node(
            "GroupQueryAttention",
            [f"q{layer}", f"k{layer}", f"v{layer}", *caches, *lengths, "cos", "sin"],
            [f"a{layer}", *presents],
            domain="com.microsoft",
            num_heads=shape.heads,
            kv_num_heads=1,
            do_rotary=1,
            local_window_size=WINDOW if layer == 0 else -1,
        )
    )
    tensors[f"wo{layer}"] = _random(rng, widths[0], shape.width)
    nodes.append(helper.make_node("MatMul", [f"a{layer}", f"wo{layer}"], [f"o{layer}"]))
    nodes.append(helper.make_node("Add", [before, f"o{layer}"], [f"x{layer + 1}"]))
    return nodes


def _head(table: Floats) -> bytes:
    tensors = {"table": table, "flat": np.array([1, -1], np.int64)}
    nodes = [
        helper.make_node("Reshape", ["hidden", "flat"], ["row"]),
        helper.make_node("Gemm", ["row", "table"], ["logits"], transB=1),
    ]
    inputs = [_floats("hidden", [1, 1, table.shape[1]])]
    return _model(nodes, inputs, [_floats("logits", [1, len(table)])], tensors)


def _rows(table: Floats) -> bytes:
    tensors = {"table": table, "flat": np.array([-1], np.int64)}
    nodes = [
        helper.make_node("Gather", ["table", "row_ids"], ["rows"]),
        helper.make_node("Reshape", ["hidden", "flat"], ["column"]),
        helper.make_node("MatMul", ["rows", "column"], ["logits"]),
    ]
    inputs = [
        _floats("hidden", [1, 1, table.shape[1]]),
        helper.make_tensor_value_info("row_ids", TensorProto.INT64, ["K"]),
    ]
    return _model(nodes, inputs, [_floats("logits", ["K"])], tensors)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    tensors: dict[str, Floats],
) -> bytes:
    weights = [_tensor(name, tensor) for name, tensor in tensors.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def _tensor(name: str, values: Floats) -> onnx.TensorProto:
    """The table stands outside of the graphs."""
    tensor = numpy_helper.from_array(values, name)
    if name == "table":
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def _floats(name: str, shape: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _cache(name: str, shape: Shape) -> onnx.ValueInfoProto:
    return _floats(name, [1, 1, "C", shape.head_width])
