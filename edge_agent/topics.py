"""MQTT topic names and filters as the standard defines them (MQTT 5, section 4.7)."""

from __future__ import annotations

import unicodedata
from itertools import zip_longest

MAX_TOPIC_BYTES = 65535
MAX_LEVELS = 128
"""Brokers hang up on whoever uses a deeper one: Mosquitto beyond 201, EMQX beyond 128."""


def is_topic(name: str) -> bool:
    """Whether one can publish to it: not empty, no wildcard, not too long or deep, clean UTF-8."""
    return _sendable(name) and not set(name) & {"+", "#"}


def is_filter(name: str) -> bool:
    """Whether one can subscribe to it: wildcards fill whole levels, ``#`` stands last.

    One that begins with ``$share`` is ``$share/<group>/<filter>``: some brokers grant what is less,
    and send nothing.
    """
    levels = name.split("/")
    plain = [level for level in levels if level not in {"+", "#"}]
    return (
        _sendable(name)
        and not any(set(level) & {"+", "#"} for level in plain)
        and "#" not in levels[:-1]
        and (levels[0] != "$share" or _names_a_group(levels))
    )


def matches(filter_: str, topic: str) -> bool:
    """Whether a topic falls under a filter. Wildcards do not reach topics that begin with ``$``."""
    if topic.startswith("$") and filter_[:1] in {"+", "#"}:
        return False
    return overlap(filter_, topic)


def overlap(one: str, other: str) -> bool:
    """Whether some topic falls under both filters."""
    left, right = unshared(one).split("/"), unshared(other).split("/")
    for a, b in zip(left, right, strict=False):
        if "#" in (a, b):
            return True
        if a != b and "+" not in (a, b):
            return False
    shorter, longer = sorted((left, right), key=len)
    rest = longer[len(shorter) :]
    return not rest or rest == ["#"]


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic under the filter ``narrow`` falls under ``wide`` as well."""
    if narrow.startswith("$") and wide[:1] in {"+", "#"}:
        return False
    for a, b in zip_longest(wide.split("/"), narrow.split("/")):
        if a == "#":
            return True
        if a != b and (a != "+" or b in {"#", None}):
            return False
    return True


def unshared(filter_: str) -> str:
    """The filter inside ``$share/<group>/<filter>``, else the filter itself."""
    parts = filter_.split("/", 2)
    return parts[2] if len(parts) == 3 and parts[0] == "$share" else filter_


def _names_a_group(levels: list[str]) -> bool:
    return len(levels) > 2 and levels[1] not in {"", "+", "#"} and levels[2:] != [""]


def _sendable(name: str) -> bool:
    size = len(name.encode("utf-8", "replace"))
    return (
        0 < size <= MAX_TOPIC_BYTES
        and name.count("/") < MAX_LEVELS
        and not any(_malformed(character) for character in name)
    )


def _malformed(character: str) -> bool:
    """Control characters, surrogates and non-characters: brokers hang up on them (1.5.4)."""
    code = ord(character)
    return (
        unicodedata.category(character) in {"Cc", "Cs"}
        or code & 0xFFFE == 0xFFFE
        or 0xFDD0 <= code <= 0xFDEF
    )
