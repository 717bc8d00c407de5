"""The measurements, turn by turn, and the arithmetic over them. Knows nothing of libraries.

One thread is measured in processor time, which other programs on the machine change little; several
in wall-clock time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from tools.bench.generation.entrants import Entrant

PREFILL_TOKENS = 128
DECODED_TOKENS = 64
Clock = Callable[[], float]
Figures = dict[str, float]


def clock_for(threads: int) -> Clock:
    """See the module."""
    return time.process_time if threads == 1 else time.perf_counter


@dataclass(frozen=True)
class Speed:
    """Of one turn, tokens a second."""

    prefill: float
    decode: float


@dataclass(frozen=True)
class Answered:
    """One message: our answer under the schema, and the other's free text of as many tokens."""

    tokens: int
    ours_s: float
    theirs_s: float


def speeds(
    entrants: Sequence[Entrant], prompt: Sequence[int], turns: int, clock: Clock
) -> dict[str, list[Speed]]:
    """Every entrant in each turn, in changing order, after one turn that does not count."""
    found: dict[str, list[Speed]] = {entrant.name: [] for entrant in entrants}
    for turn in range(turns + 1):
        first = turn % len(entrants)
        for entrant in [*entrants[first:], *entrants[:first]]:
            speed = speed_of(entrant, prompt, clock)
            if turn:
                found[entrant.name].append(speed)
    return found


def speed_of(entrant: Entrant, prompt: Sequence[int], clock: Clock) -> Speed:
    """A prompt read up to its last token's logits, then tokens written one by one."""
    entrant.cut(0)
    began_s = clock()
    entrant.feed(prompt)
    token = entrant.next_token()
    read_s = clock()
    for _ in range(DECODED_TOKENS):
        entrant.feed([token])
        token = entrant.next_token()
    return Speed(len(prompt) / (read_s - began_s), DECODED_TOKENS / (clock() - read_s))


def timed(work: Callable[[], object], clock: Clock) -> float:
    """Seconds."""
    began_s = clock()
    work()
    return clock() - began_s


class FreeText:
    """Writes behind prompts. What two of them share at their beginning is read once."""

    def __init__(self, entrant: Entrant) -> None:
        self._entrant = entrant
        self._held: list[int] = []

    def write(
        self,
        prompt: Sequence[int],
        tokens: int,
        choose: Callable[[], int] | None = None,
        stops: Collection[int] = (),
    ) -> list[int]:
        """So many tokens, or up to one of ``stops``. ``choose`` in place of the most probable."""
        choose = choose or self._entrant.next_token
        shared = shared_tokens(self._held, prompt[:-1])
        self._entrant.cut(shared)
        self._entrant.feed(prompt[shared:])
        written = [choose()]
        while len(written) < tokens and written[-1] not in stops:
            self._entrant.feed(written[-1:])
            written.append(choose())
        self._held = [*prompt, *written[:-1]]
        return written

    def take_over(self, held: Sequence[int]) -> None:
        """The entrant was used by others; it holds these tokens at least."""
        self._held = [*held]


def shared_tokens(held: Sequence[int], prompt: Sequence[int]) -> int:
    """How many tokens two texts share at their beginning."""
    pairs = zip(held, prompt, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(held), len(prompt)))


def summary(ours: str, found: dict[str, list[Speed]]) -> Figures:
    """Medians, and the medians of our ratios, each turn compared within itself."""
    figures: Figures = {}
    for kind in ("prefill", "decode"):
        own = [getattr(speed, kind) for speed in found[ours]]
        for name, turns in found.items():
            theirs = [getattr(speed, kind) for speed in turns]
            figures[f"{kind} {name}, tok/s"] = statistics.median(theirs)
            if name != ours:
                figures[f"{kind} to {name}"] = ratio(own, theirs)
    return figures


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over pairs."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def answers(found: Sequence[Answered]) -> Figures:
    """Of the messages."""
    return {
        "tokens": statistics.median(one.tokens for one in found),
        "ours, ms": 1000 * statistics.median(one.ours_s for one in found),
        "llama.cpp without a grammar, ms": 1000 * statistics.median(one.theirs_s for one in found),
        "to llama.cpp": ratio([a.ours_s for a in found], [a.theirs_s for a in found]),
    }
