"""A causal model of three graphs: the trunk with its cache, the head, the head of a few rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.inference.decode import Floats, Ids
from edge_agent.inference.finite import require_finite
from edge_agent.inference.session import CachedSession, Session


@dataclass
class CausalModel:
    """``head`` turns ``hidden`` into ``logits`` of all tokens, ``rows`` of those in ``row_ids``.

    The head is the largest part of a small model: it may be left out where nobody asks for all.
    """

    trunk: CachedSession
    head: Session | None
    rows: Session
    length: int = 0

    @property
    def context_tokens(self) -> int:
        """The most tokens the cache can hold."""
        return self.trunk.context_tokens

    def feed(self, tokens: Sequence[int]) -> Floats:
        """Appends tokens to the cache. The hidden state ``[H]`` of the last."""
        hidden = self.trunk.append(tokens, self.length)
        self.length += len(tokens)
        require_finite(hidden)
        return hidden.reshape(-1)

    def cut(self, length: int) -> None:
        """Forgets all but the first tokens: later ones are overwritten."""
        self.length = min(self.length, length)

    def logits(self, hidden: Floats) -> Floats:
        """``[V]``: of every token. There must be a head."""
        if self.head is None:
            raise AssertionError("the head was left out, and its logits are asked for")
        return self.head.run({"hidden": hidden.reshape(1, 1, -1)})["logits"].reshape(-1)

    def row_logits(self, hidden: Floats, ids: Ids) -> Floats:
        """``[K]``: of these tokens alone."""
        found = self.rows.run({"hidden": hidden.reshape(1, 1, -1), "row_ids": ids})
        return found["logits"].reshape(-1)
