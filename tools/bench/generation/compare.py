"""One run: the programs loaded side by side, and every measure taken of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from edge_agent.bundle import load_bundle
from edge_agent.generator import GeneratorSpecialist, load_writer
from edge_agent.specialists import load_specialist
from tools.bench.generation import memory
from tools.bench.generation.entrants import Genai, LlamaCpp, Ours
from tools.bench.generation.made import Folder
from tools.bench.generation.turns import (
    DECODED_TOKENS,
    PREFILL_TOKENS,
    Answered,
    Clock,
    Figures,
    FreeText,
    answers,
    clock_for,
    ratio,
    shared_tokens,
    speeds,
    summary,
    timed,
)

BATCH_MESSAGES = 16
FIRST_PIECE = 300
"""Before it are special tokens and bytes."""


@dataclass(frozen=True)
class Plan:
    """What is measured, how often. ``genai`` is a folder of its builder, if there is one."""

    folder: Folder
    texts: tuple[str, ...]
    turns: int
    grammar_messages: int
    genai: Path | None = None

    def tokens(self, count: int) -> list[int]:
        """Random ones, the same every time."""
        size = load_bundle(self.folder.writer).manifest.generator
        assert size is not None
        return Random(1).sample(range(FIRST_PIECE, size.vocabulary), count)


def decoding(plan: Plan, threads: int) -> Figures:
    """Reading a prompt, and writing tokens without any grammar."""
    entrants: list[Ours | LlamaCpp | Genai] = [ours(plan, threads), llama(plan, threads)]
    if plan.genai is not None:
        entrants.append(Genai(plan.genai, threads, plan.folder.context))
    found = speeds(entrants, plan.tokens(PREFILL_TOKENS), plan.turns, clock_for(threads))
    return summary(Ours.name, found)


def answering(plan: Plan, threads: int) -> Figures:
    """An answer under the schema, beside what llama.cpp needs for as many tokens of free text."""
    writer, theirs = load_writer(load_bundle(plan.folder.writer), threads), llama(plan, threads)
    clock, free = clock_for(threads), FreeText(theirs)
    found = [answered(writer, free, text, clock) for text in plan.texts]
    return {
        **answers(found[1:]),
        **encoding(plan, threads, [one.theirs_s for one in found[1:]]),
        **under_grammar(plan, writer, theirs, clock),
    }


def answered(writer: GeneratorSpecialist, free: FreeText, text: str, clock: Clock) -> Answered:
    prompt = writer.begin(text).prompt.ids
    began_s = clock()
    tokens = writer.write(text).tokens
    ours_s = clock() - began_s
    return Answered(tokens, ours_s, timed(lambda: free.write(prompt, tokens), clock))


def encoding(plan: Plan, threads: int, theirs_s: Sequence[float]) -> Figures:
    """Routes and entities by the encoder, beside llama.cpp's free text as long as an answer."""
    encoder = load_specialist(load_bundle(plan.folder.encoder), threads)
    texts, clock = list(plan.texts), clock_for(threads)
    encoder.predict(texts[:BATCH_MESSAGES])
    starts = range(0, len(texts), BATCH_MESSAGES)
    seconds = timed(lambda: [encoder.predict(texts[i : i + BATCH_MESSAGES]) for i in starts], clock)
    rate = len(texts) / seconds
    return {"encoder, messages/s": rate, "encoder to llama.cpp": rate * float(np.median(theirs_s))}


def under_grammar(
    plan: Plan, writer: GeneratorSpecialist, theirs: LlamaCpp, clock: Clock
) -> Figures:
    """A few answers of llama.cpp under the same schema, cut after as many tokens as ours has."""
    free, pairs = FreeText(theirs), []
    for text in plan.texts[: plan.grammar_messages]:
        prompt = writer.begin(text).prompt.ids
        ours_s = timed(lambda text=text: writer.write(text), clock)  # type: ignore[misc]
        tokens = writer.write(text).tokens
        grammar = theirs.grammar(json.dumps(load_schema(plan)))
        choose = grammar.next_token
        theirs_s = timed(lambda p=prompt, n=tokens, c=choose: free.write(p, n, c), clock)  # type: ignore[misc]
        grammar.close()
        pairs.append((ours_s, theirs_s))
    if not pairs:
        return {}
    theirs_ms = 1000 * float(np.median([theirs_s for _, theirs_s in pairs]))
    found = ratio([a for a, _ in pairs], [b for _, b in pairs])
    return {"llama.cpp with the schema, ms": theirs_ms, "to llama.cpp with the schema": found}


def load_schema(plan: Plan) -> object:
    task = load_bundle(plan.folder.writer).manifest.task
    assert task is not None
    return task.output_schema


def equality(plan: Plan) -> Figures:
    """How far the logits of both are apart over the same tokens, and where greedy texts part."""
    a, b = ours(plan, 1), llama(plan, 1)
    apart, same = [], 0
    for token in plan.tokens(DECODED_TOKENS):
        for entrant in (a, b):
            entrant.feed([token])
        left, right = a.logits(), b.logits()
        apart.append(float(np.abs(left - right).max() / np.abs(left).max()))
        same += int(left.argmax() == right.argmax())
    texts = [FreeText(e).write(plan.tokens(PREFILL_TOKENS), DECODED_TOKENS) for e in (a, b)]
    return {
        "largest difference of a logit, median, % of the largest": 100 * float(np.median(apart)),
        f"same most probable token, of {DECODED_TOKENS}": same,
        f"same greedy tokens at the beginning, of {DECODED_TOKENS}": shared_tokens(*texts),
    }


def resident(plan: Plan) -> Figures:
    """Fresh processes, one thread."""
    folder = plan.folder
    a = memory.measured("ours", folder.writer, 1, folder.context)
    b = memory.measured("llama", folder.gguf, 1, folder.context)
    named = {f"{who}, {key}": value for who, of in (("ours", a), ("llama.cpp", b))
             for key, value in of.items()}  # fmt: skip
    return {**named, "to llama.cpp": a["rss_mb"] / b["rss_mb"]}


def size(plan: Plan) -> Figures:
    """On disk."""
    total = sum(file.stat().st_size for file in plan.folder.writer.iterdir())
    return {"bundle_mb": total / 1e6, "gguf_mb": plan.folder.gguf.stat().st_size / 1e6}


def ours(plan: Plan, threads: int) -> Ours:
    return Ours(plan.folder.writer, threads)


def llama(plan: Plan, threads: int) -> LlamaCpp:
    return LlamaCpp(plan.folder.gguf, threads, plan.folder.context)
