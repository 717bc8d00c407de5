"""Where events are shown: as JSON lines, as plain lines, or (``screen``) live."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import dataclass
from typing import Protocol

from edge_agent.demo.children import DemoError
from edge_agent.demo.tally import Tally, route_of
from edge_agent.types import JsonObject


@dataclass(frozen=True)
class Setting:
    """What the demo runs on, for the header."""

    broker: str
    bundle: str


class View(Protocol):
    """Shows events as they come."""

    def start(self, setting: Setting, tally: Tally) -> None:
        """Everything runs; the first message goes out next."""

    def event(self, event: JsonObject, latency_ms: float) -> None:
        """A message has become an event."""

    def refresh(self, now_s: float) -> None:
        """Time has passed."""

    def close(self) -> None:
        """Nothing more comes; the terminal is as it was."""


def choose_view(*, as_json: bool) -> View:
    """The live screen on a terminal, lines elsewhere. DemoError when the screen lacks rich."""
    if as_json:
        return JsonLines()
    if not sys.stdout.isatty():
        return PlainLines()
    if importlib.util.find_spec("rich") is None:
        raise DemoError(
            "the demo's screen needs the Python package rich, which is not installed",
            "run `pip install 'edge-agent[demo]'`, or pass --json",
        )
    from edge_agent.demo.screen import Screen  # noqa: PLC0415 - needs rich

    return Screen()


def say(text: str) -> None:
    """A word to the person at the terminal, beside the events."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class JsonLines:
    """Each event as one compact JSON object a line on standard output."""

    def start(self, setting: Setting, tally: Tally) -> None:  # noqa: ARG002
        """Says what runs, on standard error."""
        say(introduction(setting))

    def event(self, event: JsonObject, latency_ms: float) -> None:  # noqa: ARG002
        """One line."""
        _write(json.dumps(event, ensure_ascii=False, separators=(",", ":")))

    def refresh(self, now_s: float) -> None:
        """Nothing to renew."""

    def close(self) -> None:
        """Nothing to restore."""


class PlainLines(JsonLines):
    """Each event as a line that people read."""

    def event(self, event: JsonObject, latency_ms: float) -> None:
        """Route, confidence, latency, the text with its entities in brackets; what was written."""
        route = event["data"]["route"] or {"confidence": 0.0}
        head = f"{route_of(event):<12} {route['confidence']:>4.0%} {latency_ms:>6.1f} ms"
        _write(f"{head}  {marked(event['data'])}")
        for fields in written(event["data"]):
            _write(f"{'':14}{fields}")


def introduction(setting: Setting) -> str:
    """One line on what runs."""
    return f"edge-agent demo: broker {setting.broker}, bundle {setting.bundle}; Ctrl-C ends it"


def marked(data: JsonObject) -> str:
    """The text on one line, entities as ``[text|label]``."""
    text, parts, at = one_line(data["text"]), [], 0
    for entity in data["entities"]:
        start, end = entity["start"], entity["end"]
        parts += [text[at:start], f"[{text[start:end]}|{entity['label']}]"]
        at = end
    return "".join([*parts, text[at:]])


def written(data: JsonObject) -> list[str]:
    """What a second stage wrote about the message, on one line; none where it did not."""
    output = data.get("output")
    if output is None:
        return []
    if not output["complete"]:
        return [f"{output['model']['name']}: nothing ({output['reason']})"]
    value = output.get("value", output.get("text"))
    said = fields_line(value) if isinstance(value, dict) else one_line(str(value))
    return [f"{output['model']['name']}: {said}"]


def fields_line(value: JsonObject) -> str:
    """The fields that say something."""
    said = [(name, part) for name, part in value.items() if part is not None]
    return ", ".join(
        f"{name} {one_line(part if isinstance(part, str) else json.dumps(part))}"
        for name, part in said
    )


def one_line(text: str) -> str:
    """The text with every character that would move the cursor replaced by a dot, same length."""
    return "".join(char if char.isprintable() else "·" for char in text)


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
