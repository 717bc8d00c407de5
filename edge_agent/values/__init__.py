"""The normalised value beside the surface text of an entity. Knows nothing of models or MQTT.

Says only what the text itself makes sure: what could be read in two ways has no value.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_agent.types import JsonObject
from edge_agent.values.addresses import address
from edge_agent.values.quantities import quantity
from edge_agent.values.times import time

MAX_SURFACE_CHARS = 256
"""Longer surfaces have no value: nothing a person or a device names is that long."""

_READERS: dict[str, Callable[[str], JsonObject | None]] = {
    "quantity": quantity,
    "time": time,
    "address": address,
}


def normalise(label: str, surface: str) -> JsonObject | None:
    """The value of a ``quantity``, ``time`` or ``address``; None for others and for doubt."""
    reader = _READERS.get(label)
    if reader is None or len(surface) > MAX_SURFACE_CHARS:
        return None
    return reader(surface.strip())
