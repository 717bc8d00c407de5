"""Scores of written fields, by hand-made outputs."""

from __future__ import annotations

import json

import pytest

from edge_agent.types import End, Extract, ModelCard, Output
from tools.evaluation.fields import score_writing
from tools.writing.pairs import Pair, spelled

CARD = ModelCard("a", "1", "0")


def pair(**fields: object) -> Pair:
    return Pair("pump 1 leaks", json.dumps(fields))


def test_a_field_is_right_when_the_very_same_value_stands_there() -> None:
    """Null is no value: neither written nor wanted."""
    pairs = [pair(asset="pump 1", due=None, level="low"), pair(asset="pump", due="today")]
    outputs = [
        Output(End.COMPLETE, CARD, {"asset": "pump 1", "due": "now", "level": "high"}),
        Output(End.COMPLETE, CARD, {"asset": "pump", "due": None}),
    ]
    scores = score_writing(pairs, outputs)
    assert (scores.all.right, scores.all.written, scores.all.wanted) == (2, 4, 4)
    assert (scores.all.precision, scores.all.recall, scores.all.f1) == (0.5, 0.5, 0.5)
    assert scores.fields["/asset"].f1 == 1.0
    assert scores.fields["/due"].f1 == 0.0
    assert (scores.complete, scores.exact) == (2, 0)


def test_items_of_a_list_count_each_and_in_any_order() -> None:
    wanted = pair(symptoms=["hot", "loud", "hot"])
    found = Output(End.COMPLETE, CARD, {"symptoms": ["loud", "hot", "wet"]})
    score = score_writing([wanted], [found]).fields["/symptoms"]
    assert (score.right, score.written, score.wanted) == (2, 3, 3)


def test_a_number_is_the_same_however_it_is_written() -> None:
    wanted = pair(level=3.0, share=0.5, on=True)
    found = Output(End.COMPLETE, CARD, {"level": 3, "share": 0.5, "on": 1})
    assert score_writing([wanted], [found]).all.right == 2


def test_an_output_that_is_not_whole_has_no_fields() -> None:
    scores = score_writing([pair(asset="pump 1")], [Output(End.TOKEN_LIMIT, CARD)])
    assert (scores.complete, scores.all.written, scores.all.wanted) == (0, 0, 1)
    assert scores.as_dict()["valid"] == 0.0


def test_a_string_that_is_not_where_its_extract_says_is_invented() -> None:
    value = {"asset": "pump 1", "parts": ["leaks"]}
    right = (Extract("/asset", 0, 6), Extract("/parts/0", 7, 12))
    wrong = (Extract("/asset", 0, 4), Extract("/parts/0", 7, 12))
    for extracts, count in ((right, 0), (wrong, 1)):
        output = Output(End.COMPLETE, CARD, value, extracts=extracts)
        assert score_writing([pair(**value)], [output]).invented == count


@pytest.mark.parametrize(
    ("schema", "value", "text"),
    [
        (
            {"properties": {"b": {}, "a": {"properties": {"y": {}, "x": {}}}}},
            {"a": {"x": 1, "y": None}, "b": "ü\n"},
            '{"b":"ü\\n","a":{"y":null,"x":1}}',
        ),
        ({"items": {"properties": {"q": {}, "p": {}}}}, [{"p": 1, "q": 2}], '[{"q":2,"p":1}]'),
        ({}, [1e-05, 3.0, -0.25, 1e22], "[0.00001,3,-0.25,10000000000000000000000]"),
        (
            {"anyOf": [{"type": "null"}, {"items": {"properties": {"q": {}, "p": {}}}}]},
            [{"p": 1, "q": 2}],
            '[{"q":2,"p":1}]',
        ),
        (
            {"anyOf": [{"properties": {"p": {}}}, {"properties": {"q": {}, "p": {}}}]},
            {"p": 1, "q": 2},
            '{"q":2,"p":1}',
        ),
        (None, "free text", "free text"),
    ],
)
def test_answers_are_spelled_as_the_grammar_writes_them(
    schema: dict | None, value: object, text: str
) -> None:
    """In the schema's order, at every depth, without white space, numbers without exponents."""
    assert spelled(schema, value) == text
