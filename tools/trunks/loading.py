"""From a base to an encoder with its trunk and fresh heads. Which trunk, the base's type says."""

from __future__ import annotations

import torch

from tools.bases.base import Base
from tools.trunks import bert, gemma3, gemma3_shape
from tools.trunks.bert import BertEncoder, BertShape
from tools.trunks.gemma3 import Gemma3Encoder
from tools.trunks.gemma3_shape import Gemma3Shape
from tools.trunks.joint import Encoder, Shape, pool
from tools.trunks.settings import Heads, Settings
from tools.trunks.weights import Weights

__all__ = [
    "BertEncoder", "BertShape", "Encoder", "Gemma3Encoder", "Gemma3Shape", "Shape", "load_encoder",
    "pool",
]  # fmt: skip

TRUNKS = {
    "bert": (bert.shape_of, BertEncoder, bert.load),
    "gemma3": (gemma3_shape.shape_of, Gemma3Encoder, gemma3.load),
}


def load_encoder(base: Base, routes: int, labels: int, max_tokens: int = 256) -> Encoder:
    """An encoder on the base model's trunk. Raises ToolError where the base cannot be one."""
    settings = Settings(base)
    shape_of, kind, load = TRUNKS[base.architecture]
    settings.check(max_tokens)
    shape = shape_of(settings, Heads(routes, labels, max_tokens))
    encoder = kind(shape)
    with torch.no_grad():
        load(encoder, Weights(base), settings)
    return encoder
