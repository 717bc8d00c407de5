"""A linear-chain CRF over begin/inside tags: what neighbouring tags cost, learnt and enforced.

Emissions are tag logits [B, T, C]; the runtime's Viterbi adds the same transitions [C, C].
"""

from __future__ import annotations

import torch
from torch import Tensor

FORBIDDEN = -100.0


def forbidden(tags: int) -> Tensor:
    """[C, C] with FORBIDDEN where an inside tag does not follow its own begin or inside."""
    penalty = torch.zeros(tags, tags)
    for inside in range(2, tags, 2):
        penalty[:, inside] = FORBIDDEN
        penalty[inside - 1 : inside + 1, inside] = 0.0
    return penalty


def negative_log_likelihood(
    emissions: Tensor, transitions: Tensor, tags: Tensor, mask: Tensor
) -> Tensor:
    """Mean per message. ``tags`` and ``mask`` [B, T]; the mask is 1 from the first token on.

    Hand in the tokens between the special ones: the runtime decodes only those.
    """
    real = mask.float()
    at = emissions.gather(-1, tags.unsqueeze(-1)).squeeze(-1)
    between = transitions[tags[:, :-1], tags[:, 1:]]
    gold = (at * real).sum(1) + (between * real[:, 1:]).sum(1)
    return (_log_partition(emissions, transitions, mask.bool()) - gold).mean()


def _log_partition(emissions: Tensor, transitions: Tensor, mask: Tensor) -> Tensor:
    start = torch.zeros_like(emissions[0, 0])
    start[2::2] = FORBIDDEN
    alpha = emissions[:, 0] + start
    weights = transitions.exp()
    for step in range(1, emissions.shape[1]):
        largest = alpha.detach().amax(1, keepdim=True)
        reached = (
            largest
            + ((alpha - largest).exp() @ weights).clamp_min(1e-38).log()
            + emissions[:, step]
        )
        alpha = torch.where(mask[:, step : step + 1], reached, alpha)
    return torch.logsumexp(alpha, 1)
