"""Topic names and filters, against slow and obvious twins."""

from __future__ import annotations

from functools import cache
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.topics import (
    MAX_LEVELS,
    MAX_TOPIC_BYTES,
    is_filter,
    is_topic,
    matches,
    overlap,
    unshared,
)

DEPTH = 3
LEVELS = ("a", "b", "", "+", "#")


def names(levels: tuple[str, ...]) -> list[str]:
    """All names of up to DEPTH levels."""
    counts = range(1, DEPTH + 1)
    return ["/".join(name) for n in counts for name in product(levels, repeat=n)]


TOPICS = names(("a", "b", "", "c"))
"""``c`` stands in no filter: only wildcards reach it. The empty name is among them."""
FILTERS = [name for name in names(LEVELS) if is_filter(name)]


def slow_match(filter_: list[str], topic: list[str]) -> bool:
    """The standard's words, one level at a time; ``#`` also stands for no level at all."""
    if filter_ == ["#"]:
        return True
    if not filter_ or not topic:
        return filter_ == topic
    return filter_[0] in ("+", topic[0]) and slow_match(filter_[1:], topic[1:])


@cache
def reached(filter_: str) -> frozenset[str]:
    return frozenset(t for t in TOPICS if slow_match(filter_.split("/"), t.split("/")))


def test_matches_equals_the_twin() -> None:
    """For every filter and topic over a small alphabet."""
    for filter_ in FILTERS:
        assert {t for t in TOPICS if matches(filter_, t)} == reached(filter_), filter_


def test_overlap_equals_the_twin() -> None:
    """Two filters overlap exactly when some topic falls under both."""
    for one, other in product(FILTERS, repeat=2):
        assert overlap(one, other) == bool(reached(one) & reached(other)), (one, other)


@pytest.mark.parametrize(
    ("filter_", "topic", "fits"),
    [
        ("#", "a", True),
        ("a/#", "a", True),
        ("a/+", "a", False),
        ("+", "/a", False),
        ("+/+", "/a", True),
        ("a", "A", False),
        ("#", "$SYS/load", False),
        ("+/load", "$SYS/load", False),
        ("$SYS/#", "$SYS/load", True),
        ("$share/group/a/+", "a/b", True),
        ("$share/group/a/+", "b/b", False),
    ],
)
def test_matches_as_the_standard_says(filter_: str, topic: str, fits: bool) -> None:
    """The standard's own examples (4.7), and shared subscriptions."""
    assert matches(filter_, topic) is fits


def test_a_shared_filter_overlaps_like_the_one_inside() -> None:
    """``$share/<group>/`` is no part of the topic."""
    assert unshared("$share/g/edge/+/event/#") == "edge/+/event/#"
    assert overlap("$share/g/edge/#", "edge/gw/event/+")
    assert unshared("$share/g") == "$share/g"


@pytest.mark.parametrize("name", ["a+", "a/b#", "#/a", "+a/b", "a/#/b", "", "a\0", "##", "a/++"])
def test_no_filter(name: str) -> None:
    """Wildcards fill whole levels and ``#`` stands last."""
    assert not is_filter(name)


@pytest.mark.parametrize(
    "name", ["a\n", "+/\x01", "a/\x7f/#", "\ufffe", "+" + "/b" * MAX_LEVELS, "$share", "$share/g"]
)
def test_no_filter_that_brokers_end_the_connection_for(name: str) -> None:
    """Again and again, without a word that names the filter."""
    assert not is_filter(name)


@pytest.mark.parametrize("name", ["$share/g/", "$share//a", "$share/+/a", "$share/#"])
def test_no_shared_filter_that_brings_nothing(name: str) -> None:
    """Mosquitto grants most of them."""
    assert not is_filter(name)
    assert is_filter("$share/g/a/+/#")
    assert is_filter("$share/g//a")
    assert is_filter("$shared")


@pytest.mark.parametrize("name", ["a", "/", "a//b", "ä/温度", "$SYS/x", "a b", "a/\U0001f525"])
def test_a_topic(name: str) -> None:
    """Empty levels, spaces and any language are fine; a topic is a filter too."""
    assert is_topic(name)
    assert is_filter(name)


@pytest.mark.parametrize(
    "name",
    ["", "a/+", "#", "a/\0", "a/\x01", "a/\x7f", "a/\x85", "a/\ud800", "a/\ufffe", "a/\ufdd0"],
)
def test_no_topic(name: str) -> None:
    """Wildcards, and characters for which brokers end the connection."""
    assert not is_topic(name)


def test_a_topic_has_a_longest_and_a_deepest() -> None:
    """In bytes of UTF-8, and in levels."""
    assert is_topic("x" * MAX_TOPIC_BYTES)
    assert not is_topic("ä" * MAX_TOPIC_BYTES)
    assert is_topic("/" * (MAX_LEVELS - 1))
    assert not is_topic("/" * MAX_LEVELS)
    assert not is_filter("x" * (MAX_TOPIC_BYTES + 1))


@given(st.text(max_size=20))
def test_every_topic_can_be_sent(name: str) -> None:
    """Whatever passes is valid UTF-8 and free of wildcards."""
    if is_topic(name):
        assert name.encode().decode() == name
        assert not set(name) & set("+#")
