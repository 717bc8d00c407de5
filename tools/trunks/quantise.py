"""Symmetric 4-bit blocks, exactly as onnxruntime unpacks them: ``value = (q - 8) * scale``.

A block is 32 neighbours along the last axis. The same arithmetic serves training (fake
quantisation, gradients passed straight through) and packing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BITS = 4
BLOCK = 32
CENTRE = 8
SHRINK = (1.0, 0.94, 0.88, 0.82)
ROWS_AT_ONCE = 8192
BFLOAT16_STEP = 2**-7
SMALLEST_HALF = 2**-24


def choose_scales(weight: Tensor) -> Tensor:
    """Scale of each block with the least squared error. [..., K] -> [..., K / 32] float32.

    Candidates put the extreme of the block on -8 (a scale may be negative) or on +-7, and shrink.
    """
    blocks = as_blocks(weight.detach().float())
    extreme = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    best, best_error = None, None
    for base in (extreme / -CENTRE, extreme.abs() / (CENTRE - 1)):
        for factor in SHRINK:
            scale = _not_zero(base * factor)
            error = (_round_trip(blocks, scale) - blocks).square().sum(-1, keepdim=True)
            if best is None:
                best, best_error = scale, error
            better = error < best_error
            best = torch.where(better, scale, best)
            best_error = torch.where(better, error, best_error)
    return best.squeeze(-1)


def half_scales(weight: Tensor) -> Tensor:
    """Scales for ``weight`` [N, K] that float16 holds exactly: [N, K / 32] float32."""
    scales = _by_rows(choose_scales, weight).half().float()
    return torch.where(scales == 0, SMALLEST_HALF, scales)


def blocks_on_grid(weight: Tensor, scales: Tensor) -> int:
    """How many blocks of ``weight`` [N, K] have just the values that they get under ``scales``.

    A checkpoint of quantisation-aware training has values ``(q - 8) * scale``, which storing them
    in bfloat16 may have rounded.
    """
    return int(_by_rows(_on_grid, weight, scales).sum())


def _on_grid(weight: Tensor, scales: Tensor) -> Tensor:
    """[n, K / 32]: whether each value is what the runtime sees, but for rounding to bfloat16."""
    change = (dequantised(weight, scales) - weight).abs()
    return as_blocks(change <= BFLOAT16_STEP * weight.abs()).all(-1)


def as_blocks(weight: Tensor) -> Tensor:
    """[..., K] -> [..., K / 32, 32]."""
    return weight.unflatten(-1, (-1, BLOCK))


def dequantised(weight: Tensor, scales: Tensor) -> Tensor:
    """What the runtime sees of ``weight`` [..., K] under ``scales`` [..., K / 32]."""
    return _round_trip(as_blocks(weight), scales.unsqueeze(-1)).flatten(-2)


def packed(weight: Tensor, scales: Tensor) -> Tensor:
    """Two values a byte, the low nibble first: uint8 [N, K / 32, 16]."""
    return _by_rows(_packed, weight, scales)


def _packed(weight: Tensor, scales: Tensor) -> Tensor:
    values = (as_blocks(weight.detach().float()) / scales.unsqueeze(-1)).round()
    nibbles = (values + CENTRE).clamp(0, 2 * CENTRE - 1).to(torch.uint8)
    return nibbles[..., 0::2] | (nibbles[..., 1::2] << BITS)


def _by_rows(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """``function`` of large tables, a few rows at a time, since it makes copies of them."""
    parts = zip(*(tensor.split(ROWS_AT_ONCE) for tensor in tensors), strict=True)
    return torch.cat([function(*part) for part in parts])


class StraightThrough(torch.autograd.Function):
    """Rounds going forward, passes the gradient unchanged going back."""

    @staticmethod
    def forward(ctx: object, weight: Tensor, scales: Tensor) -> Tensor:  # noqa: ARG004
        return dequantised(weight, scales)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        return gradient, None


def _round_trip(blocks: Tensor, scale: Tensor) -> Tensor:
    return (blocks / scale).round_().clamp_(-CENTRE, CENTRE - 1).mul_(scale)


def _not_zero(scale: Tensor) -> Tensor:
    return torch.where(scale.abs() < 1e-8, torch.full_like(scale, 1e-8), scale)
