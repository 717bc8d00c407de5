"""Prefill, then decode one token at a time. Knows nothing of JSON: the caller says what may come.

A generation is advanced step by step, so that its owner may do other work in between, stop it, or
leave it. Prompts share their beginning: what the cache already holds of one is not run again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_agent.types import End

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

STEP_TOKENS = 64
"""Prompt tokens run at one time: a step should not take much longer than a batch of texts."""
SPARSE_SHARE = 128
"""A token's logit by itself costs as much as so many in the whole head: measured, 2.2 µs against
0.018 µs at a width of 640."""


class LanguageModel(Protocol):
    """A causal model with a cache of one sequence. ``V`` is the vocabulary, ``H`` the width."""

    @property
    def context_tokens(self) -> int:
        """The most tokens the cache can hold."""

    def feed(self, tokens: Sequence[int]) -> Floats:
        """Appends tokens to the cache. The hidden state ``[H]`` of the last."""

    def cut(self, length: int) -> None:
        """Forgets all but the first ``length`` tokens."""

    def logits(self, hidden: Floats) -> Floats:
        """``[V]``: of every token."""

    def row_logits(self, hidden: Floats, ids: Ids) -> Floats:
        """``[K]``: of these tokens alone."""


class Constraint(Protocol):
    """Which tokens may come next."""

    @property
    def finished(self) -> bool:
        """Nothing more may be written."""

    def forced(self) -> list[int]:
        """Tokens that must come now; they count as accepted."""

    def allowed(self) -> Ids:
        """``[K]``, at least one: tokens that may come now."""

    def accept(self, token: int) -> None:
        """One more token of the output."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one output: tokens, and milliseconds since its generation began."""

    max_tokens: int
    max_time_ms: float


Sampler = Callable[[Floats], int]
"""Logits ``[K]`` of the allowed tokens to the index of the one to take."""


def greedy(logits: Floats) -> int:
    """The most probable token; the first of equals."""
    return int(logits.argmax())


def sampling(temperature: float, rng: np.random.Generator) -> Sampler:
    """A token by its probability. ``temperature`` above 0; the smaller, the closer to greedy."""

    def sample(logits: Floats) -> int:
        scaled = (logits - logits.max()).astype(np.float64) / temperature
        weights = np.exp(scaled)
        return int(rng.choice(len(weights), p=weights / weights.sum()))

    return sample


class Decoder:
    """One model and what its cache holds; runs one generation at a time.

    Where at most ``sparse_rows`` tokens are allowed, only their logits are computed.
    """

    def __init__(
        self,
        model: LanguageModel,
        stop_tokens: Sequence[int],
        clock: Callable[[], float],
        sparse_rows: int,
    ) -> None:
        self.stop_tokens = frozenset(stop_tokens)
        self.clock = clock
        self.model = model
        self._sparse_rows = sparse_rows
        self._cached: list[int] = []

    @property
    def context_tokens(self) -> int:
        """The most tokens that a prompt and its output may have together."""
        return self.model.context_tokens

    def reuse(self, prompt: Sequence[int]) -> int:
        """Keeps what the cache holds of a prompt, but its last token; how many tokens that is."""
        kept = 0
        for cached, wanted in zip(self._cached, prompt[:-1], strict=False):
            if cached != wanted:
                break
            kept += 1
        del self._cached[kept:]
        self.model.cut(kept)
        return kept

    def feed(self, tokens: Sequence[int]) -> Floats:
        """Runs tokens behind those in the cache. The hidden state ``[H]`` of the last."""
        hidden = self.model.feed(tokens)
        self._cached += tokens
        return hidden

    def choose(self, hidden: Floats, allowed: Ids, sampler: Sampler) -> int:
        """One of the allowed tokens; where there is but one, no logits are needed."""
        if len(allowed) == 1:
            return int(allowed[0])
        if len(allowed) <= self._sparse_rows:
            logits = self.model.row_logits(hidden, allowed)
        else:
            logits = self.model.logits(hidden)[allowed]
        return int(allowed[sampler(logits)])


class Generation:
    """One output as it grows. ``end`` is None as long as there is more to do.

    ``read_tokens`` counts those of the prompt that the model ran, with what came forced before the
    first choice; ``reading`` ends with that choice.
    """

    def __init__(
        self,
        decoder: Decoder,
        prompt: Sequence[int],
        constraint: Constraint,
        limits: Limits,
        sampler: Sampler = greedy,
    ) -> None:
        self.tokens: list[int] = []
        self.end: End | None = None
        self.forced_tokens = 0
        self.read_tokens = 0
        self.reading = True
        self._decoder = decoder
        self._constraint = constraint
        self._sampler = sampler
        self._max_tokens = min(limits.max_tokens, decoder.context_tokens - len(prompt))
        self._until_s = decoder.clock() + limits.max_time_ms / 1000
        self._pending = list(prompt)
        self._started = False

    def step(self) -> None:
        """One run of the model: a part of the prompt, or one token and what it forces."""
        if self.end is None and self._decoder.clock() >= self._until_s:
            self.end = End.TIME_LIMIT
        if self.end is not None:
            return
        if not self._started:
            self._start()
        now, self._pending = self._pending[:STEP_TOKENS], self._pending[STEP_TOKENS:]
        if self.end is None:
            hidden = self._decoder.feed(now)
            self.read_tokens += len(now) if self.reading else 0
            if not self._pending:
                self._choose(hidden)

    def cancel(self) -> None:
        """Ends it as it is, between two steps."""
        self.end = self.end or End.CANCELLED

    def _start(self) -> None:
        """Skips what the cache holds. What the constraint forces at once joins the prompt."""
        self._started = True
        self._pending += self._extend([])
        del self._pending[: self._decoder.reuse(self._pending)]

    def _choose(self, hidden: Floats) -> None:
        self.reading = False
        token = self._decoder.choose(hidden, self._constraint.allowed(), self._sampler)
        if token in self._decoder.stop_tokens:
            self.end = End.COMPLETE
            return
        self._constraint.accept(token)
        self._pending = self._extend([token])

    def _extend(self, chosen: list[int]) -> list[int]:
        """Adds chosen tokens and those they force to the output; what of it the model must read."""
        forced = self._constraint.forced()
        self.forced_tokens += len(forced)
        self.tokens += [*chosen, *forced]
        if len(self.tokens) > self._max_tokens:
            del self.tokens[max(self._max_tokens, 0) :]
            self.end = End.TOKEN_LIMIT
        elif self._constraint.finished:
            self.end = End.COMPLETE
        return [*chosen, *forced]
