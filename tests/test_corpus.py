"""The hand-written corpus and its noise. Needs neither torch nor a model."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tools.corpus import generate, noise
from tools.corpus.annotation import LABELS, ROUTES, Example, Span, parse_line, read_messages
from tools.corpus.pools import Pools
from tools.corpus.segments import Piece, cut, joined
from tools.corpus.surfaces import identifiers, respelled, timestamp

MESSAGES = Path(__file__).parents[1] / "tools" / "corpus" / "messages"
NOISES = ("slip", "shorten", "recase", "unpunctuate", "reseparate", "unprefix")


@pytest.fixture(scope="module")
def corpus() -> list[Example]:
    return read_messages(MESSAGES)


@pytest.fixture(scope="module")
def noised(corpus: list[Example]) -> list[Example]:
    return [example for epoch in generate.variants(corpus, 3, seed=5) for example in epoch]


def assert_spans_are_right(example: Example) -> None:
    """In order, inside the text, not overlapping, no space at an end, a known label."""
    last = 0
    for span in example.entities:
        surface = example.text[span.start : span.end]
        assert last <= span.start < span.end <= len(example.text), example
        assert surface == surface.strip(), example
        assert span.label in LABELS, example
        last = span.end


def test_the_corpus_is_large_and_covers_every_route_and_label(corpus: list[Example]) -> None:
    assert len({example.text.lower() for example in corpus}) >= 600
    routes = Counter(example.route for example in corpus)
    labels = Counter(span.label for example in corpus for span in example.entities)
    assert all(routes[route] >= 30 for route in ROUTES), routes
    assert all(labels[label] >= 30 for label in LABELS), labels


def test_spans_of_hand_written_messages_are_right(corpus: list[Example]) -> None:
    for example in corpus:
        assert_spans_are_right(example)


def test_annotation_gives_the_text_without_markup_and_exact_spans() -> None:
    example = parse_line("fault: [sshd|asset][[45|code]]: [leaking|symptom] (see [docs])")
    assert example.text == "sshd[45]: leaking (see [docs])"
    assert example.entities == (
        Span(0, 4, "asset"),
        Span(5, 7, "code"),
        Span(10, 17, "symptom"),
    )


@pytest.mark.parametrize(
    "line", ["pump broken", "fault: [ pump|asset] broken", "other: hello [pump|asset]", "fault:  "]
)
def test_bad_annotation_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_line(line)


def test_pieces_joined_again_give_the_same_message(corpus: list[Example]) -> None:
    for example in corpus:
        assert joined(cut(example), example.route) == example


def test_noise_keeps_spans_right_and_routes_and_labels_plausible(noised: list[Example]) -> None:
    for example in noised:
        assert_spans_are_right(example)
        assert example.text == example.text.strip() != ""
        assert example.route != "other" or not example.entities


@pytest.mark.parametrize("kind", NOISES)
def test_each_noise_keeps_the_labels_it_leaves(kind: str, corpus: list[Example]) -> None:
    """Only ``unprefix`` takes an entity away, and only the timestamp at the head."""
    rng = Random(3)
    for example in corpus:
        changed = getattr(noise, kind)(cut(example), rng)
        before = [span.label for span in example.entities]
        after = [piece.label for piece in changed if piece.label]
        assert after == before or (kind == "unprefix" and ["time", *after] == before)
        assert_spans_are_right(joined(changed, example.route))


def test_the_generator_is_deterministic_for_a_seed(corpus: list[Example]) -> None:
    few = corpus[:200]
    assert generate.variants(few, 2, seed=1) == generate.variants(few, 2, seed=1)
    assert generate.variants(few, 2, seed=1) != generate.variants(few, 2, seed=2)


def test_originals_stay_in_the_mix_and_most_copies_are_new(corpus: list[Example]) -> None:
    (epoch,) = generate.variants(corpus, 1, seed=9)
    kept = sum(a == b for a, b in zip(corpus, epoch, strict=False)) / len(corpus)
    assert 0.2 < kept < 0.7


def test_an_entity_is_replaced_whole() -> None:
    """A swap changes the surface and leaves what stands around it."""
    messages = [parse_line(f"fault: the [{name}|asset] leaks") for name in "abcdefgh"]
    pools, rng = Pools(messages), Random(0)
    rates = generate.Rates(original=0, swap=1, respell=0)
    pieces = generate.swapped(cut(messages[0]), "fault", pools, rng, rates)
    assert [p.label for p in pieces] == [None, "asset", None]
    assert (pieces[0], pieces[2]) == (Piece("the "), Piece(" leaks"))


@pytest.mark.parametrize(
    ("surface", "pattern"),
    [
        ("10.0.0.7:502", r"\d+\.\d+\.\d+\.\d+:502"),
        ("0x8004", r"0x[0-9a-f]{4}"),
        ("a4:c1:38:00:11:f2", r"([0-9a-f]{2}:){5}[0-9a-f]{2}"),
        ("P-101A", r"P-\d{3}A"),
        ("v2.3.1", r"v\d\.\d\.\d"),
    ],
)
def test_identifiers_keep_their_format(surface: str, pattern: str) -> None:
    rng = Random(1)
    for _ in range(50):
        assert re.fullmatch(pattern, identifiers(surface, rng))


def test_quantities_keep_their_unit_and_decimals() -> None:
    rng = Random(1)
    for _ in range(50):
        changed = respelled("82.5 degC", "quantity", rng)
        assert changed.replace(" ", "").endswith("degC")
        assert len(changed.partition(".")[2].removesuffix("degC").strip()) == 1


def test_timestamps_come_in_many_formats() -> None:
    rng = Random(1)
    shapes = {"".join("9" if c.isdigit() else c for c in timestamp(rng)) for _ in range(400)}
    assert len(shapes) > 20
