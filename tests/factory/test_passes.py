"""What each pass over a site's messages shows."""

from __future__ import annotations

from random import Random

from tools.corpus.annotation import Example, Span
from tools.learning.recipe import Recipe
from tools.passes import passes, surfaces_of, vary


def messages(count: int) -> list[Example]:
    return [
        Example(f"pump {i} leaking badly", "fault", (Span(0, len(f"pump {i}"), "asset"),))
        for i in range(count)
    ]


def surface(example: Example) -> str:
    (span,) = example.entities
    return example.text[span.start : span.end]


def test_many_messages_are_shown_as_they_are() -> None:
    many = messages(4000)
    shown = passes(many, Recipe(epochs=5))
    assert shown == [many] * 5


def test_few_messages_are_shown_often_and_mostly_changed() -> None:
    """Every pass has each message once, and the originals are among all passes."""
    few, recipe = messages(40), Recipe(epochs=2, fewest_steps=40, batch_messages=8)
    shown = passes(few, recipe)
    assert len(shown) == 8
    changed = sum(one != other for epoch in shown for one, other in zip(epoch, few, strict=True))
    assert 0.2 < changed / (8 * 40) < 0.75
    assert shown == passes(few, recipe)
    assert shown != passes(few, Recipe(epochs=2, fewest_steps=40, batch_messages=8, seed=8))


def test_a_changed_message_keeps_its_route_and_marks_a_surface_of_the_site() -> None:
    few = messages(30)
    known = {surface(example) for example in few}
    recipe = Recipe(epochs=1, fewest_steps=100, slip=0.0, swap=1.0)
    for epoch in passes(few, recipe):
        for example in epoch:
            assert example.route == "fault"
            assert surface(example) in known
            assert example.text.endswith(" leaking badly")


def test_an_epoch_count_that_was_asked_for_changes_nothing() -> None:
    few = messages(10)
    assert passes(few, Recipe(epochs=5, fewest_steps=0)) == [few] * 5


def test_a_message_without_a_word_to_slip_in_stays_as_it_is() -> None:
    bare = Example("7 %", "reading", ())
    recipe = Recipe(slip=1.0)
    assert vary(bare, surfaces_of([bare]), recipe, Random(1)) == bare


def test_typing_errors_are_made_only_where_no_entity_is_marked() -> None:
    (marked,) = messages(1)
    plain, recipe = Example("pump leaking badly", "fault", ()), Recipe(slip=1.0, swap=0.0)
    surfaces = surfaces_of([marked, plain])
    for seed in range(20):
        assert vary(marked, surfaces, recipe, Random(seed)) == marked
    assert any(vary(plain, surfaces, recipe, Random(seed)) != plain for seed in range(20))
