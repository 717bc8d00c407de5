"""Bundles that are measured, loaded once for each count of threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Literal

from edge_agent.bench.runs import BATCHED, LENGTHS, Clock, Length, Run, Setting, Work
from edge_agent.bench.texts import TEXTS
from edge_agent.bundle import Bundle
from edge_agent.generator import GeneratorSpecialist
from edge_agent.specialists import EncoderSpecialist, load_specialist
from edge_agent.types import ModelCard


@dataclass(frozen=True)
class Entrant:
    """A bundle: its work under each setting, tokens of a text (the mean), texts that were cut.

    Of a bundle that writes, the tokens are those of the whole prompt.
    """

    card: ModelCard
    kind: Literal["encoder", "generator"]
    works: Mapping[Setting, Work]
    tokens: Mapping[Length, float]
    truncated: frozenset[Length] = frozenset()


@dataclass(frozen=True)
class Sweep:
    """The settings to try."""

    threads: Sequence[int]
    batches: Sequence[int]


def enter(bundle: Bundle, sweep: Sweep, clock: Clock) -> Entrant:
    """Loads a bundle. BundleError, SetupError when it cannot be."""
    entrant = _writer if bundle.manifest.kind == "generator" else _encoder
    try:
        return entrant(bundle, sweep, clock)
    finally:
        bundle.contents.clear()


def _encoder(bundle: Bundle, sweep: Sweep, clock: Clock) -> Entrant:
    loaded = {threads: load_specialist(bundle, threads) for threads in sweep.threads}
    settings = [
        Setting(length, batch, threads)
        for length in LENGTHS
        for batch in (sweep.batches if length in BATCHED else (1,))
        for threads in loaded
    ]
    works = {s: _predicting(loaded[s.threads], s, clock) for s in settings}
    said = {length: next(iter(loaded.values())).predict([*TEXTS[length]]) for length in LENGTHS}
    tokens = {length: _mean([one.tokens for one in many]) for length, many in said.items()}
    cut = frozenset(length for length, many in said.items() if any(p.truncated for p in many))
    return Entrant(bundle.card, "encoder", works, tokens, cut)


def _predicting(specialist: EncoderSpecialist, setting: Setting, clock: Clock) -> Work:
    texts = cycle(TEXTS[setting.length])

    def work() -> Run:
        batch = list(islice(texts, setting.batch))
        began_s = clock()
        specialist.predict(batch)
        return Run(clock() - began_s)

    return work


def _writer(bundle: Bundle, sweep: Sweep, clock: Clock) -> Entrant:
    loaded = {n: GeneratorSpecialist(bundle, n, clock) for n in sweep.threads}
    settings = [Setting(length, 1, threads) for length in LENGTHS for threads in loaded]
    works = {s: _writing(loaded[s.threads], s, clock) for s in settings}
    one = next(iter(loaded.values()))
    begun = {length: [one.begin(text) for text in TEXTS[length]] for length in LENGTHS}
    tokens = {length: _mean([len(w.prompt.ids) for w in many]) for length, many in begun.items()}
    cut = frozenset(n for n, many in begun.items() if any(w.prompt.text != w.text for w in many))
    return Entrant(bundle.card, "generator", works, tokens, cut)


def _writing(writer: GeneratorSpecialist, setting: Setting, clock: Clock) -> Work:
    texts = cycle(TEXTS[setting.length])

    def work() -> Run:
        began_s = clock()
        writing = writer.begin(next(texts))
        while writing.generation.reading and not writing.over:
            writing.step()
        read_s, begun_tokens = writing.model_ms / 1000, len(writing.generation.tokens)
        while not writing.over:
            writing.step()
        return Run(
            took_s=clock() - began_s,
            read_tokens=writing.generation.read_tokens,
            read_s=read_s,
            written_tokens=len(writing.generation.tokens) - begun_tokens,
            written_s=writing.model_ms / 1000 - read_s,
        )

    return work


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values)
