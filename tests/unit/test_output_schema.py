"""Which schemas a generator takes, and how they are bounded."""

from __future__ import annotations

from typing import Any

import pytest

from edge_agent.errors import BundleError
from edge_agent.inference.output_schema import (
    MAX_DEPTH,
    MAX_NODES,
    extractive_values,
    has_free_text,
    is_extractive,
    narrow,
)

SPAN = {"type": "string", "x-extractive": True}


def thing(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (True, "/ is no schema object"),
        ({}, "/type is None"),
        ({"type": "any"}, "/type is 'any'"),
        ({"type": ["string", "integer"]}, "/type is"),
        ({"type": ["null", "null"]}, "/type is"),
        (thing(a={"$ref": "#/x"}), "/properties/a/type"),
        (thing(**{"a/b~": {"type": "x"}}), "/properties/a~1b~0/type"),
        (thing(a={"type": "string", "format": "date"}), "/properties/a/format"),
        (thing(a={"type": "integer", "multipleOf": 2}), "/properties/a/multipleOf"),
        ({**thing(a=SPAN), "additionalProperties": {}}, "/additionalProperties"),
        ({**thing(a=SPAN), "patternProperties": {}}, "/patternProperties"),
        ({**thing(a=SPAN), "required": ["b"]}, "/required"),
        ({**thing(a=SPAN), "required": "a"}, "/required"),
        ({**thing(a=SPAN), "required": [["a"]]}, "/required"),
        ({"type": "object"}, "/ is an object without properties"),
        ({"type": "array"}, "/ is an array without items"),
        ({"type": "array", "items": True}, "/items is no schema"),
        ({"type": "array", "items": SPAN, "uniqueItems": True}, "/uniqueItems"),
        ({"type": "array", "items": SPAN, "minItems": 3, "maxItems": 2}, "/minItems is more"),
        ({"type": "array", "items": SPAN, "maxItems": 65}, "/maxItems is 65"),
        ({"type": "array", "items": SPAN, "maxItems": True}, "/maxItems is True"),
        ({"type": "string", "maxLength": 5000}, "/maxLength is 5000"),
        ({"type": "string", "minLength": -1}, "/minLength is -1"),
        ({"type": "string", "minLength": "1"}, "/minLength is '1'"),
        ({"type": "string", "pattern": "[a-z]"}, "/pattern is not anchored"),
        ({"type": "string", "pattern": r"^\d$"}, "/pattern holds"),
        ({"type": "string", "pattern": "^(?=a)$"}, "/pattern holds"),
        ({"type": "string", "pattern": "^[[:digit:]]$"}, "/pattern holds"),
        ({"type": "string", "pattern": r"^[^a\]-[b]$"}, "/pattern holds"),
        ({"type": "string", "pattern": "^[a-z--x]$"}, "/pattern holds"),
        ({"type": "string", "pattern": "^[a-z&&b-y]$"}, "/pattern holds"),
        ({"type": "string", "pattern": "^[a-c~~b-d]$"}, "/pattern holds"),
        ({"type": "string", "pattern": "^[]a]$"}, "/pattern holds"),
        ({"type": "string", "pattern": "^[^]a]$"}, "/pattern holds"),
        ({"type": "string", "pattern": r"^a\$"}, "/pattern holds"),
        ({"type": "string", "pattern": 3}, "/pattern is not anchored"),
        ({**SPAN, "maxLength": 0}, "/maxLength leaves no room"),
        ({**SPAN, "minLength": 2}, "/minLength is not supported"),
        ({**SPAN, "pattern": "^a$"}, "/pattern is not supported"),
        ({"type": "string", "x-extractive": "yes"}, "/x-extractive is no boolean"),
        ({"type": "integer", "x-extractive": True}, "/x-extractive is not supported"),
        ({"type": "integer", "minimum": 2**60}, "/minimum is"),
        ({"type": "number", "maximum": True}, "/maximum is True"),
        ({"enum": []}, "/ has values"),
        ({"enum": [[1]]}, "/ has values"),
        ({"enum": "ab"}, "/ has values"),
        ({"const": {}}, "/ has values"),
        ({"const": 2**53}, "/ holds 9007199254740992"),
        ({"enum": [1, -1e300]}, "/ holds -1e+300"),
        ({"enum": [float("nan")]}, "/ holds nan"),
        ({"anyOf": []}, "/anyOf is no list"),
        ({"anyOf": [{"type": "null"}, {"type": "x"}]}, "/anyOf/1/type"),
        ({"anyOf": [SPAN, {"type": "null"}]}, "/anyOf holds x-extractive"),
        ({"anyOf": [{"type": "null"}], "type": "null"}, "/type is not supported"),
        (nested(MAX_DEPTH + 1), "/items/items"),
        (thing(**{f"p{i}": {"type": "null"} for i in range(MAX_NODES)}), "/properties/p255 lies"),
    ],
)
def test_what_is_not_supported_is_named_by_its_path(schema: Any, path: str) -> None:
    """As a JSON Pointer into the schema; and the person is told what to do."""
    with pytest.raises(BundleError) as caught:
        narrow(schema)
    assert caught.value.problem.startswith(f"task.output_schema: {path}")
    assert caught.value.fix


def test_what_is_open_is_closed_and_bounded() -> None:
    """Every text ends, and no property appears that the schema does not name."""
    schema = {
        **thing(
            text={"type": "string"},
            list={"type": "array", "items": {"type": "integer"}},
            ratio={"type": ["number", "null"], "minimum": 0},
        ),
        "additionalProperties": True,
    }
    narrowed = narrow(schema)
    parts = narrowed["properties"]
    assert narrowed["additionalProperties"] is False
    assert parts["text"]["maxLength"] == 200
    assert (parts["list"]["minItems"], parts["list"]["maxItems"]) == (0, 16)
    assert parts["list"]["items"]["maximum"] == 2**53 - 1
    assert parts["ratio"] == {
        "type": ["number", "null"],
        "minimum": 0,
        "maximum": 1e9,
        "multipleOf": 1e-6,
    }


def test_bounds_that_are_there_stay() -> None:
    """And a lower end above the default raises the upper one."""
    assert narrow({"type": "string", "minLength": 300})["maxLength"] == 300
    assert narrow({"type": "integer", "exclusiveMinimum": 3})["exclusiveMinimum"] == 3
    assert "minimum" not in narrow({"type": "integer", "exclusiveMinimum": 3})


@pytest.mark.parametrize(
    "pattern",
    [
        "^$",
        r"^\[[0-9]+\]$",
        r"^[\[\]a-]{1,3}$",
        r"^\\[^a\\]$",
        r"^\\d$",
        r"^a\$$",
        "^(a|b)&&--~~]$",
        "^[-a^]$",
    ],
)
def test_a_pattern_that_all_dialects_read_alike_stays(pattern: str) -> None:
    """Brackets behind a backslash and marks outside of a class are plain characters."""
    assert narrow({"type": "string", "pattern": pattern})["pattern"] == pattern


def test_annotations_mean_nothing() -> None:
    """Titles, descriptions, examples: also beside anyOf and enum."""
    notes = {"title": "t", "description": "d", "default": 1, "examples": [], "$comment": "c"}
    assert narrow({"enum": [1], **notes}) == {"enum": [1]}
    assert narrow({"anyOf": [{"type": "null", **notes}], **notes}) == {"anyOf": [{"type": "null"}]}


def test_extractive_strings_are_found_where_they_stand() -> None:
    """In objects, lists and lists of objects; null is no string."""
    schema = narrow(
        thing(
            asset=SPAN,
            note={"type": "string"},
            parts={"type": "array", "items": thing(**{"a/b": SPAN})},
            hall={"type": ["string", "null"], "x-extractive": True},
        )
    )
    value = {"asset": "pump", "note": "x", "parts": [{"a/b": "seal"}, {}], "hall": None}
    assert is_extractive(schema)
    assert list(extractive_values(schema, value)) == [("/asset", "pump"), ("/parts/0/a~1b", "seal")]
    assert not is_extractive(narrow(thing(note={"type": "string", "x-extractive": False})))


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "string"}, True),
        ({"type": ["string", "null"], "x-extractive": False}, True),
        ({"type": "array", "items": {"type": "string"}}, True),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, True),
        ({"type": "string", "x-extractive": True}, False),
        ({"type": "string", "enum": ["low", "high"]}, False),
        ({"const": "low"}, False),
        ({"type": "number"}, False),
    ],
)
def test_free_text_is_found(part: Any, expected: bool) -> None:
    """At whatever depth: a string that is neither taken from the text nor given."""
    assert has_free_text(narrow(thing(inner=thing(part=part)))) == expected
