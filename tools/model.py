"""The joint encoder: a BERT trunk, a route head on pooled tokens, a tag head on each token.

B messages, T tokens, H hidden, R routes, C = 1 + 2 * labels tag columns. Linear layers of the
trunk and the word table are fake-quantised while ``quantise`` is set; everything else is float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tools.base import Base
from tools.quantise import StraightThrough, choose_scales

EPSILON = 1e-12


@dataclass(frozen=True)
class Shape:
    """Sizes of the encoder. ``tap`` names the layer whose output the tag head sees as well."""

    routes: int
    labels: int
    hidden: int = 384
    heads: int = 12
    ffn: int = 1536
    layers: int = 6
    max_tokens: int = 256
    vocabulary: int = 30522
    tap: int = 3

    @property
    def tags(self) -> int:
        return 1 + 2 * self.labels if self.labels else 0


class QuantLinear(nn.Linear):
    """A linear layer that shows its weight as INT4 blocks. [..., K] -> [..., N]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.quantise = False
        self.register_buffer("scales", torch.ones(outputs, inputs // 32))

    def refresh(self) -> None:
        """Chooses the scales anew for the weight as it is now."""
        self.scales.copy_(choose_scales(self.weight))

    def forward(self, x: Tensor) -> Tensor:
        shown = StraightThrough.apply(self.weight, self.scales) if self.quantise else self.weight
        return F.linear(x, shown, self.bias)


class Words(nn.Module):
    """The word table, INT4 blocks along the hidden axis. [B, T] int64 -> [B, T, H]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(shape.vocabulary, shape.hidden))
        self.quantise = False
        self.register_buffer("scales", torch.ones(shape.vocabulary, shape.hidden // 32))

    def refresh(self) -> None:
        self.scales.copy_(choose_scales(self.weight))

    def forward(self, ids: Tensor) -> Tensor:
        rows = F.embedding(ids, self.weight)
        return StraightThrough.apply(rows, self.scales[ids]) if self.quantise else rows


class Layer(nn.Module):
    """Attention and feed-forward, layer norm after each. [B, T, H] -> [B, T, H]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = QuantLinear(shape.hidden, 3 * shape.hidden)
        self.attention_out = QuantLinear(shape.hidden, shape.hidden)
        self.attention_norm = nn.LayerNorm(shape.hidden, eps=EPSILON)
        self.ffn_in = QuantLinear(shape.hidden, shape.ffn)
        self.ffn_out = QuantLinear(shape.ffn, shape.hidden)
        self.ffn_norm = nn.LayerNorm(shape.hidden, eps=EPSILON)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        """``keep`` [B, 1, 1, T] is True at tokens that may be attended to."""
        b, t, h = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=keep)
        mixed = self.attention_out(mixed.transpose(1, 2).reshape(b, t, h))
        x = self.attention_norm(x + self.dropout(mixed))
        return self.ffn_norm(x + self.dropout(self.ffn_out(F.gelu(self.ffn_in(x)))))


class Encoder(nn.Module):
    """The whole model. A head that has nothing to say (no routes, no labels) is absent."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.words = Words(shape)
        self.positions = nn.Parameter(torch.zeros(shape.max_tokens, shape.hidden))
        self.norm = nn.LayerNorm(shape.hidden, eps=EPSILON)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.dropout = nn.Dropout(0.1)
        self.route = nn.Linear(3 * shape.hidden, shape.routes) if shape.routes else None
        self.tag = nn.Linear(2 * shape.hidden, shape.tags) if shape.tags else None
        self.transitions = nn.Parameter(torch.zeros(shape.tags, shape.tags))

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Ids and mask [B, T] int64 -> route logits [B, R], tag logits [B, T, C]."""
        x = self.dropout(self.norm(self.words(ids) + self.positions[: ids.shape[1]]))
        keep = mask[:, None, None, :].bool()
        outputs = []
        for layer in self.layers:
            x = layer(x, keep)
            outputs.append(x)
        return self._route(x, mask), self._tag(x, outputs[self.shape.tap - 1])

    def _route(self, x: Tensor, mask: Tensor) -> Tensor | None:
        if self.route is None:
            return None
        return _in_float(self.route, self.dropout(pool(x.float(), mask)))

    def _tag(self, x: Tensor, tapped: Tensor) -> Tensor | None:
        if self.tag is None:
            return None
        return _in_float(self.tag, self.dropout(torch.cat([x, tapped], -1).float()))

    def set_quantise(self, on: bool) -> None:
        """Shows INT4 weights from now on (scales chosen anew), or the float ones."""
        for module in self.quantised_modules():
            module.quantise = on
        if on:
            self.refresh()

    def refresh(self) -> None:
        with torch.no_grad():
            for module in self.quantised_modules():
                module.refresh()

    def quantised_modules(self) -> list[QuantLinear | Words]:
        return [m for m in self.modules() if isinstance(m, (QuantLinear, Words))]


def pool(x: Tensor, mask: Tensor) -> Tensor:
    """First token, mean and maximum over real tokens. [B, T, H] -> [B, 3 H]."""
    real = mask[:, :, None].to(x.dtype)
    mean = (x * real).sum(1) / real.sum(1)
    largest = (x + (real - 1) * 1e4).amax(1)
    return torch.cat([x[:, 0], mean, largest], -1)


def _in_float(head: nn.Linear, features: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return head(features)


def load_encoder(base: Base, shape: Shape) -> Encoder:
    """An encoder with the base model's trunk and fresh heads."""
    weights = load_file(base.weights)
    encoder = Encoder(shape)
    with torch.no_grad():
        _load_embeddings(encoder, weights)
        for index, layer in enumerate(encoder.layers):
            _load_layer(layer, weights, f"encoder.layer.{index}.")
    return encoder


def _load_embeddings(encoder: Encoder, weights: dict[str, Tensor]) -> None:
    names = "embeddings.{}_embeddings.weight"
    encoder.words.weight.copy_(weights[names.format("word")])
    positions = weights[names.format("position")][: encoder.shape.max_tokens]
    encoder.positions.copy_(positions + weights[names.format("token_type")][0])
    _load_pair(encoder.norm, weights, "embeddings.LayerNorm")


def _load_layer(layer: Layer, weights: dict[str, Tensor], prefix: str) -> None:
    parts = [f"{prefix}attention.self.{name}" for name in ("query", "key", "value")]
    layer.qkv.weight.copy_(torch.cat([weights[f"{part}.weight"] for part in parts]))
    layer.qkv.bias.copy_(torch.cat([weights[f"{part}.bias"] for part in parts]))
    _load_pair(layer.attention_out, weights, f"{prefix}attention.output.dense")
    _load_pair(layer.attention_norm, weights, f"{prefix}attention.output.LayerNorm")
    _load_pair(layer.ffn_in, weights, f"{prefix}intermediate.dense")
    _load_pair(layer.ffn_out, weights, f"{prefix}output.dense")
    _load_pair(layer.ffn_norm, weights, f"{prefix}output.LayerNorm")


def _load_pair(module: nn.Module, weights: dict[str, Tensor], name: str) -> None:
    module.weight.copy_(weights[f"{name}.weight"])
    module.bias.copy_(weights[f"{name}.bias"])
