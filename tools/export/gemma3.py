"""The graph of a Gemma 3 trunk that looks both ways."""

from __future__ import annotations

import numpy as np
import torch

from tools.export.graph import Graph
from tools.trunks.gemma3 import Gemma3Encoder, Layer
from tools.trunks.gemma3_shape import KINDS
from tools.trunks.parts import RmsNorm

HIDDEN_AWAY = -1e4
"""What attention to a position out of the window is lowered by."""


def trunk(graph: Graph, encoder: Gemma3Encoder, mask: str) -> tuple[str, str]:
    """The last states and the tapped ones, [B, T, H]. ``mask`` int32 [B, T]."""
    for kind in KINDS:
        _positions(graph, encoder, kind)
    scale = graph.constant("word_scale", np.float32([encoder.shape.hidden**0.5]))
    x = graph.add("Mul", [graph.words(encoder.words), scale], "embedding")
    states = []
    for index, layer in enumerate(encoder.layers):
        x = _layer(graph, x, mask, layer, f"layer{index}")
        states.append(x)
    tapped = graph.rms_norm(states[encoder.shape.tap - 1], encoder.tap_norm, "tap_norm")
    return graph.rms_norm(x, encoder.norm, "norm"), tapped


def _positions(graph: Graph, encoder: Gemma3Encoder, kind: str) -> None:
    """Constants of one kind of layers: cosines, sines, and a band where there is one."""
    angles = encoder.angles(kind)
    graph.constant(f"{kind}.cos", angles.cos())
    graph.constant(f"{kind}.sin", angles.sin())
    if encoder.shape.has_band(kind):
        lowered = torch.where(encoder.band, 0.0, HIDDEN_AWAY)[None, None]
        table = graph.constant(f"{kind}.band", lowered)
        tokens = graph.add("Shape", ["input_ids"], f"{kind}.tokens", start=1, end=2)
        ends = graph.add("Concat", [tokens, tokens], f"{kind}.ends", axis=0)
        inputs = [table, graph.integers(0, 0), ends, graph.integers(2, 3)]
        graph.add("Slice", inputs, f"{kind}.near")


def _layer(graph: Graph, x: str, mask: str, layer: Layer, name: str) -> str:
    """[B, T, H] -> [B, T, H]."""
    seen = graph.rms_norm(x, layer.before_attention, f"{name}.before_attention")
    mixed = _attention(graph, seen, mask, layer, name)
    mixed = graph.rms_norm(mixed, layer.after_attention, f"{name}.after_attention")
    x = graph.add("Add", [x, mixed], f"{name}.attended")
    seen = graph.rms_norm(x, layer.before_ffn, f"{name}.before_ffn")
    wide = gated(graph, seen, layer, name)
    narrow = graph.linear(wide, layer.ffn_out, f"{name}.ffn_out", bias=False)
    narrow = graph.rms_norm(narrow, layer.after_ffn, f"{name}.after_ffn")
    return graph.add("Add", [x, narrow], f"{name}.out")


def gated(graph: Graph, x: str, layer: Layer, name: str) -> str:
    """[B, T, H] -> [B, T, F]."""
    both = graph.linear(x, layer.ffn_in, f"{name}.ffn_in", bias=False)
    names = [f"{name}.gate", f"{name}.up"]
    gate, up = graph.split(both, [layer.shape.ffn] * 2, names)
    return graph.add("Mul", [graph.contrib("FastGelu", [gate], f"{name}.gelu"), up], f"{name}.ffn")


def _attention(graph: Graph, x: str, mask: str, layer: Layer, name: str) -> str:
    """[B, T, H] -> [B, T, H]; keys and values repeated for the queries that share them."""
    shape = layer.shape
    qkv = graph.linear(x, layer.qkv, f"{name}.qkv", bias=False)
    names = [f"{name}.{part}" for part in ("q", "k", "v")]
    q, k, v = graph.split(qkv, shape.widths, names)
    q = _turned(graph, q, layer.query_norm, layer)
    k = _turned(graph, k, layer.key_norm, layer)
    parts = [q, _repeated(graph, k, layer), _repeated(graph, v, layer)]
    band = [f"{layer.kind}.near"] if shape.has_band(layer.kind) else []
    mixed = graph.contrib(
        "MultiHeadAttention", [*parts, "", mask, *band], f"{name}.attention",
        num_heads=shape.heads, scale=shape.query_scale,
    )  # fmt: skip
    return graph.linear(mixed, layer.attention_out, f"{name}.attention_out", bias=False)


def _turned(graph: Graph, x: str, norm: RmsNorm, layer: Layer) -> str:
    """Normed by head and turned by position: [B, T, heads * D] -> the same."""
    heads = graph.add("Reshape", [x, by_head(graph, layer)], f"{x}.heads")
    normed = graph.rms_norm(heads, norm, f"{x}.norm")
    flat = graph.add("Reshape", [normed, graph.integers(0, 0, -1)], f"{x}.flat")
    tables = [f"{layer.kind}.cos", f"{layer.kind}.sin"]
    return graph.contrib("RotaryEmbedding", [flat, graph.integers(0), *tables], f"{x}.turned")


def _repeated(graph: Graph, x: str, layer: Layer) -> str:
    """One key or value head for each query head: [B, T, G * D] -> [B, T, A * D]."""
    shape = layer.shape
    if shape.key_heads == shape.heads:
        return x
    order = [i // (shape.heads // shape.key_heads) for i in range(shape.heads)]
    heads = graph.add("Reshape", [x, by_head(graph, layer)], f"{x}.few")
    heads = graph.add("Gather", [heads, graph.integers(*order)], f"{x}.many", axis=2)
    return graph.add("Reshape", [heads, graph.integers(0, 0, -1)], f"{x}.repeated")


def by_head(graph: Graph, layer: Layer) -> str:
    """The shape [B, T, heads, D]."""
    return graph.integers(0, 0, -1, layer.shape.head_size)
