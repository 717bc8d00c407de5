"""A BERT trunk: learnt positions, layer norm after attention and after feed-forward."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tools.trunks.joint import DROPOUT, Encoder, Shape
from tools.trunks.parts import QuantLinear, attend
from tools.trunks.settings import Heads, Settings
from tools.trunks.weights import Weights

ACTIVATIONS = {"gelu": "exact", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}


@dataclass(frozen=True)
class BertShape(Shape):
    """``gelu`` is ``exact``, or ``tanh`` for the approximation by it."""

    gelu: str = "exact"


class Layer(nn.Module):
    """Attention and feed-forward. [B, T, H] -> [B, T, H]."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = QuantLinear(shape.hidden, 3 * shape.hidden)
        self.attention_out = QuantLinear(shape.hidden, shape.hidden)
        self.attention_norm = nn.LayerNorm(shape.hidden, eps=shape.epsilon)
        self.ffn_in = QuantLinear(shape.hidden, shape.ffn)
        self.ffn_out = QuantLinear(shape.ffn, shape.hidden)
        self.ffn_norm = nn.LayerNorm(shape.hidden, eps=shape.epsilon)
        self.dropout = nn.Dropout(DROPOUT)
        self.gelu = partial(F.gelu, approximate="none" if shape.gelu == "exact" else "tanh")

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        """``keep`` [B, 1, 1, T] is True at tokens that may be attended to."""
        b, t, h = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = attend(q, k, v, keep, q.shape[-1] ** -0.5)
        mixed = self.attention_out(mixed.transpose(1, 2).reshape(b, t, h))
        x = self.attention_norm(x + self.dropout(mixed))
        return self.ffn_norm(x + self.dropout(self.ffn_out(self.gelu(self.ffn_in(x)))))


class BertEncoder(Encoder):
    """``positions`` [max_tokens, H] has the row of the first token type added in."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__(shape)
        self.positions = nn.Parameter(torch.zeros(shape.max_tokens, shape.hidden))
        self.norm = nn.LayerNorm(shape.hidden, eps=shape.epsilon)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))

    def states(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        x = self.dropout(self.norm(self.words(ids) + self.positions[: ids.shape[1]]))
        keep = mask[:, None, None, :].bool()
        outputs = []
        for layer in self.layers:
            x = layer(x, keep)
            outputs.append(x)
        return x, outputs[self.shape.tap - 1]


def shape_of(settings: Settings, heads: Heads) -> BertShape:
    """Sizes from config.json. Raises ToolError on what this trunk cannot be."""
    settings.refuse_unless("position_embedding_type", "absolute", None)
    settings.refuse_unless("is_decoder", False, None)
    shape = BertShape(
        **heads.as_dict(),
        hidden=settings.size("hidden_size"),
        heads=settings.size("num_attention_heads"),
        ffn=settings.size("intermediate_size"),
        layers=settings.size("num_hidden_layers"),
        vocabulary=settings.vocabulary,
        epsilon=settings.number("layer_norm_eps", 1e-12),
        gelu=ACTIVATIONS[settings.one_of("hidden_act", ACTIVATIONS, "gelu")],
    )
    settings.refuse_fractions("hidden_size", shape.hidden, shape.heads)
    settings.check_blocks(hidden_size=shape.hidden, intermediate_size=shape.ffn)
    return shape


def load(encoder: BertEncoder, weights: Weights, settings: Settings) -> None:
    """Fills the trunk from the weights of a base."""
    hidden = encoder.shape.hidden
    table = partial("embeddings.{}_embeddings.weight".format)
    rows = settings.size("vocab_size")
    encoder.words.weight[:rows] = weights.take(table("word"), rows, hidden)
    longest = settings.size("max_position_embeddings")
    positions = weights.take(table("position"), longest, hidden)[: encoder.shape.max_tokens]
    kinds = weights.take(table("token_type"), settings.size("type_vocab_size", 2), hidden)
    encoder.positions.copy_(positions + kinds[0])
    _load_pair(encoder.norm, weights, "embeddings.LayerNorm")
    for index, layer in enumerate(encoder.layers):
        _load_layer(layer, weights, f"encoder.layer.{index}.")


def _load_layer(layer: Layer, weights: Weights, prefix: str) -> None:
    hidden = layer.qkv.in_features
    parts = [f"{prefix}attention.self.{name}" for name in ("query", "key", "value")]
    rows = [weights.take(f"{part}.weight", hidden, hidden) for part in parts]
    layer.qkv.weight.copy_(torch.cat(rows))
    layer.qkv.bias.copy_(torch.cat([weights.take(f"{part}.bias", hidden) for part in parts]))
    _load_pair(layer.attention_out, weights, f"{prefix}attention.output.dense")
    _load_pair(layer.attention_norm, weights, f"{prefix}attention.output.LayerNorm")
    _load_pair(layer.ffn_in, weights, f"{prefix}intermediate.dense")
    _load_pair(layer.ffn_out, weights, f"{prefix}output.dense")
    _load_pair(layer.ffn_norm, weights, f"{prefix}output.LayerNorm")


def _load_pair(module: nn.Linear | nn.LayerNorm, weights: Weights, name: str) -> None:
    module.weight.copy_(weights.take(f"{name}.weight", *module.weight.shape))
    module.bias.copy_(weights.take(f"{name}.bias", *module.bias.shape))
