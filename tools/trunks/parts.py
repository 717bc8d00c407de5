"""What trunks are made of: products and a word table that can show their weights as INT4 blocks.

Knows nothing of architectures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from tools.trunks.quantise import BLOCK, StraightThrough, choose_scales


class QuantLinear(nn.Linear):
    """A linear layer that shows its weight as INT4 blocks. [..., K] -> [..., N]."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias=bias)
        self.quantise = False
        self.register_buffer("scales", torch.ones(outputs, inputs // BLOCK))

    def forward(self, x: Tensor) -> Tensor:
        shown = StraightThrough.apply(self.weight, self.scales) if self.quantise else self.weight
        return F.linear(x, shown, self.bias)


@dataclass(frozen=True)
class WholeTable:
    """The word table set aside while a narrow one is trained: ``weight`` [V, H], ``used`` [U].

    ``place`` [V] is each id's row of the narrow table, -1 where it has none. Nothing here is ever
    written to, so copies of a model share it.
    """

    weight: Tensor
    used: Tensor
    place: Tensor

    def __deepcopy__(self, _: dict[int, Any]) -> WholeTable:
        return self

    @classmethod
    def around(cls, weight: Tensor, used: Tensor) -> WholeTable:
        place = torch.full((len(weight),), -1, dtype=torch.int64)
        place[used] = torch.arange(len(used))
        return cls(weight, used, place)


class Words(nn.Module):
    """The word table, INT4 blocks along the hidden axis. [B, T] int64 -> [B, T, H].

    Most rows of a table never occur in the messages of one site, and yet an optimiser would walk
    over all of them at every step: ``narrow`` leaves only the rows in use as the parameter, until
    ``widen`` puts them back. Ids stay the tokenizer's throughout.
    """

    def __init__(self, vocabulary: int, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(vocabulary, hidden))
        self.quantise = False
        self.register_buffer("scales", torch.ones(vocabulary, hidden // BLOCK))
        self.whole: WholeTable | None = None

    def narrow(self, used: Tensor) -> None:
        """Keeps the rows of the ids ``used``; any other id raises IndexError from now on.

        Before an optimiser is made, since the parameter is another one afterwards.
        """
        self.widen()
        used = used.unique()
        self.whole = WholeTable.around(self.weight.detach(), used)
        self._become(self.whole.weight[used])

    def widen(self) -> None:
        """The whole table again, with what the narrow one has learnt."""
        if self.whole is None:
            return
        weight = self.whole.weight.clone()
        weight[self.whole.used] = self.weight.detach()
        self.whole = None
        self._become(weight)

    def _become(self, weight: Tensor) -> None:
        self.weight = nn.Parameter(weight, requires_grad=self.weight.requires_grad)
        self.scales = torch.ones(weight.shape[0], weight.shape[1] // BLOCK)
        if self.quantise:
            self.scales.copy_(choose_scales(self.weight))

    def forward(self, ids: Tensor) -> Tensor:
        rows = ids if self.whole is None else self.whole.place[ids]
        shown = F.embedding(rows, self.weight)
        return StraightThrough.apply(shown, self.scales[rows]) if self.quantise else shown

    def logits(self, x: Tensor) -> Tensor:
        """The table as a head: [..., H] -> [..., V]."""
        shown = StraightThrough.apply(self.weight, self.scales) if self.quantise else self.weight
        return F.linear(x, shown)


class QuantModel(nn.Module):
    """A model whose products and word table show INT4 weights while asked to.

    ``shape`` has the sizes, its ``layers`` among them.
    """

    shape: Any
    words: Words

    def set_quantise(self, on: bool = True) -> None:
        """Shows INT4 weights from now on (scales chosen anew), or the float ones."""
        for module in self.quantised():
            module.quantise = on
        if on:
            self.refresh()

    def refresh(self) -> None:
        """Chooses all scales anew for the weights as they are now."""
        with torch.no_grad():
            for module in self.quantised():
                module.scales.copy_(self.scales_for(module.weight))

    def scales_for(self, weight: Tensor) -> Tensor:
        """[N, K] -> [N, K / 32]."""
        return choose_scales(weight)

    def quantised(self) -> list[QuantLinear | Words]:
        """Every product of the trunk, and the word table."""
        return [m for m in self.modules() if isinstance(m, (QuantLinear, Words))]


class RmsNorm(nn.Module):
    """Root-mean-square norm in float32, scaled by 1 + weight. [..., H] -> [..., H] float32."""

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * (1 + self.weight)


def attend(q: Tensor, k: Tensor, v: Tensor, keep: Tensor, scale: float) -> Tensor:
    """Plain products: over short messages faster than a fused kernel.

    ``q``, ``k``, ``v`` [B, A, T, D]; ``keep`` [B, 1, 1 or T, T] is True where one may look.
    """
    scores = (q * scale) @ k.transpose(-1, -2)
    return scores.masked_fill(~keep, -1e9).softmax(-1).to(v.dtype) @ v
