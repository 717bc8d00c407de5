"""The live screen: messages turning into events. The only importer of rich."""

from __future__ import annotations

import json
from collections import deque
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge_agent.demo.tally import Tally, route_of
from edge_agent.demo.views import Setting, one_line, written
from edge_agent.types import JsonObject

ROUTE_COLOURS = {
    "alarm": "white on red3",
    "security": "white on dark_magenta",
    "connectivity": "black on orange3",
    "fault": "black on yellow3",
    "maintenance": "white on dodger_blue3",
    "command": "black on cyan3",
    "question": "black on medium_purple1",
    "reading": "black on green3",
    "other": "white on grey35",
}
OTHER_ROUTE = "black on grey70"
LABEL_COLOURS = {
    "asset": "bright_cyan",
    "component": "cyan",
    "symptom": "bright_red",
    "action": "bright_blue",
    "quantity": "bright_green",
    "code": "bright_yellow",
    "time": "bright_magenta",
    "location": "orange1",
    "person": "pink1",
    "address": "turquoise2",
}
OTHER_LABEL = "bright_white"
REFRESHES_A_SECOND = 8
HEADER_ROWS, FOOTER_ROWS, EVENT_ROWS = 4, 1, 2
MAX_EVENTS = 100


class Screen:
    """See ``views.View``."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._rows: deque[tuple[Text, Text]] = deque(maxlen=MAX_EVENTS)
        self._setting = Setting("", "")
        self._tally = Tally(0.0)
        self._refreshed_s = 0.0

    def start(self, setting: Setting, tally: Tally) -> None:
        """Takes the terminal over."""
        self._setting, self._tally = setting, tally
        self._live.start()

    def event(self, event: JsonObject, latency_ms: float) -> None:
        """Adds a row; the next refresh shows it."""
        self._rows.append((message_line(event, latency_ms), details_line(event["data"])))

    def refresh(self, now_s: float) -> None:
        """Draws anew, a few times a second at most."""
        if self._live.is_started and now_s - self._refreshed_s >= 1 / REFRESHES_A_SECOND:
            self._refreshed_s = now_s
            self._live.update(self.draw(now_s), refresh=True)

    def close(self) -> None:
        """Gives the terminal back."""
        self._live.stop()

    def draw(self, now_s: float) -> RenderableType:
        """The whole screen, with as many of the latest events as it has room for."""
        room = max(1, self._console.height - HEADER_ROWS - FOOTER_ROWS) // EVENT_ROWS
        shown = list(self._rows)[-room:]
        blank = [Text("")] * ((room - len(shown)) * EVENT_ROWS)
        lines = [line for pair in shown for line in pair]
        return Group(self._header(now_s), *lines, *blank, legend())

    def _header(self, now_s: float) -> RenderableType:
        tally = self._tally
        figures = Table.grid(expand=True)
        for _ in range(4):
            figures.add_column(ratio=1)
        figures.add_row(
            f"[b]{tally.events}[/b] events of {tally.sent} messages",
            f"[b]{tally.rate(now_s):.1f}[/b] a second",
            f"p50 [b]{tally.percentile_ms(0.5):.1f}[/b] ms  "
            f"p95 [b]{tally.percentile_ms(0.95):.1f}[/b] ms",
            f"{now_s - tally.started_s:.0f} s",
        )
        return Panel(
            Group(figures, counts(tally)),
            title=f"[b]edge-agent[/b]  {self._setting.bundle}  on  {self._setting.broker}",
            subtitle="Ctrl-C ends the demo",
            height=HEADER_ROWS,
        )


def message_line(event: JsonObject, latency_ms: float) -> Text:
    """Time, route, confidence and the message with its entities coloured."""
    label, route = route_of(event), event["data"]["route"] or {"confidence": 0.0}
    local = datetime.fromisoformat(event["time"].replace("Z", "+00:00")).astimezone()
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{local:%H:%M:%S} ", "grey58")
    line.append(f" {label:<12}", ROUTE_COLOURS.get(label, OTHER_ROUTE))
    line.append(f" {route['confidence']:>4.0%} ", "bold" if route["confidence"] >= 0.5 else "dim")
    line.append(f"{latency_ms:>6.1f} ms  ", "grey58")
    line.append_text(coloured(event["data"]))
    return line


def coloured(data: JsonObject) -> Text:
    """The text with each entity in its label's colour."""
    text = Text(one_line(data["text"]))
    for entity in data["entities"]:
        style = LABEL_COLOURS.get(entity["label"], OTHER_LABEL)
        text.stylize(f"bold underline {style}", entity["start"], entity["end"])
    return text


def details_line(data: JsonObject) -> Text:
    """Where the message came from, and what was written about it, or its entities are worth."""
    line = Text(f"{'':9}{one_line(data['input']['topic'])}", "grey58", no_wrap=True)
    line.overflow = "ellipsis"
    for fields in written(data):
        line.append(f"  {fields}", "not dim bright_white")
        return line
    for entity in data["entities"]:
        style = LABEL_COLOURS.get(entity["label"], OTHER_LABEL)
        line.append(f"  {entity['label']} ", f"not dim {style}")
        line.append(worth(entity), "grey70")
    return line


def worth(entity: JsonObject) -> str:
    """The normalised value in short, else the words."""
    value = entity.get("value")
    if not value:
        return one_line(entity["text"])
    plain = [item for key, item in value.items() if key != "kind"]
    return " ".join(i if isinstance(i, str) else json.dumps(i) for i in plain)


def counts(tally: Tally) -> Text:
    """A badge for each route so far, with its count."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for label, count in sorted(tally.routes.items(), key=lambda item: -item[1]):
        line.append(f" {label} {count} ", ROUTE_COLOURS.get(label, OTHER_ROUTE))
        line.append(" ")
    return line


def legend() -> Text:
    """Which colour is which label."""
    line = Text(no_wrap=True, overflow="ellipsis", end="")
    for label, style in LABEL_COLOURS.items():
        line.append(f"{label}  ", f"underline {style}")
    return line
