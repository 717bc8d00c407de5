"""Parts of messages: what is left of one, and how often."""

from __future__ import annotations

from random import Random

import pytest

from tools.corpora import own_messages
from tools.corpus.annotation import Example, Span
from tools.excerpts import NO_ROUTE, excerpt, with_excerpts
from tools.learning.recipe import Recipe

TEXT = "PH639 - rectify steering fault by 08:15"
MARKED = Example(TEXT, "maintenance", (Span(0, 5, "asset"), Span(34, 39, "time")))
PLAIN = Example("good morning everybody", "other", ())


def excerpts(example: Example) -> list[Example]:
    return [excerpt(example, Random(seed)) for seed in range(60)]


def surfaces(example: Example) -> list[tuple[str, str]]:
    return [(span.label, example.text[span.start : span.end]) for span in example.entities]


def test_an_entity_goes_with_the_separator_that_would_come_first() -> None:
    texts = {e.text for e in excerpts(MARKED)}
    assert "rectify steering fault by 08:15" in texts
    assert "PH639 - rectify steering fault by" in texts
    assert len(texts) > 10


def test_the_sign_of_a_number_that_comes_first_is_no_separator() -> None:
    example = Example("TT-4 -5 C", "reading", (Span(0, 4, "asset"), Span(5, 9, "quantity")))
    beside = Example("TT-4-5 C", "reading", (Span(0, 4, "asset"), Span(4, 8, "quantity")))
    assert "-5 C" in {e.text for e in excerpts(example)}
    assert "-5 C" in {e.text for e in excerpts(beside)}


@pytest.mark.parametrize("example", own_messages()[::97], ids=lambda e: e.text[:30])
def test_what_is_left_stood_in_the_message_and_entities_stay_whole(example: Example) -> None:
    known = surfaces(example)
    for cut in excerpts(example):
        assert cut.text
        assert set(surfaces(cut)) <= set(known)
        if cut != example:
            assert cut.route == NO_ROUTE
            rest = iter(example.text)
            assert all(letter in rest for letter in cut.text)


def test_what_cannot_be_cut_is_shown_with_its_route() -> None:
    short = Example("good morning", "other", ())
    assert excerpts(short) == [short] * 60


def test_the_same_seed_cuts_the_same_share_of_every_pass() -> None:
    epochs, recipe = [[MARKED] * 400, [PLAIN] * 400], Recipe(excerpt=0.25)
    shown = with_excerpts(epochs, recipe)
    assert shown == with_excerpts(epochs, recipe)
    assert shown != with_excerpts(epochs, Recipe(excerpt=0.25, seed=8))
    for whole, epoch in zip((MARKED, PLAIN), shown, strict=True):
        assert 60 < sum(example != whole for example in epoch) < 140


def test_messages_without_any_entity_are_shown_as_they_are() -> None:
    epochs = [[PLAIN] * 20] * 3
    assert with_excerpts(epochs, Recipe(excerpt=1.0)) == epochs
