"""Sizes and positions of a Gemma 3, out of the config.json of either generation of transformers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tools.trunks.joint import Shape
from tools.trunks.settings import Heads, Settings

KINDS = ("full_attention", "sliding_attention")
THETAS = {"full_attention": 1e6, "sliding_attention": 1e4}
OLD_THETAS = {"full_attention": "rope_theta", "sliding_attention": "rope_local_base_freq"}
DEFAULT_PATTERN = 6


@dataclass(frozen=True)
class Rope:
    """Rotary positions: pair i turns by ``theta ** (-2 i / D) / stretch`` a position."""

    theta: float
    stretch: float = 1.0

    def angles(self, positions: int, head_size: int) -> Tensor:
        """[positions, D / 2] float32."""
        steps = torch.arange(0, head_size, 2, dtype=torch.float32) / head_size
        frequencies = 1.0 / self.theta**steps / self.stretch
        return torch.arange(positions, dtype=torch.float32)[:, None] * frequencies


@dataclass(frozen=True, kw_only=True)
class Gemma3Shape(Shape):
    """``kinds`` names each layer's attention; D is ``head_size``, G ``key_heads``."""

    key_heads: int
    head_size: int
    query_scale: float
    window: int
    kinds: tuple[str, ...]
    ropes: dict[str, Rope]

    @property
    def widths(self) -> list[int]:
        """Of queries, keys and values, side by side in one product."""
        keys = self.key_heads * self.head_size
        return [self.heads * self.head_size, keys, keys]

    def has_band(self, kind: str) -> bool:
        """Whether layers of this kind see less than the whole of some text."""
        return kind == "sliding_attention" and self.window < self.max_tokens


def shape_of(settings: Settings, heads: Heads) -> Gemma3Shape:
    """Sizes from config.json, absent keys as the family means them. Raises ToolError."""
    settings.one_of("hidden_activation", ("gelu_pytorch_tanh",), "gelu_pytorch_tanh")
    settings.refuse_unless("attention_bias", False, None)
    settings.refuse_unless("attn_logit_softcapping", None)
    layers = settings.size("num_hidden_layers")
    shape = Gemma3Shape(
        **heads.as_dict(),
        hidden=settings.size("hidden_size"),
        heads=settings.size("num_attention_heads", 8),
        ffn=settings.size("intermediate_size"),
        layers=layers,
        vocabulary=settings.vocabulary,
        epsilon=settings.number("rms_norm_eps", 1e-6),
        key_heads=settings.size("num_key_value_heads", 4),
        head_size=settings.size("head_dim", 256),
        query_scale=settings.number("query_pre_attn_scalar", 256) ** -0.5,
        window=settings.size("sliding_window", 4096) // 2 + 1,
        kinds=layer_kinds(settings, layers),
        ropes={kind: _rope(settings, kind) for kind in KINDS},
    )
    settings.refuse_fractions("num_attention_heads", shape.heads, shape.key_heads)
    settings.refuse_fractions("head_dim", shape.head_size, 2)
    settings.check_blocks(
        hidden_size=shape.hidden,
        intermediate_size=shape.ffn,
        **{"num_attention_heads * head_dim": shape.widths[0]},
    )
    return shape


def layer_kinds(settings: Settings, layers: int) -> tuple[str, ...]:
    """``layer_types``, or every n-th layer full by ``sliding_window_pattern``."""
    listed = settings.base.config.get("layer_types")
    if listed is None:
        pattern = settings.size("sliding_window_pattern", DEFAULT_PATTERN)
        return tuple(KINDS[bool((i + 1) % pattern)] for i in range(layers))
    if not isinstance(listed, list) or len(listed) != layers or not set(listed) <= set(KINDS):
        raise settings.problem(f"layer_types must name one of {', '.join(KINDS)} for each layer")
    return tuple(listed)


def _rope(settings: Settings, kind: str) -> Rope:
    """``rope_parameters`` of later configs; before, two thetas and a scaling of full layers."""
    config = settings.base.config
    told = (config.get("rope_parameters") or {}).get(kind)
    if told is None:
        told = (config.get("rope_scaling") or {}) if kind == "full_attention" else {}
    how = told.get("rope_type", told.get("type", "default"))
    if how not in ("default", "linear"):
        raise settings.problem(f"rope_type {how!r} of {kind} is neither default nor linear")
    theta = told.get("rope_theta", config.get(OLD_THETAS[kind], THETAS[kind]))
    return Rope(float(theta), float(told.get("factor", 1.0)) if how == "linear" else 1.0)
