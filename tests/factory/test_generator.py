"""The graphs of a Gemma 3 that writes, as the agent runs them, against transformers.

Tiny models always; the true shape of Gemma 3 270M under ``make parity``, since it takes minutes and
gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from edge_agent.inference.causal import CausalModel
from edge_agent.inference.session import Session
from tests.support.gemma3_cases import Case, tiny, true_shape

GREEDY_TOKENS = 64
SIZES = {
    "tiny, short window": (lambda folder: tiny(folder, 16), 80, 96),
    "tiny, longer than 512": (lambda folder: tiny(folder, 512), 600, 672),
    "270m": (true_shape, 600, 672),
}
"""Folder, tokens of a text, context."""
MARKED = [pytest.param(n, marks=pytest.mark.parity) if n == "270m" else n for n in SIZES]


@pytest.fixture(scope="module", params=MARKED)
def make(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[bool], Case]:
    """The case of one size, in floats or in INT4; made once, the last one kept."""
    maker, tokens, context = SIZES[request.param]
    root = tmp_path_factory.mktemp("generator")
    folder, cases = maker(root / "base"), {}

    def made(int4: bool) -> Case:
        if int4 not in cases:
            cases.clear()
            cases[int4] = Case(folder, root / f"int4-{int4}", tokens, context, int4)
        return cases[int4]

    return made


def assert_close(found: np.ndarray, expected: np.ndarray, share: float = 1e-4) -> None:
    """Equal up to a share of the largest logit."""
    assert np.abs(found - expected).max() <= share * np.abs(expected).max()


def logits_after(graphs: CausalModel, pieces: list[list[int]], at: set[int]) -> np.ndarray:
    """Logits behind those pieces of a text that end at the positions ``at``."""
    graphs.cut(0)
    states = [(graphs.feed(piece), graphs.length - 1) for piece in pieces]
    return np.stack([graphs.logits(state) for state, position in states if position in at])


def cut(ids: list[int], *sizes: int) -> list[list[int]]:
    """Pieces of these sizes, and the rest."""
    ends = [*np.cumsum(sizes), len(ids)]
    return [ids[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize("int4", [False, True])
def test_a_text_in_pieces_of_any_size_has_the_logits_of_transformers(
    make: Callable[[bool], Case], int4: bool
) -> None:
    """In one piece, in several, token by token; also where the window has left the beginning."""
    case = make(int4)
    graphs, ids, last = case.graphs(), case.ids, case.tokens - 1
    third = case.tokens // 3
    assert case.model.shape.window < case.tokens
    for pieces in ([ids], cut(ids, third, 1, third), [[i] for i in ids]):
        ends = np.cumsum([len(piece) for piece in pieces]) - 1
        at = sorted({*ends.tolist()} & {0, 1, third, 2 * third, case.model.shape.window, last})
        found = logits_after(graphs, pieces, set(at))
        assert_close(found, case.expected(ids, at))


@pytest.mark.parametrize("int4", [False, True])
def test_what_training_sees_is_what_the_graphs_and_transformers_compute(
    make: Callable[[bool], Case], int4: bool
) -> None:
    """Also where the window has left the beginning; INT4 as it will be packed."""
    case = make(int4)
    at = [0, case.tokens // 3, case.tokens - 1]
    with torch.no_grad():
        states = case.model(torch.tensor([case.ids, case.ids[::-1]]))[0, at]
        found = case.model.words.logits(states)
    assert_close(found.numpy(), case.expected(case.ids, at))


def test_greedy_text_is_that_of_transformers(make: Callable[[bool], Case]) -> None:
    """Of the dequantised weights, over 64 tokens, each fed back."""
    case = make(int4=True)
    graphs, prompt = case.graphs(), case.ids[: case.tokens // 8]
    found, state = [], graphs.feed(prompt)
    for _ in range(GREEDY_TOKENS):
        found.append(int(graphs.logits(state).argmax()))
        state = graphs.feed(found[-1:])
    expected = case.reference.generate(
        torch.tensor([prompt]), max_new_tokens=GREEDY_TOKENS, do_sample=False, eos_token_id=None
    )[0, len(prompt) :]
    assert found == expected.tolist()


def test_integer_arithmetic_stays_near(make: Callable[[bool], Case]) -> None:
    """As bundles have it: activations in 8 bits, so a little less exact."""
    case = make(int4=True)
    shipped, exact = case.graphs(accuracy_level=4), case.graphs(accuracy_level=0)
    states = [graphs.feed(case.ids) for graphs in (shipped, exact)]
    found, expected = shipped.logits(states[0]), exact.logits(states[1])
    assert np.corrcoef(found, expected)[0, 1] > 0.999


def test_the_logits_of_a_few_rows_are_those_of_the_whole_head(
    make: Callable[[bool], Case],
) -> None:
    case = make(int4=True)
    graphs = case.graphs()
    state, last = graphs.feed(case.ids[:20]), case.model.shape.vocabulary - 1
    whole = graphs.logits(state)
    for ids in ([0], [last, 5, 5, 17], [int(whole.argmax()), 1]):
        np.testing.assert_allclose(graphs.row_logits(state, np.array(ids)), whole[ids], atol=2e-4)


def test_a_cache_changes_nothing(make: Callable[[bool], Case]) -> None:
    """Tokens fed one by one, and each time the whole text anew, give the same states."""
    case = make(int4=True)
    graphs, ids = case.graphs(), case.ids
    window = case.model.shape.window
    kept = [graphs.feed([i]) for i in ids]
    for end in (1, window - 1, window + 1, len(ids)):
        graphs.cut(0)
        np.testing.assert_allclose(graphs.feed(ids[:end]), kept[end - 1], atol=2e-4)


def test_going_back_forgets_what_came_after(make: Callable[[bool], Case]) -> None:
    """The buffers still hold it, and nothing reads it."""
    case = make(int4=True)
    graphs, ids, half = case.graphs(), case.ids, case.tokens // 2
    graphs.feed(ids)
    graphs.cut(half)
    other = [7, 8, 9]
    found = graphs.feed(other)
    graphs.cut(0)
    np.testing.assert_allclose(found, graphs.feed([*ids[:half], *other]), atol=2e-4)


def test_a_cache_that_grows_is_the_same_as_one_in_place(make: Callable[[bool], Case]) -> None:
    """The graph also works without bound buffers: an empty cache in, a longer one out."""
    case = make(int4=True)
    in_place, shape = case.graphs(), case.model.shape
    folder = case.scratch / "graphs0"
    trunk = Session((folder / "model.onnx").read_bytes(), 1, folder)
    empty = np.zeros((1, shape.key_heads, 0, shape.head_size), np.float32)
    past = {name: empty for name in trunk.inputs if name.startswith("past_key_values.")}
    total = 0
    for piece in cut(case.ids, 7, 1, 30):
        total += len(piece)
        lengths = {
            "input_ids": np.array([piece]),
            "seqlens_k": np.array([total - 1], np.int32),
            "total_sequence_length": np.array(total, np.int32),
        }
        found = trunk.run({**lengths, **past})
        past = {name: found[name.replace("past_key_values", "present")] for name in past}
        np.testing.assert_allclose(found["hidden"][0, 0], in_place.feed(piece), atol=2e-4)


def test_the_word_table_stands_on_disk_once(make: Callable[[bool], Case]) -> None:
    """And in 4 bits; tables of positions are as long as the context."""
    case = make(int4=True)
    case.graphs()
    files = {file.name: file.stat().st_size for file in (case.scratch / "graphs0").iterdir()}
    assert set(files) == {"model.onnx", "head.onnx", "rows.onnx", "weights.bin"}
    shape = case.model.shape
    blocks = sum(module.scales.numel() for module in case.model.quantised())
    positions = 4 * case.context * shape.head_size // 2 * 4
    norms = 4 * (shape.hidden * (1 + 4 * shape.layers) + 2 * shape.head_size * shape.layers)
    gaps = 64 * (10 + 12 * shape.layers)
    assert files.pop("weights.bin") <= blocks * 18 + positions + norms + gaps
    assert sum(files.values()) < 400_000
