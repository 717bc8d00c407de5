"""Which JSON Schemas a generator may write under, and the bounded form it writes under. Pure.

A supported schema is narrowed before use: what it leaves open is closed, and what it leaves
unbounded gets a bound, so every text ends and none of it is a surprise. Whatever is valid under
the narrowed schema is valid under the original.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from edge_agent.errors import BundleError
from edge_agent.types import JsonObject

EXTRACTIVE = "x-extractive"
"""Marks a string that must be a span of the input. JSON Schema leaves ``x-`` to such marks."""

MAX_DEPTH = 8
MAX_NODES = 256
MAX_CHARS = 1024
MAX_ITEMS = 64
DEFAULT_MAX_CHARS = 200
DEFAULT_MAX_ITEMS = 16
MAX_INTEGER = 2**53 - 1
"""Beyond it JSON readers disagree about integers."""
MAX_NUMBER = 1e9
DECIMAL_STEP = 1e-6

ANNOTATIONS = {"$schema", "$id", "$comment", "title", "description", "default", "examples"}
BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
KEYWORDS = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "pattern", EXTRACTIVE},
    "integer": BOUNDS,
    "number": BOUNDS,
    "boolean": set[str](),
    "null": set[str](),
}
ESCAPE = r"\\[^A-Za-z]"
CLASS = rf"\[(?!\^?\])\^?(?:{ESCAPE}|(?!&&|--|~~)[^\\\[\]])+\]"
UNAMBIGUOUS = re.compile(rf"(?:{ESCAPE}|{CLASS}|\((?!\?)|[^\\\[(])*")
"""What regular expressions of ECMAScript, Python and Rust read alike."""


def narrow(schema: Any) -> JsonObject:
    """The bounded form of a supported schema. BundleError names the path of what is not."""
    return _Narrowing().node(schema, "", 0)


def is_extractive(schema: JsonObject) -> bool:
    """Whether a narrowed schema holds an extractive string somewhere."""
    return schema.get(EXTRACTIVE, False) or any(map(is_extractive, _children(schema)))


def has_free_text(schema: JsonObject) -> bool:
    """Whether a narrowed schema holds a string of which neither text nor value is given."""
    given = schema.get(EXTRACTIVE) or {"enum", "const"} & schema.keys()
    is_free = kind_of(schema)[0] == "string" and not given
    return is_free or any(map(has_free_text, _children(schema)))


def extractive_values(schema: JsonObject, value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(JSON Pointer, string) of every extractive string of a value written under the schema."""
    if schema.get(EXTRACTIVE) and isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name, {})
            yield from extractive_values(inner, item, f"{path}/{escaped(name)}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from extractive_values(schema.get("items", {}), item, f"{path}/{index}")


def kind_of(schema: JsonObject) -> tuple[str, bool]:
    """Type of a narrowed schema, and whether null may stand in its place."""
    said = schema.get("type", "")
    if isinstance(said, list):
        return next(kind for kind in said if kind != "null"), True
    return said, False


def _children(schema: JsonObject) -> list[JsonObject]:
    items = [schema["items"]] if "items" in schema else []
    return [*schema.get("properties", {}).values(), *items, *schema.get("anyOf", [])]


class _Narrowing:
    """One walk over a schema; counts what it has seen."""

    def __init__(self) -> None:
        self._nodes = 0

    def node(self, schema: Any, path: str, depth: int) -> JsonObject:
        self._nodes += 1
        if not isinstance(schema, dict):
            raise _refused(path, "is no schema object", "describe the value by an object")
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            what = f"lies deeper than {MAX_DEPTH} levels, or is part {MAX_NODES + 1} of the schema"
            raise _refused(path, what, "ask for less in one output")
        said = {key: value for key, value in schema.items() if key not in ANNOTATIONS}
        if "anyOf" in said:
            return self._any_of(said, path, depth)
        if "enum" in said or "const" in said:
            return _scalars(said, path)
        return self._typed(said, path, depth)

    def _any_of(self, said: JsonObject, path: str, depth: int) -> JsonObject:
        _only(said, {"anyOf"}, path)
        parts = said["anyOf"]
        if not isinstance(parts, list) or not parts:
            raise _refused(f"{path}/anyOf", "is no list of schemas", "list at least one")
        found = [self.node(part, f"{path}/anyOf/{i}", depth + 1) for i, part in enumerate(parts)]
        if any(map(is_extractive, found)):
            fix = f'write "type": ["string", "null"] with {EXTRACTIVE}, or move it out of anyOf'
            raise _refused(f"{path}/anyOf", f"holds {EXTRACTIVE}", fix)
        return {"anyOf": found}

    def _typed(self, said: JsonObject, path: str, depth: int) -> JsonObject:
        kind, nullable = _kind(said.get("type"), path)
        _only(said, {"type", *KEYWORDS[kind]}, path)
        own = {key: value for key, value in said.items() if key != "type"}
        if kind == "object":
            own = self._object(own, path, depth)
        elif kind == "array":
            own = self._array(own, path, depth)
        elif kind == "string":
            own = _string(own, path)
        elif kind in {"integer", "number"}:
            own = _number(own, kind, path)
        return {"type": [kind, "null"] if nullable else kind, **own}

    def _object(self, own: JsonObject, path: str, depth: int) -> JsonObject:
        if not isinstance(own.get("additionalProperties", False), bool):
            place = f"{path}/additionalProperties"
            raise _refused(place, "is a schema", "name every property, and set it to false")
        properties = own.get("properties")
        if not isinstance(properties, dict):
            raise _refused(path, "is an object without properties", "name its properties")
        required = own.get("required", [])
        names = list(properties)  # unlike a dict, it can be asked for what cannot be hashed
        if not isinstance(required, list) or not all(name in names for name in required):
            raise _refused(f"{path}/required", "names no property", "list names of properties")
        inner = {
            name: self.node(part, f"{path}/properties/{escaped(name)}", depth + 1)
            for name, part in properties.items()
        }
        return {"properties": inner, "required": required, "additionalProperties": False}

    def _array(self, own: JsonObject, path: str, depth: int) -> JsonObject:
        if "items" not in own:
            raise _refused(path, "is an array without items", "describe its items")
        least, most = _range(own, ("minItems", "maxItems"), (DEFAULT_MAX_ITEMS, MAX_ITEMS), path)
        items = self.node(own["items"], f"{path}/items", depth + 1)
        return {"items": items, "minItems": least, "maxItems": most}


def _kind(said: Any, path: str) -> tuple[str, bool]:
    nullable = isinstance(said, list) and len(said) == 2 and "null" in said
    kind = next((k for k in said if k != "null"), None) if nullable else said
    if not isinstance(kind, str) or kind not in KEYWORDS:
        fix = f"write one of {', '.join(sorted(KEYWORDS))}, or a list of one of them and null"
        raise _refused(f"{path}/type", f"is {said!r}", fix)
    return kind, nullable


def _only(said: JsonObject, keywords: set[str], path: str) -> None:
    for key in said:
        if key not in keywords:
            supported = ", ".join(sorted(keywords))
            raise _refused(f"{path}/{escaped(key)}", "is not supported here", f"use {supported}")


def _scalars(said: JsonObject, path: str) -> JsonObject:
    _only(said, {"type", "enum", "const"}, path)
    values = [said["const"]] if "const" in said else said["enum"]
    plain = isinstance(values, list) and all(
        isinstance(value, (str, int, float, bool, type(None))) for value in values
    )
    if not plain or not values:
        raise _refused(path, "has values other than plain ones", "list texts, numbers, true, null")
    for value in values:
        if isinstance(value, (int, float)) and not abs(value) <= MAX_INTEGER:
            fix = f"write a number from {-MAX_INTEGER} to {MAX_INTEGER}, or a text"
            raise _refused(path, f"holds {value!r}", fix)
    return said


def _string(own: JsonObject, path: str) -> JsonObject:
    if EXTRACTIVE in own:
        if not isinstance(own[EXTRACTIVE], bool):
            raise _refused(f"{path}/{EXTRACTIVE}", "is no boolean", "write true")
        if own[EXTRACTIVE]:
            _only(own, {EXTRACTIVE, "maxLength"}, path)
            if own.get("maxLength") == 0:
                raise _refused(f"{path}/maxLength", "leaves no room", "write at least 1")
    least, most = _range(own, ("minLength", "maxLength"), (DEFAULT_MAX_CHARS, MAX_CHARS), path)
    pattern = own.get("pattern", "^.*$")
    if not isinstance(pattern, str) or not (pattern.startswith("^") and pattern.endswith("$")):
        raise _refused(f"{path}/pattern", "is not anchored", "begin it with ^ and end it with $")
    if not UNAMBIGUOUS.fullmatch(pattern[1:-1]):
        what = r"holds \ and a letter, (?, or a class with [ && -- ~~ in it or ] first"
        fix = r"write classes out, as [0-9] for \d, such marks as \[ in them, and plain groups"
        raise _refused(f"{path}/pattern", what, fix)
    return {**own, "minLength": least, "maxLength": most}


def _number(own: JsonObject, kind: str, path: str) -> JsonObject:
    limit = MAX_INTEGER if kind == "integer" else MAX_NUMBER
    for key, value in own.items():
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not plain or abs(value) > limit:
            fix = f"write a number from {-limit} to {limit}"
            raise _refused(f"{path}/{key}", f"is {value!r}", fix)
    ends = dict(own)
    if not {"minimum", "exclusiveMinimum"} & set(own):
        ends["minimum"] = -limit
    if not {"maximum", "exclusiveMaximum"} & set(own):
        ends["maximum"] = limit
    return ends if kind == "integer" else {**ends, "multipleOf": DECIMAL_STEP}


def _range(
    own: JsonObject, keys: tuple[str, str], limits: tuple[int, int], path: str
) -> tuple[int, int]:
    """Both ends; ``limits`` are the default of the upper end and its ceiling."""
    default, ceiling = limits
    least = own.get(keys[0], 0)
    most = own.get(keys[1], max(default, least) if isinstance(least, int) else default)
    for key, value in zip(keys, (least, most), strict=True):
        plain = isinstance(value, int) and not isinstance(value, bool)
        if not plain or not 0 <= value <= ceiling:
            raise _refused(f"{path}/{key}", f"is {value!r}", f"write a number from 0 to {ceiling}")
    if least > most:
        raise _refused(f"{path}/{keys[0]}", f"is more than {keys[1]}", "lower it")
    return least, most


def escaped(name: str) -> str:
    """A property's name as part of a JSON Pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _refused(path: str, what: str, fix: str) -> BundleError:
    return BundleError(f"task.output_schema: {path or '/'} {what}", fix)
