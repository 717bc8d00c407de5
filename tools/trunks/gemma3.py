"""A Gemma 3 trunk that looks both ways: RMS norms, rotary positions, few key/value heads.

Sliding layers see ``|i - j| < window``, as the family does when it is used as an encoder; the
language-model head is not read. Weights of norms are stored as their distance from 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tools.trunks.gemma3_shape import KINDS, Gemma3Shape
from tools.trunks.joint import Encoder
from tools.trunks.parts import QuantLinear, RmsNorm, attend
from tools.trunks.settings import Settings
from tools.trunks.weights import Weights


class Layer(nn.Module):
    """Attention and gated feed-forward, each normed before and after. [B, T, H] -> [B, T, H]."""

    def __init__(self, shape: Gemma3Shape, kind: str) -> None:
        super().__init__()
        self.shape, self.kind = shape, kind
        self.qkv = QuantLinear(shape.hidden, sum(shape.widths), bias=False)
        self.query_norm = RmsNorm(shape.head_size, shape.epsilon)
        self.key_norm = RmsNorm(shape.head_size, shape.epsilon)
        self.attention_out = QuantLinear(shape.widths[0], shape.hidden, bias=False)
        self.ffn_in = QuantLinear(shape.hidden, 2 * shape.ffn, bias=False)
        self.ffn_out = QuantLinear(shape.ffn, shape.hidden, bias=False)
        self.before_attention = RmsNorm(shape.hidden, shape.epsilon)
        self.after_attention = RmsNorm(shape.hidden, shape.epsilon)
        self.before_ffn = RmsNorm(shape.hidden, shape.epsilon)
        self.after_ffn = RmsNorm(shape.hidden, shape.epsilon)

    def forward(self, x: Tensor, keep: Tensor, angles: Tensor) -> Tensor:
        """``keep`` [B, 1, 1 or T, T] is True where one may look; ``angles`` [T, D / 2].

        x stays float32 under autocast: sums of this family outgrow half precision.
        """
        x = x + self.after_attention(self._mixed(self.before_attention(x), keep, angles))
        gate, up = self.ffn_in(self.before_ffn(x)).chunk(2, -1)
        narrow = self.ffn_out(F.gelu(gate, approximate="tanh") * up)
        return x + self.after_ffn(narrow)

    def _mixed(self, x: Tensor, keep: Tensor, angles: Tensor) -> Tensor:
        b, t, _ = x.shape
        q, k, v = (part.view(b, t, -1, self.shape.head_size).transpose(1, 2)
                   for part in self.qkv(x).split(self.shape.widths, -1))  # fmt: skip
        q, k = rotated(self.query_norm(q), angles), rotated(self.key_norm(k), angles)
        share = self.shape.heads // self.shape.key_heads
        k, v = k.repeat_interleave(share, 1), v.repeat_interleave(share, 1)
        mixed = attend(q, k, v, keep, self.shape.query_scale)
        return self.attention_out(mixed.transpose(1, 2).reshape(b, t, -1))


def rotated(x: Tensor, angles: Tensor) -> Tensor:
    """Halves of each head turned as pairs: [B, A, T, D] by [T, D / 2]."""
    left, right = x.chunk(2, -1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([left * cos - right * sin, right * cos + left * sin], -1)


class Gemma3Encoder(Encoder):
    """``tap_norm`` is new: inside the trunk the states have no scale of their own."""

    def __init__(self, shape: Gemma3Shape) -> None:
        super().__init__(shape)
        self.layers = nn.ModuleList(Layer(shape, kind) for kind in shape.kinds)
        self.norm = RmsNorm(shape.hidden, shape.epsilon)
        self.tap_norm = RmsNorm(shape.hidden, shape.epsilon)
        for kind, rope in shape.ropes.items():
            angles = rope.angles(shape.max_tokens, shape.head_size)
            self.register_buffer(f"{kind}_angles", angles, persistent=False)
        self.register_buffer("band", band(shape.max_tokens, shape.window), persistent=False)

    def states(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        t = ids.shape[1]
        x = tapped = self.words(ids) * self.shape.hidden**0.5
        real = mask[:, None, None, :].bool()
        keep = {kind: self._visible(kind, real) for kind in KINDS}
        for number, layer in enumerate(self.layers, 1):
            x = layer(x, keep[layer.kind], self.angles(layer.kind)[:t])
            tapped = x if number == self.shape.tap else tapped
        return self.norm(x), self.tap_norm(tapped)

    def angles(self, kind: str) -> Tensor:
        """[max_tokens, D / 2] of layers of a kind."""
        return self.get_buffer(f"{kind}_angles")

    def _visible(self, kind: str, real: Tensor) -> Tensor:
        t = real.shape[-1]
        return real & self.band[:t, :t] if self.shape.has_band(kind) else real


def band(tokens: int, window: int) -> Tensor:
    """[tokens, tokens], True where two positions are less than ``window`` apart."""
    positions = torch.arange(tokens)
    return (positions[:, None] - positions).abs() < window


def load(encoder: Gemma3Encoder, weights: Weights, settings: Settings) -> None:
    """Fills the trunk from the weights of a base."""
    rows, hidden = settings.size("vocab_size"), encoder.shape.hidden
    encoder.words.weight[:rows] = weights.take("embed_tokens.weight", rows, hidden)
    _load_norm(encoder.norm, weights, "norm")
    for index, layer in enumerate(encoder.layers):
        _load_layer(layer, weights, f"layers.{index}.")


def _load_layer(layer: Layer, weights: Weights, prefix: str) -> None:
    shape = layer.shape
    names = [f"{prefix}self_attn.{part}_proj.weight" for part in ("q", "k", "v")]
    parts = zip(names, shape.widths, strict=True)
    rows = [weights.take(name, width, shape.hidden) for name, width in parts]
    layer.qkv.weight.copy_(torch.cat(rows))
    rows = [weights.take(f"{prefix}mlp.{part}_proj.weight", shape.ffn, shape.hidden)
            for part in ("gate", "up")]  # fmt: skip
    layer.ffn_in.weight.copy_(torch.cat(rows))
    for module, name in (
        (layer.attention_out, "self_attn.o_proj"),
        (layer.ffn_out, "mlp.down_proj"),
    ):
        module.weight.copy_(weights.take(f"{prefix}{name}.weight", *module.weight.shape))
    _load_norm(layer.query_norm, weights, f"{prefix}self_attn.q_norm")
    _load_norm(layer.key_norm, weights, f"{prefix}self_attn.k_norm")
    _load_norm(layer.before_attention, weights, f"{prefix}input_layernorm")
    _load_norm(layer.after_attention, weights, f"{prefix}post_attention_layernorm")
    _load_norm(layer.before_ffn, weights, f"{prefix}pre_feedforward_layernorm")
    _load_norm(layer.after_ffn, weights, f"{prefix}post_feedforward_layernorm")


def _load_norm(norm: RmsNorm, weights: Weights, name: str) -> None:
    norm.weight.copy_(weights.take(f"{name}.weight", *norm.weight.shape))
