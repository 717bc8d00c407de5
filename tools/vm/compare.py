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
from tools.errors import ToolError

CLOSE = 0.02
"""How far a confidence may be from the one on x86-64; how many are within it is counted."""

TITLES = (
    *("core", "as in", "bundle", "largest route logit difference", "mean"),
    *("largest tag logit difference", "mean"),
    *("events with the same decisions", f"confidences within {CLOSE}", "largest difference"),
)
HEAD = (f"| {' | '.join(TITLES)} |", f"|---|---|---{'|---:' * (len(TITLES) - 3)}|")


@dataclass
class EventDifference:
    """``other`` tells of events with other decisions; ``gaps`` are differences of confidences."""

    messages: int
    bundle: str = ""
    other: list[str] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)

    @property
    def largest(self) -> float:
        """Of all confidences, routes' and entities'."""
        return max(self.gaps, default=0.0)

    @property
    def close(self) -> str:
        """How many confidences are CLOSE, of how many."""
        return f"{sum(gap <= CLOSE for gap in self.gaps)} of {len(self.gaps)}"

    def as_step(self) -> dict[str, Any]:
        """As the job tells of its steps."""
        held = not self.other and self.largest <= CLOSE
        within = (
            f"{self.close} confidences within {CLOSE}, the largest difference {self.largest:.4f}"
        )
        seen = self.other or f"{self.messages} events with the same decisions; {within}"
        return {"step": "events_are_those_of_x86_64", "held": held, "seen": seen}


def logits(here: list[Any], there: list[Any]) -> dict[str, tuple[float, float]]:
    """Name of an output → largest and mean absolute difference. Padding counts for nothing."""
    gaps: dict[str, list[Any]] = {"route_logits": [], "tag_logits": []}
    for a, b in zip(here, there, strict=True):
        gaps["route_logits"].append(np.subtract(a["route_logits"], b["route_logits"]))
        tags = np.subtract(a["tag_logits"], b["tag_logits"])[: a["tokens"]]
        gaps["tag_logits"].append(tags.ravel())
    flat = {name: np.abs(np.concatenate(parts)) for name, parts in gaps.items()}
    return {name: (float(values.max()), float(values.mean())) for name, values in flat.items()}


def events(path: Path, messages: int) -> EventDifference:
    """Events from the machine beside predictions made here, of the texts that the events carry."""
    lines = [line for line in path.read_text().splitlines() if line[:1] == "{"]
    data = {item["id"]: item["data"] for item in map(json.loads, lines)}
    bundle = load_bundle(default_bundle())
    specialist = load_specialist(bundle, threads=1)
    difference = EventDifference(messages)
    if len(data) != messages:
        difference.other.append(f"{len(data)} events of {messages} messages")
    for event in data.values():
        difference.bundle = f"{event['model']['name']} {event['model']['version']}"
        if event["model"]["digest"] != bundle.card.digest:
            raise ToolError(f"{path} is of another bundle, {difference.bundle}", "make vm-test")
        (expected,) = specialist.predict([event["text"]])
        compare(expected, event, difference)
    return difference


def compare(expected: Prediction, event: dict[str, Any], difference: EventDifference) -> None:
    """One message."""
    wanted, found = decisions_here(expected), decisions_there(event)
    if wanted != found:
        difference.other.append(f"{event['text']!r}: {wanted} here, {found} there")
        return
    assert expected.route is not None
    here = [expected.route.confidence, *(e.confidence for e in expected.entities)]
    there = [event["route"]["confidence"], *(e["confidence"] for e in event["entities"])]
    difference.gaps += [abs(a - b) for a, b in zip(here, there, strict=True)]


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
    figures += [same, compared.close, f"{compared.largest:.3f}"]
    return f"| {cpu} | {board} | {compared.bundle} | {' | '.join(figures)} |"
