"""Values that many of these tests begin with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edge_agent.types import (
    Alternative,
    Answer,
    Delivery,
    Entity,
    Message,
    ModelCard,
    Prediction,
    Publication,
    Route,
)

CARD = ModelCard("tiny", "1.0.0", "d" * 64)
ENTITY = Entity("asset", "pump 7", 4, 10, 0.91)
PREDICTION = Prediction(
    Route("fault", 0.8, alternatives=(Alternative("alarm", 0.15),)),
    (ENTITY, Entity("time", "06:40", 20, 25, 0.7, {"iso": "T06:40"})),
)
ANSWER = Answer(PREDICTION, CARD)
DELIVERY = Delivery(
    topic="site/a",
    payload=b"the pump 7 is leaking",
    qos=1,
    mid=1,
    epoch=1,
    received_s=0.0,
    received_at_s=1_700_000_000.0,
)


def delivery(payload: bytes | str = DELIVERY.payload, **changes: Any) -> Delivery:
    """A delivery of these bytes."""
    raw = payload.encode() if isinstance(payload, str) else payload
    return replace(DELIVERY, payload=raw, **changes)


def message(text: str = "the pump 7 is leaking", **changes: Any) -> Message:
    """A message as if it came alone."""
    return replace(Message("0" * 32, text, DELIVERY), **changes)


def publication(name: str | int = "p") -> Publication:
    """A publication known by its payload."""
    return Publication("edge/t/event/fault", str(name).encode(), "application/json")
