"""A Gemma 3 that writes: the same layers, each looking back only, and the word table as its head.

It holds weights for the graphs and is never run itself; transformers computes the reference.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from tools.bases.base import Base
from tools.errors import ToolError
from tools.trunks.gemma3 import Layer, load
from tools.trunks.gemma3_shape import Gemma3Shape, shape_of
from tools.trunks.parts import QuantLinear, RmsNorm, Words
from tools.trunks.quantise import half_scales
from tools.trunks.settings import Heads, Settings
from tools.trunks.weights import Weights

HEAD_STEP = 16
"""onnxruntime turns heads of such multiples only."""


class Gemma3Generator(nn.Module):
    """``shape.max_tokens`` is the context, ``shape.window`` what sliding layers look back on."""

    def __init__(self, shape: Gemma3Shape) -> None:
        super().__init__()
        self.shape = shape
        self.words = Words(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape, kind) for kind in shape.kinds)
        self.norm = RmsNorm(shape.hidden, shape.epsilon)

    def angles(self, kind: str) -> Tensor:
        """[max_tokens, D / 2] of layers of a kind."""
        return self.shape.ropes[kind].angles(self.shape.max_tokens, self.shape.head_size)

    def set_quantise(self) -> None:
        """Shows INT4 weights from now on, under scales that float16 holds exactly."""
        for module in self.quantised():
            module.quantise = True
            module.scales.copy_(half_scales(module.weight))

    def quantised(self) -> list[QuantLinear | Words]:
        """Every product of the trunk, and the word table."""
        return [m for m in self.modules() if isinstance(m, (QuantLinear, Words))]


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
