"""The shipped generator beside llama.cpp: the same messages, the same schema, the same weights.

JSON Schema cannot say that a string is a span of the message: there llama.cpp may write anything.
What it answers under our grammar tells how much of the difference is the grammar's.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_agent.bundle import Bundle, load_bundle, writing_task
from edge_agent.generator import Writing, load_writer
from edge_agent.inference.decode import Decoder, Generation, Limits
from edge_agent.inference.output_schema import extractive_values
from edge_agent.inference.spans import find_span
from edge_agent.types import End, JsonObject
from tools.bench.generation.entrants import Entrant, LlamaCpp, LlamaGrammar, Ours
from tools.bench.generation.gguf_file import write_gguf
from tools.bench.generation.turns import Clock, Figures, FreeText, clock_for, timed
from tools.bench.page import Bar

TIME = "time to llama.cpp"
SAME = "same answers, %"
SAME_GRAMMAR = "same answers by our grammar, %"
BARS = (
    Bar("time of an answer / llama.cpp's with the schema, one thread", "answers", TIME, 0.5),
    Bar("same answers as llama.cpp's with the schema, %", "answers", SAME, 100, at_least=True),
    Bar("same answers where both obey our grammar, %", "answers", SAME_GRAMMAR, 100, at_least=True),
)


class Other(Entrant, Protocol):
    """A program whose logits can be seen, and that has a grammar of its own."""

    def logits(self) -> NDArray[np.float32]:
        """``[V]`` of what comes next."""

    def grammar(self, schema: str) -> LlamaGrammar:
        """A JSON Schema as it enforces it."""


@dataclass(frozen=True)
class Answers:
    """To one message: ours, the other's by its own grammar, and its by ours. None: not whole."""

    text: str
    ours: JsonObject | None
    theirs: JsonObject | None
    by_our_grammar: JsonObject | None
    tokens: int
    ours_s: float
    theirs_s: float


@dataclass(frozen=True)
class ShownModel:
    """The other program as our decoder asks for a model: what it calls hidden are the logits."""

    other: Other
    context_tokens: int

    def feed(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        self.other.feed(tokens)
        return self.other.logits()

    def cut(self, length: int) -> None:
        self.other.cut(length)

    def logits(self, hidden: NDArray[np.float32]) -> NDArray[np.float32]:
        return hidden

    def row_logits(
        self, hidden: NDArray[np.float32], ids: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        return hidden[ids]


class Contest:
    """One bundle in both programs. Both are given the prompt in the tokens of ours."""

    def __init__(self, bundle: Bundle, other: Other, clock: Clock) -> None:
        self.shape, self.task = writing_task(bundle)
        if self.task.output_schema is None:
            raise AssertionError(f"{bundle.path} writes free text, which cannot be right or wrong")
        self.schema = self.task.output_schema
        self._bundle, self._other, self._clock = bundle, other, clock
        self._writer = load_writer(bundle, 1)
        self._free = FreeText(other)

    def answers(self, text: str) -> Answers:
        """One turn. The other's grammar is made before its time begins; ours is within."""
        began_s = self._clock()
        output = self._writer.write(text)
        ours_s = self._clock() - began_s
        writing = self._writer.begin(text)
        written, theirs_s = self._written(writing.prompt.ids)
        theirs = parsed(writing.grammar.text(written))
        by_ours = self._by_our_grammar(writing)
        return Answers(text, output.value, theirs, by_ours, output.tokens, ours_s, theirs_s)

    def first_logits(self, texts: Sequence[str]) -> Figures:
        """How far they are apart behind the prompts."""
        ours, apart, same = Ours(self._bundle.path, 1), [], 0
        for text in texts:
            prompt = self._writer.begin(text).prompt.ids
            for entrant in (ours, self._other):
                entrant.cut(0)
                entrant.feed(prompt)
            left, right = ours.logits(), self._other.logits()
            apart.append(float(np.abs(left - right).max() / np.abs(left).max()))
            same += int(left.argmax() == right.argmax())
            self._free.take_over(prompt)
        return {
            "largest difference of a logit, median, % of the largest": 100
            * statistics.median(apart),
            "same most probable token, %": 100 * same / len(texts),
        }

    def _written(self, prompt: Sequence[int]) -> tuple[list[int], float]:
        """The other's tokens up to its stop token, and the seconds they took."""
        grammar, stops = self._other.grammar(json.dumps(self.schema)), self.shape.stop_tokens
        written: list[int] = []
        most, choose = self.task.max_output_tokens, grammar.next_token
        seconds = timed(
            lambda: written.extend(self._free.write(prompt, most, choose, stops)), self._clock
        )
        grammar.close()
        return [token for token in written if token not in stops], seconds

    def _by_our_grammar(self, writing: Writing) -> JsonObject | None:
        """What the other's logits prefer of what our grammar allows."""
        model = ShownModel(self._other, self._bundle.manifest.max_tokens)
        generation = Generation(
            Decoder(model, self.shape.stop_tokens, time.monotonic, self.shape.vocabulary),
            writing.prompt.ids,
            writing.grammar.start(writing.prompt.text),
            Limits(self.task.max_output_tokens, self.task.max_time_ms),
        )
        while generation.end is None:
            generation.step()
        self._free.take_over(writing.prompt.ids)
        whole = generation.end is End.COMPLETE
        return parsed(writing.grammar.text(generation.tokens)) if whole else None


def parsed(written: str) -> JsonObject | None:
    """None where it is no whole JSON."""
    try:
        value: JsonObject = json.loads(written)
    except ValueError:
        return None
    return value


def figures(found: Sequence[Answers], schema: JsonObject) -> Figures:
    """Of all messages."""
    ours_s, theirs_s = (
        statistics.median(getattr(one, name) for one in found) for name in ("ours_s", "theirs_s")
    )
    strings = [(one.text, s) for one in found for s in extracts(one.theirs, schema)]
    return {
        "tokens": statistics.median(one.tokens for one in found),
        "ours, ms": 1000 * ours_s,
        "llama.cpp with the schema, ms": 1000 * theirs_s,
        TIME: ours_s / theirs_s,
        SAME: share(found, "theirs"),
        SAME_GRAMMAR: share(found, "by_our_grammar"),
        "strings of llama.cpp": len(strings),
        "of these, no span of the message": sum(find_span(t, s) is None for t, s in strings),
    }


def extracts(answer: JsonObject | None, schema: JsonObject) -> list[str]:
    """The strings that the task wants verbatim from the message."""
    return [] if answer is None else [found for _, found in extractive_values(schema, answer)]


def share(found: Sequence[Answers], name: str) -> float:
    """Of messages to which the answer ``name`` is ours, in percent."""
    answers = [(one.ours, getattr(one, name)) for one in found]
    return 100 * statistics.mean(float(a == b and a is not None) for a, b in answers)


def measure(folder: Path, gguf: Path, texts: Sequence[str]) -> dict[str, Figures]:
    """The bundle in ``folder``, whose GGUF file is written; one thread. The first turn is idle."""
    bundle = load_bundle(folder)
    gguf.parent.mkdir(parents=True, exist_ok=True)
    other = LlamaCpp(write_gguf(bundle, gguf), 1, bundle.manifest.max_tokens)
    contest = Contest(bundle, other, clock_for(1))
    contest.answers(texts[0])
    found = [contest.answers(text) for text in texts]
    return {
        "prompts": contest.first_logits(texts),
        "answers": figures(found, contest.schema),
    }
