"""Generating token by token: the cache, forced tokens, the sparse head, limits, cancellation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from edge_agent.inference.byte_pairs import BytePairs
from edge_agent.inference.causal import CausalModel
from edge_agent.inference.decode import (
    STEP_TOKENS,
    Decoder,
    Floats,
    Generation,
    Ids,
    Limits,
    greedy,
    sampling,
)
from edge_agent.inference.grammar import Grammar
from edge_agent.inference.session import CachedSession, Session
from edge_agent.types import End
from tests.support.tiny_generator import (
    CONTEXT_TOKENS,
    STOP_TOKENS,
    WORK_ORDER,
    Shape,
    tokenizer_json,
    write_graphs,
)

TEXT = "pump P-101 is leaking"
LIMITS = Limits(150, 60_000)
BPE = tokenizer_json()
CHARACTERS = tokenizer_json(merges=False)


class Bench:
    """A model, its tokenizer, and a count of what was asked of it."""

    def __init__(self, tokenizer: bytes = BPE, seed: int = 0, sparse_rows: int = 512) -> None:
        self.tokenizer = Tokenizer.from_str(tokenizer.decode())
        vocabulary = self.tokenizer.get_vocab_size()
        with TemporaryDirectory() as name:
            write_graphs(folder := Path(name), Shape(vocabulary), seed)
            parts = {path.stem: path.read_bytes() for path in folder.glob("*.onnx")}
            self.model = CausalModel(
                CachedSession(parts["model"], 1, CONTEXT_TOKENS, folder),
                Session(parts["head"], 1, folder),
                Session(parts["rows"], 1, folder),
            )
        self.fed: list[list[int]] = []
        self.now_s = 0.0
        self.decoder = Decoder(self.model, STOP_TOKENS, lambda: self.now_s, sparse_rows)
        pairs = BytePairs(tokenizer)
        self.json = Grammar(pairs, WORK_ORDER, vocabulary, STOP_TOKENS)
        self.plain = Grammar(pairs, None, vocabulary, STOP_TOKENS)

    def ids(self, text: str) -> list[int]:
        return [2, *self.tokenizer.encode(text).ids]

    def begin(self, constraint: Any = None, prompt: str = TEXT, **options: Any) -> Generation:
        constraint = constraint or self.json.start(TEXT)
        limits = options.pop("limits", LIMITS)
        return Generation(self.decoder, self.ids(prompt), constraint, limits, **options)

    def finish(self, generation: Generation) -> Generation:
        for _ in range(CONTEXT_TOKENS + 1):
            if generation.end is not None:
                return generation
            generation.step()
        raise AssertionError("never ends")

    def write(self, *arguments: Any, **options: Any) -> str:
        generation = self.finish(self.begin(*arguments, **options))
        assert generation.end is End.COMPLETE
        return self.json.text(generation.tokens)


class OneByOne:
    """A constraint that forces nothing; what it would force is all that is allowed."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._due: list[int] = inner.forced()

    @property
    def finished(self) -> bool:
        return not self._due and self._inner.finished

    def forced(self) -> list[int]:
        return []

    def allowed(self) -> Ids:
        return np.array(self._due[:1]) if self._due else self._inner.allowed()

    def accept(self, token: int) -> None:
        if self._due:
            self._due.pop(0)
        else:
            self._inner.accept(token)
            self._due = self._inner.forced()


class Free(OneByOne):
    """Forces nothing; everything that the grammar allows is allowed."""

    def __init__(self, inner: Any) -> None:
        self._inner, self._due = inner, []

    def accept(self, token: int) -> None:
        self._inner.accept(token)


class NoCache(CausalModel):
    """The slow twin: reads everything from the start each time."""

    def __init__(self, model: CausalModel) -> None:
        super().__init__(model.trunk, model.head, model.rows)
        self.tokens: list[int] = []

    def feed(self, tokens: Sequence[int]) -> Floats:
        self.tokens += tokens
        super().cut(0)
        return super().feed(self.tokens)

    def cut(self, length: int) -> None:
        del self.tokens[length:]


@pytest.mark.parametrize("seed", range(5))
def test_the_output_is_what_the_schema_asks_for(seed: int) -> None:
    """Whatever the weights prefer."""
    value = json.loads(Bench(seed=seed).write())
    assert list(value) == ["asset", "priority", "note"]
    assert value["asset"] in TEXT


@pytest.mark.parametrize("seed", range(5))
def test_the_cache_changes_nothing(seed: int) -> None:
    """Against reading everything again for each token."""
    bench = Bench(seed=seed)
    cached = bench.write()
    bench.decoder = Decoder(NoCache(bench.model), STOP_TOKENS, lambda: 0.0, 512)
    assert bench.write() == cached


@pytest.mark.parametrize("seed", range(5))
def test_forced_tokens_together_or_one_by_one(seed: int) -> None:
    """Forced tokens run through the model at once; the output is the same as one at a time."""
    bench = Bench(seed=seed)
    generation = bench.finish(bench.begin())
    assert generation.forced_tokens > 5
    assert bench.json.text(generation.tokens) == bench.write(OneByOne(bench.json.start(TEXT)))


@pytest.mark.parametrize("seed", range(5))
def test_forced_tokens_against_free_decoding(seed: int) -> None:
    """Where each text has but one tokenisation, choosing every token gives the same."""
    bench = Bench(CHARACTERS, seed)
    assert bench.write() == bench.write(Free(bench.json.start(TEXT)))


@pytest.mark.parametrize("seed", range(5))
def test_the_sparse_head_changes_nothing(seed: int) -> None:
    """Against the logits of all tokens."""
    texts = {Bench(seed=seed, sparse_rows=rows).write() for rows in (0, 512)}
    assert len(texts) == 1


def test_few_allowed_tokens_take_the_sparse_head() -> None:
    """The whole head is not run for them, nor any head for a single one."""
    bench = Bench()
    asked = []
    bench.model.head = None  # type: ignore[assignment]
    whole = bench.model.rows.run
    bench.model.rows.run = lambda feeds: asked.append(len(feeds["row_ids"])) or whole(feeds)  # type: ignore[method-assign]
    bench.write()
    assert asked
    assert 1 not in asked


def test_the_beginning_of_a_prompt_is_read_once() -> None:
    """A second prompt that begins the same runs only its own part, with the same output."""
    bench, fresh = Bench(), Bench()
    bench.write(prompt="write a work order for this message: valve V-7 is stuck")
    fed: list[int] = []
    feed = bench.model.feed
    bench.model.feed = lambda tokens: fed.append(len(tokens)) or feed(tokens)  # type: ignore[method-assign]
    second = "write a work order for this message: pump P-101 is leaking"
    assert bench.write(prompt=second) == fresh.write(prompt=second)
    shared = len(bench.ids("write a work order for this message: "))
    assert fed[0] <= len(bench.ids(second)) - shared + 8


def test_what_was_read_is_counted() -> None:
    """Until the first choice, what the model ran: of a prompt that begins alike, the rest."""
    bench = Bench()
    first, second = (bench.begin(bench.plain.start(""), f"write {w}") for w in ("pump", "valve"))
    for generation in (first, second):
        while generation.reading:
            assert generation.end is None
            generation.step()
        assert len(generation.tokens) == 1
    assert first.read_tokens == len(bench.ids("write pump"))
    assert second.read_tokens < len(bench.ids("write valve"))
    read = second.read_tokens
    assert bench.finish(second).read_tokens == read


def test_only_what_is_still_in_the_cache_counts_as_read() -> None:
    """A prompt like the one before the last finds nothing of it behind their common beginning."""
    bench, fresh = Bench(), Bench()
    for prompt in ("write pump P-101 leaking", "write valve", "write pump P-101 stuck"):
        text = bench.write(prompt=prompt)
    assert text == fresh.write(prompt="write pump P-101 stuck")


def test_the_last_token_is_not_read_again() -> None:
    """When nothing more may be written, the model is done."""
    bench = Bench()
    fed: list[int] = []
    feed = bench.model.feed
    bench.model.feed = lambda tokens: fed.append(len(tokens)) or feed(tokens)  # type: ignore[method-assign]
    generation = bench.finish(bench.begin())
    assert sum(fed) < len(bench.ids(TEXT)) + len(generation.tokens)


def test_a_long_prompt_runs_in_steps() -> None:
    """Each of a bounded number of tokens, so that other work fits in between."""
    bench = Bench(CHARACTERS)
    fed: list[int] = []
    feed = bench.model.feed
    bench.model.feed = lambda tokens: fed.append(len(tokens)) or feed(tokens)  # type: ignore[method-assign]
    bench.finish(bench.begin(prompt="a" * (STEP_TOKENS + 20), limits=Limits(60, 1000)))
    assert max(fed) == STEP_TOKENS


def test_the_token_limit_ends_it() -> None:
    """Also in the midst of forced tokens; the output then is not whole."""
    for limit in range(40):
        bench = Bench()
        generation = bench.finish(bench.begin(limits=Limits(limit, 1000)))
        if generation.end is End.COMPLETE:
            break
        assert generation.end is End.TOKEN_LIMIT
        assert len(generation.tokens) == limit
    assert limit > 5


def test_the_context_ends_it_too() -> None:
    """A prompt that fills it leaves no room."""
    bench = Bench(CHARACTERS)
    prompt = "a" * (CONTEXT_TOKENS - 11)
    generation = bench.finish(bench.begin(prompt=prompt))
    assert generation.end is End.TOKEN_LIMIT
    assert len(generation.tokens) == 10


def test_the_time_limit_ends_it() -> None:
    """Counted from its beginning, looked at before each step."""
    bench = Bench()
    generation = bench.begin(limits=Limits(150, 500))
    generation.step()
    bench.now_s = 0.49
    generation.step()
    assert generation.end is None
    bench.now_s = 0.5
    generation.step()
    assert generation.end is End.TIME_LIMIT


def test_cancelled_between_two_tokens() -> None:
    """The next one is not hindered by what the cancelled one left."""
    bench, fresh = Bench(), Bench()
    generation = bench.begin(prompt="write")
    generation.step()
    generation.step()
    generation.cancel()
    before = list(generation.tokens)
    generation.step()
    assert (generation.end, generation.tokens) == (End.CANCELLED, before)
    assert bench.write() == fresh.write()


def test_cancelling_what_is_complete_changes_nothing() -> None:
    """The output stays whole."""
    bench = Bench()
    generation = bench.finish(bench.begin())
    generation.cancel()
    assert generation.end is End.COMPLETE


def test_temperature_with_a_seed() -> None:
    """The same seed writes the same; other seeds write other texts; all obey the schema."""

    def write(seed: int) -> str:
        return Bench().write(sampler=sampling(2.0, np.random.default_rng(seed)))

    texts = [write(seed) for seed in range(6)]
    assert write(3) == texts[3]
    assert len(set(texts)) > 3
    assert all(json.loads(text)["priority"] in {"low", "high"} for text in texts)


def test_sampling_follows_the_probabilities() -> None:
    """Of logits that differ by ln 3, one token comes three times as often as the other."""
    sample = sampling(1.0, np.random.default_rng(0))
    logits = np.array([0.0, np.log(3)], np.float32)
    share = np.mean([sample(logits) for _ in range(2000)])
    assert 0.7 < share < 0.8
    flat = sampling(2.0, np.random.default_rng(0))
    share = np.mean([flat(2 * logits) for _ in range(2000)])
    assert 0.7 < share < 0.8
    assert greedy(logits) == 1


def test_free_text_ends_at_a_stop_token() -> None:
    """Which is no part of it; special tokens never are."""
    bench = Bench()
    ends = set()
    for seed in range(40):
        sampler = sampling(3.0, np.random.default_rng(seed))
        generation = bench.begin(bench.plain.start(""), limits=Limits(60, 1000), sampler=sampler)
        bench.finish(generation)
        ends.add(generation.end)
        assert all(token >= 6 for token in generation.tokens)
    assert ends == {End.COMPLETE, End.TOKEN_LIMIT}
