"""The graph of a BERT trunk."""

from __future__ import annotations

from tools.export.graph import Graph
from tools.trunks.bert import BertEncoder, Layer

GELUS = {"exact": "BiasGelu", "tanh": "FastGelu"}


def trunk(graph: Graph, encoder: BertEncoder, mask: str) -> tuple[str, str]:
    """The last states and the tapped ones, [B, T, H]. ``mask`` int32 [B, T]."""
    x = _embeddings(graph, encoder)
    states = []
    for index, layer in enumerate(encoder.layers):
        x = _layer(graph, x, mask, layer, GELUS[encoder.shape.gelu], f"layer{index}")
        states.append(x)
    return x, states[encoder.shape.tap - 1]


def _embeddings(graph: Graph, encoder: BertEncoder) -> str:
    """Word rows plus positions, normalised: [B, T, H]."""
    rows = graph.words(encoder.words)
    tokens = graph.add("Shape", ["input_ids"], "tokens", start=1, end=2)
    table = graph.constant("positions", encoder.positions)
    ends = [graph.integers(0), tokens, graph.integers(0)]
    near = graph.add("Slice", [table, *ends], "near_positions")
    return graph.skip_norm(rows, near, encoder.norm, "embedding")


def _layer(graph: Graph, x: str, mask: str, layer: Layer, gelu: str, name: str) -> str:
    """[B, T, H] -> [B, T, H]."""
    mixed = _attention(graph, x, mask, layer, name)
    bias = graph.constant(f"{name}.attention_out.bias", layer.attention_out.bias)
    x = graph.skip_norm(mixed, x, layer.attention_norm, f"{name}.attention_norm", bias)
    wide = graph.linear(x, layer.ffn_in, f"{name}.ffn_in", bias=False)
    bias = graph.constant(f"{name}.ffn_in.bias", layer.ffn_in.bias)
    wide = graph.contrib(gelu, [wide, bias], f"{name}.gelu")
    narrow = graph.linear(wide, layer.ffn_out, f"{name}.ffn_out", bias=False)
    bias = graph.constant(f"{name}.ffn_out.bias", layer.ffn_out.bias)
    return graph.skip_norm(narrow, x, layer.ffn_norm, f"{name}.ffn_norm", bias)


def _attention(graph: Graph, x: str, mask: str, layer: Layer, name: str) -> str:
    """[B, T, H] -> [B, T, H], the output's bias not yet added."""
    qkv = graph.linear(x, layer.qkv, f"{name}.qkv", bias=True)
    hidden = layer.attention_out.in_features
    parts = [f"{name}.{part}" for part in ("query", "key", "value")]
    parts = graph.split(qkv, [hidden] * 3, parts)
    mixed = graph.contrib(
        "MultiHeadAttention", [*parts, "", mask], f"{name}.attention", num_heads=layer.heads
    )
    return graph.linear(mixed, layer.attention_out, f"{name}.attention_out", bias=False)
