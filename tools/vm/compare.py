"""The same messages on another processor: raw logits, and what became of them in events."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.bundle import load_bundle
from edge_agent.settings import default_bundle
from edge_agent.specialists import load_specialist
from edge_agent.types import Prediction

TOLERANCE = 0.02
"""Of confidences. Decisions must be equal."""

TITLES = (
    *("core", "as in", "largest route logit difference", "mean"),
    *("largest tag logit difference", "mean"),
    *("events with the same decisions", "largest confidence difference"),
)
HEAD = (f"| {' | '.join(TITLES)} |", f"|---|---{'|---:' * (len(TITLES) - 2)}|")


@dataclass
class EventDifference:
    """``other`` tells of events with other decisions; ``confidence`` is the largest difference."""

    messages: int
    other: list[str] = field(default_factory=list)
    confidence: float = 0.0

    def as_step(self) -> dict[str, Any]:
        """As the job tells of its steps."""
        held = not self.other and self.confidence <= TOLERANCE
        seen = self.other or f"{self.messages} events, confidences within {self.confidence:.4f}"
        return {"step": "events_are_those_of_x86_64", "held": held, "seen": seen}


def logits(here: list[Any], there: list[Any]) -> dict[str, tuple[float, float]]:
    """Name of an output → largest and mean absolute difference."""
    found = {}
    for name in ("route_logits", "tag_logits"):
        pairs = zip(here, there, strict=True)
        parts = [np.abs(np.subtract(a[name], b[name])).ravel() for a, b in pairs]
        values = np.concatenate(parts)
        found[name] = (float(values.max()), float(values.mean()))
    return found


def events(path: Path, texts: list[str]) -> EventDifference:
    """Events from the machine beside predictions made here."""
    data = [json.loads(line)["data"] for line in path.read_text().splitlines() if line[:1] == "{"]
    by_text = {item["text"]: item for item in data}
    specialist = load_specialist(load_bundle(default_bundle()), threads=1)
    difference = EventDifference(len(texts))
    for text in texts:
        (expected,) = specialist.predict([text])
        compare(text, expected, by_text.get(text), difference)
    return difference


def compare(
    text: str, expected: Prediction, event: dict[str, Any] | None, difference: EventDifference
) -> None:
    """One message."""
    if event is None:
        difference.other.append(f"{text!r}: no event")
        return
    wanted, found = decisions_here(expected), decisions_there(event)
    if wanted != found:
        difference.other.append(f"{text!r}: {wanted} here, {found} there")
        return
    assert expected.route is not None
    here = [expected.route.confidence, *(e.confidence for e in expected.entities)]
    there = [event["route"]["confidence"], *(e["confidence"] for e in event["entities"])]
    gaps = [abs(a - b) for a, b in zip(here, there, strict=True)]
    difference.confidence = max([difference.confidence, *gaps])


def decisions_here(prediction: Prediction) -> list[Any]:
    """Route, abstention, spans."""
    assert prediction.route is not None
    spans = [[e.label, e.start, e.end] for e in prediction.entities]
    return [prediction.route.label, prediction.route.abstained, spans]


def decisions_there(event: dict[str, Any]) -> list[Any]:
    """The same of an event."""
    spans = [[e["label"], e["start"], e["end"]] for e in event["entities"]]
    return [event["route"]["label"], event["route"]["abstained"], spans]


def row(
    cpu: str,
    board: str,
    differences: dict[str, tuple[float, float]],
    compared: EventDifference,
) -> str:
    """A line of the table in docs/arm.md."""
    figures = [f"{value:.3f}" for pair in differences.values() for value in pair]
    same = f"{compared.messages - len(compared.other)} of {compared.messages}"
    return f"| {cpu} | {board} | {' | '.join(figures)} | {same} | {compared.confidence:.4f} |"
