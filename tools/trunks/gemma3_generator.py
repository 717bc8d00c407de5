"""A Gemma 3 that writes: the same layers, looking back only, and the word table as its head."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from tools.bases.base import Base
from tools.errors import ToolError
from tools.trunks.gemma3 import Layer, load
from tools.trunks.gemma3_shape import KINDS, Gemma3Shape, shape_of
from tools.trunks.parts import QuantModel, RmsNorm, Words
from tools.trunks.quantise import half_scales
from tools.trunks.settings import Heads, Settings
from tools.trunks.weights import Weights

HEAD_STEP = 16
"""onnxruntime turns heads of such multiples only."""


class Gemma3Generator(QuantModel):
    """``shape.max_tokens`` is the context, ``shape.window`` what sliding layers look back on.

    ``mark`` is a head that a training may put on; no bundle has it.
    """

    shape: Gemma3Shape

    def __init__(self, shape: Gemma3Shape) -> None:
        super().__init__()
        self.shape = shape
        self.words = Words(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape, kind) for kind in shape.kinds)
        self.norm = RmsNorm(shape.hidden, shape.epsilon)
        self.mark: nn.Linear | None = None

    def forward(self, ids: Tensor) -> Tensor:
        """Ids [B, T], padded behind, to the last states [B, T, H]."""
        t = ids.shape[1]
        x = self.words(ids) * self.shape.hidden**0.5
        angles = {kind: self.angles(kind)[:t].to(x.device) for kind in KINDS}
        keep = {kind: self._visible(kind, t).to(x.device) for kind in KINDS}
        for layer in self.layers:
            x = layer(x, keep[layer.kind], angles[layer.kind])
        return self.norm(x)

    def angles(self, kind: str) -> Tensor:
        """[max_tokens, D / 2] of layers of a kind."""
        return self.shape.ropes[kind].angles(self.shape.max_tokens, self.shape.head_size)

    def scales_for(self, weight: Tensor) -> Tensor:
        """Such as float16 holds exactly: [N, K] -> [N, K / 32]."""
        return half_scales(weight)

    def _visible(self, kind: str, tokens: int) -> Tensor:
        """[T, T], True where a token sees another."""
        positions = torch.arange(tokens)
        back = positions[:, None] - positions
        seen = back >= 0
        return seen & (back < self.shape.window) if self.shape.has_band(kind) else seen


def refuse_other_families(base: Base) -> None:
    """Raises ToolError where the base is no Gemma 3."""
    if base.architecture != "gemma3":
        raise ToolError(
            f"{base.path} is a {base.architecture}, which writes no text",
            "choose a Gemma 3, for instance google/gemma-3-270m-it",
        )


def load_generator(base: Base, context: int) -> Gemma3Generator:
    """A Gemma 3 as a generator, in floats. Raises ToolError where it cannot be one."""
    settings = Settings(base)
    settings.check(context)
    model = Gemma3Generator(_shape(settings, context)).requires_grad_(requires_grad=False)
    load(model, Weights(base), settings)
    return model


def _shape(settings: Settings, context: int) -> Gemma3Shape:
    settings.refuse_unless("final_logit_softcapping", None)
    settings.refuse_unless("tie_word_embeddings", True, None)
    settings.refuse_unless("use_bidirectional_attention", False, None)
    shape = shape_of(settings, Heads(0, 0, context))
    settings.refuse_fractions("head_dim", shape.head_size, HEAD_STEP)
    return replace(shape, window=settings.size("sliding_window", 4096))
