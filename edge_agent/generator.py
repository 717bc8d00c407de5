"""A specialist that writes: texts to outputs under a schema. Knows nothing of MQTT or queues."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_agent.bundle import Bundle, writing_task
from edge_agent.errors import BundleError, InferenceFailed
from edge_agent.inference.byte_pairs import BytePairs
from edge_agent.inference.causal import CausalModel
from edge_agent.inference.decode import (
    SPARSE_SHARE,
    Decoder,
    Floats,
    Generation,
    Limits,
    Sampler,
    greedy,
    sampling,
)
from edge_agent.inference.grammar import Grammar
from edge_agent.inference.output_schema import extractive_values
from edge_agent.inference.prompt import Prompt, PromptEncoder
from edge_agent.inference.session import CachedSession, Session
from edge_agent.inference.spans import find_span
from edge_agent.manifest import HEAD, MODEL, ROWS, TOKENIZER, GeneratorShape
from edge_agent.memory import give_back
from edge_agent.specialists import PACK_AGAIN, default_threads
from edge_agent.types import End, Extract, JsonObject, ModelCard, Output


class GeneratorSpecialist:
    """Writes one output at a time: ``begin`` another only when the last is over."""

    def __init__(self, bundle: Bundle, threads: int, clock: Callable[[], float]) -> None:
        shape, task = writing_task(bundle)
        self.card: ModelCard = bundle.card
        self._task = task
        self._clock = clock
        tokenizer = BytePairs(bundle.contents[TOKENIZER])
        room = bundle.manifest.max_tokens - task.max_output_tokens
        self._prompts = PromptEncoder(tokenizer, task.prompt, room)
        self._grammar = Grammar(tokenizer, task.output_schema, shape.vocabulary, shape.stop_tokens)
        model = load_model(bundle, threads, with_head=self._grammar.free_text)
        bundle.check_unchanged()
        sparse_rows = shape.vocabulary // SPARSE_SHARE if model.head else shape.vocabulary
        self._decoder = Decoder(model, shape.stop_tokens, clock, sparse_rows)
        self._try_out(bundle, shape)

    def begin(self, text: str, seed: int = 0) -> Writing:
        """An output about a text, still to be written. InferenceFailed when none can be."""
        prompt = self._prompts.encode(text)
        generation = Generation(
            self._decoder,
            prompt.ids,
            self._grammar.start(prompt.text),
            Limits(self._task.max_output_tokens, self._task.max_time_ms),
            self._sampler(seed),
        )
        return Writing(self.card, self._grammar, generation, prompt, text, self._clock)

    def write(self, text: str, seed: int = 0) -> Output:
        """An output about a text, all at once."""
        writing = self.begin(text, seed)
        while not writing.over:
            writing.step()
        return writing.output()

    def _sampler(self, seed: int) -> Sampler:
        if self._task.temperature == 0:
            return greedy
        return sampling(self._task.temperature, np.random.default_rng(seed))

    def _try_out(self, bundle: Bundle, shape: GeneratorShape) -> None:
        """Reads the fixed prompt, which every output shares, and computes logits in each way."""
        last = np.array([shape.vocabulary - 1], np.int64)
        model = self._decoder.model
        self._decoder.reuse(())
        try:
            hidden = self._decoder.feed(self._prompts.encode("").ids)
            one = model.row_logits(hidden, last)
            whole = model.logits(hidden) if self._grammar.free_text else None
        except InferenceFailed as error:
            raise BundleError(f"bundle {bundle.path}: {error.problem}", PACK_AGAIN) from error
        _check_logits(bundle, ROWS, one, 1)
        if whole is not None:
            _check_logits(bundle, HEAD, whole, shape.vocabulary)


@dataclass
class Writing:
    """One output as it is written. ``model_ms`` is the time spent in ``step``."""

    card: ModelCard
    grammar: Grammar
    generation: Generation
    prompt: Prompt
    text: str
    clock: Callable[[], float]
    model_ms: float = 0.0

    @property
    def over(self) -> bool:
        """Whether there is nothing more to do."""
        return self.generation.end is not None

    def step(self) -> None:
        """One run of the model. Raises InferenceFailed."""
        began_s = self.clock()
        self.generation.step()
        self.model_ms += (self.clock() - began_s) * 1000

    def cancel(self) -> None:
        """Ends it as it is."""
        self.generation.cancel()

    def output(self) -> Output:
        """What came of it. Of an output under a schema that is not whole, nothing is given."""
        end = self.generation.end or End.CANCELLED
        written = self.grammar.text(self.generation.tokens)
        found: dict[str, Any] = {}
        if self.grammar.schema is None:
            found = {"text": written.strip()}
        elif end is End.COMPLETE:
            value = json.loads(written)
            found = {"value": value, "extracts": self._extracts(self.grammar.schema, value)}
        return Output(
            end,
            self.card,
            input_truncated=self.prompt.text != self.text,
            tokens=len(self.generation.tokens),
            model_ms=self.model_ms,
            **found,
        )

    def _extracts(self, schema: JsonObject, value: Any) -> tuple[Extract, ...]:
        found = []
        for path, surface in extractive_values(schema, value):
            span = find_span(self.prompt.text, surface)
            if span is None:
                raise AssertionError(f"{path} of an output is no span of its input")
            found.append(Extract(path, *span))
        return tuple(found)


def load_writer(bundle: Bundle, threads: int | None = None) -> GeneratorSpecialist:
    """That of a verified bundle, on the machine's clock. ``threads``: half of the cores."""
    with bundle.named():
        return GeneratorSpecialist(bundle, threads or default_threads(), time.monotonic)


def load_model(bundle: Bundle, threads: int, *, with_head: bool = True) -> CausalModel:
    """The graphs of a verified bundle, without its task. See ``CausalModel`` about the head."""
    contents, folder = bundle.contents, bundle.path
    head = Session(contents[HEAD], threads, folder, HEAD) if with_head else None
    give_back()  # the head takes twice its size while it is packed, and what comes next uses that
    trunk = CachedSession(contents[MODEL], threads, bundle.manifest.max_tokens, folder)
    return CausalModel(trunk, head, Session(contents[ROWS], threads, folder, ROWS))


def _check_logits(bundle: Bundle, graph: str, logits: Floats, count: int) -> None:
    if logits.shape != (count,):
        raise BundleError(
            f"bundle {bundle.path}: {graph} gives logits of shape {logits.shape} where the "
            f"manifest's vocabulary asks for {count}",
            PACK_AGAIN,
        )
