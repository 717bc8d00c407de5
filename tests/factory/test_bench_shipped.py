"""The part of ``python -m tools.bench.generation`` about the generator that is shipped."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent.bundle import Bundle, load_bundle
from edge_agent.generator import load_writer
from tests.support.tiny_generator import EOS, WORK_ORDER, tiny_generator
from tools.bench.generation.entrants import Ours
from tools.bench.generation.shipped import BARS, Answers, Contest, figures
from tools.bench.generation.turns import FreeText
from tools.bench.page import PAGE, missed

TEXTS = ["pump P-101 is leaking in hall 3", "valve V-7 is stuck"]
ORDER = {"asset": "pump P-101", "priority": "high", "note": "x"}


class Stopping:
    """A grammar that permits some tokens, whatever the model prefers."""

    def __init__(self, tokens: list[int]) -> None:
        self._tokens = iter(tokens)
        self.closed = False

    def next_token(self) -> int:
        return next(self._tokens)

    def close(self) -> None:
        self.closed = True


class Twin(Ours):
    """The same model once more, in place of llama.cpp."""

    name = "twin"

    def __init__(self, folder: Path, says: list[int]) -> None:
        super().__init__(folder, 1)
        self.enforced = Stopping(says)

    def grammar(self, schema: str) -> Any:
        return self.enforced


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(tiny_generator(tmp_path_factory.mktemp("bundle"), max_time_ms=60000))


def tokens_of(bundle: Bundle, text: str) -> list[int]:
    """Of a whole answer of ours."""
    writing = load_writer(bundle, 1).begin(text)
    while not writing.over:
        writing.step()
    return writing.generation.tokens


def test_equal_models_answer_alike_under_our_grammar(bundle: Bundle) -> None:
    """Message after message: what one leaves behind does not reach the next."""
    contest = Contest(bundle, Twin(bundle.path, [EOS] * 2), time.process_time)
    found = [contest.answers(text) for text in TEXTS]
    assert all(one.ours is not None for one in found)
    assert [one.by_our_grammar for one in found] == [one.ours for one in found]


def test_the_others_answer_ends_with_its_stop_token(bundle: Bundle) -> None:
    says = tokens_of(bundle, TEXTS[0])
    twin = Twin(bundle.path, [*says, EOS, *says])
    found = Contest(bundle, twin, time.process_time).answers(TEXTS[0])
    assert found.theirs == found.ours
    assert (found.tokens, twin.enforced.closed) == (len(says), True)


def test_an_answer_that_is_cut_off_is_none(bundle: Bundle) -> None:
    says = tokens_of(bundle, TEXTS[0])
    found = Contest(bundle, Twin(bundle.path, [*says[:5], EOS]), time.process_time).answers(
        TEXTS[0]
    )
    assert found.theirs is None


def test_equal_models_have_the_same_logits_behind_prompts(bundle: Bundle) -> None:
    twin = Twin(bundle.path, [])
    twin.feed([300, 301])
    found = Contest(bundle, twin, time.process_time).first_logits(TEXTS)
    assert list(found.values()) == [0, 100]


def test_other_logits_are_told_apart(bundle: Bundle) -> None:
    class Reversed(Twin):
        def logits(self) -> Any:
            return np.ascontiguousarray(super().logits()[::-1])

    found = Contest(bundle, Reversed(bundle.path, []), time.process_time).first_logits(TEXTS)
    apart, same = found.values()
    assert apart > 10
    assert same == 0


def test_the_figures_are_counted_over_all_messages() -> None:
    """An answer that is not whole is no equal one, even where both lack it."""
    text = "pump P-101 is leaking"
    other = {**ORDER, "asset": "pump P-10"}
    found = figures(
        [
            Answers(text, ORDER, ORDER, ORDER, 20, 1.0, 2.0),
            Answers(text, ORDER, other, ORDER, 30, 3.0, 4.0),
            Answers(text, None, None, ORDER, 40, 5.0, 6.0),
            Answers(text, ORDER, None, None, 50, 7.0, 8.0),
        ],
        WORK_ORDER,
    )
    assert found == {
        "tokens": 35,
        "ours, ms": 4000,
        "llama.cpp with the schema, ms": 5000,
        "time to llama.cpp": 0.8,
        "same answers, %": 25,
        "same answers by our grammar, %": 50,
        "strings of llama.cpp": 2,
        "of these, no span of the message": 1,
    }
    assert len(missed(BARS, {"answers": found})) == 3


def test_a_stop_token_ends_what_is_written(bundle: Bundle) -> None:
    grammar = Stopping([7, 8, EOS, 9])
    free = FreeText(Twin(bundle.path, []))
    assert free.write([2, 9], 10, grammar.next_token, (EOS,)) == [7, 8, EOS]


def test_what_others_left_behind_is_cut_or_kept(bundle: Bundle) -> None:
    """Only what the entrant really holds of a prompt is not read again."""
    twin, fresh = Twin(bundle.path, []), Twin(bundle.path, [])
    free = FreeText(twin)
    free.write([2, 300, 301, 302], 1)
    twin.cut(1)
    twin.feed([310, 311])
    free.take_over([2, 310])
    assert free.write([2, 300, 302], 6) == FreeText(fresh).write([2, 300, 302], 6)


def test_the_page_has_the_part() -> None:
    part = re.search(r"<!-- measured: shipped -->(.*?)<!-- end -->", PAGE.read_text(), re.DOTALL)
    assert part is not None
    assert BARS[0].name in part[1]
