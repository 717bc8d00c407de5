"""JSON as text for the model: pointers, templates, ``key=value`` rendering. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from edge_agent.errors import OversizedMessage, UndecodableMessage
from edge_agent.types import JsonObject

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
INDEX = re.compile(r"0|[1-9][0-9]*")
BARE = re.compile(r"[^\s=\"]+")
MAX_TEXT_CHARS = 1 << 20
"""Dotted keys repeat what stands above them: a small payload could become any amount of text."""


def load(raw: str, max_depth: int) -> Any:
    """Parses one JSON value. UndecodableMessage when it is broken or too deep."""
    try:
        value = json.loads(raw)
    except RecursionError as error:
        raise _too_deep(max_depth) from error
    except ValueError as error:
        raise UndecodableMessage(
            f"the JSON is broken: {error}", "send valid JSON, or set the source's format to text"
        ) from error
    if _depth_exceeds(value, max_depth):
        raise _too_deep(max_depth)
    return value


def render(value: JsonObject) -> str:
    """An object as ``key=value …``, nested keys dotted, values with spaces in quotes."""
    pairs: list[str] = []
    chars = 0
    for key, item in _flat("", value):
        pairs.append(f"{key}={_scalar(item)}")
        chars += len(pairs[-1])
        if chars > MAX_TEXT_CHARS:
            raise OversizedMessage(
                f"as key=value text the object has more than {MAX_TEXT_CHARS} characters",
                "send shorter keys or fewer levels, or set the source's field",
            )
    return " ".join(pairs)


def point(value: Any, pointer: str) -> Any:
    """What a JSON Pointer (RFC 6901) points to. UndecodableMessage when it is not there."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        try:
            value = value[_index(name)] if isinstance(value, list) else value[name]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise _missing(f"field {pointer!r}", "the source's field") from error
    return value


def _index(name: str) -> int:
    """RFC 6901 counts from 0, without sign or leading zeros."""
    if not INDEX.fullmatch(name):
        raise ValueError(name)
    return int(name)


def fill(template: str, value: Any) -> str:
    """A template with ``{dotted.keys}`` replaced. UndecodableMessage when one is missing."""

    def lookup(match: re.Match[str]) -> str:
        found = value
        for name in match.group(1).split("."):
            if not isinstance(found, dict) or name not in found:
                raise _missing(f"key {match.group(1)!r}", "the source's template")
            found = found[name]
        return as_text(found)

    return PLACEHOLDER.sub(lookup, template)


def as_text(value: Any) -> str:
    """A JSON value as a person would write it."""
    if isinstance(value, str):
        return value
    return render(value) if isinstance(value, dict) else _scalar(value)


def _flat(prefix: str, value: JsonObject) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, list) and any(isinstance(part, (dict, list)) for part in item):
            item = {str(i): part for i, part in enumerate(item)}  # noqa: PLW2901
        if isinstance(item, dict) and item:
            yield from _flat(f"{name}.", item)
        else:
            yield name, item


def _scalar(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_scalar(item) for item in value)
    if isinstance(value, str):
        return value if BARE.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


def _depth_exceeds(value: Any, limit: int) -> bool:
    if limit < 0:
        return True
    children = value.values() if isinstance(value, dict) else value
    if not isinstance(value, (dict, list)):
        return False
    return any(_depth_exceeds(child, limit - 1) for child in children)


def _too_deep(max_depth: int) -> UndecodableMessage:
    return UndecodableMessage(
        f"the JSON is nested deeper than {max_depth} levels",
        "flatten it, or raise limits.max_depth",
    )


def _missing(what: str, setting: str) -> UndecodableMessage:
    return UndecodableMessage(f"the JSON has no {what}", f"send it, or correct {setting}")
