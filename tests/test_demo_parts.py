"""The parts of the demo: simulated site, tally, views, and what is said when a part is missing."""

from __future__ import annotations

import importlib.util
import io
import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from edge_agent.demo import broker
from edge_agent.demo.children import Children, DemoError
from edge_agent.demo.site import HAND, LINES, Site, SiteMessage
from edge_agent.demo.tally import Tally
from edge_agent.demo.views import PlainLines, choose_view, marked, one_line, written
from edge_agent.topics import is_topic, matches

CORPUS = Path(__file__).parents[1] / "tools/corpus/messages"
NOON = datetime(2026, 3, 14, 12, 0, tzinfo=timezone.utc)


def said(seed: int, count: int) -> list[SiteMessage]:
    """What a site says, its clock moved on by each pause."""
    site, now, messages = Site(seed), NOON, []
    for _ in range(count):
        messages.append(site.next(now))
        now += timedelta(seconds=messages[-1].pause_s)
    return messages


def event(text: str = "hi", topic: str = "site/a", name: str = "1", **data: Any) -> dict[str, Any]:
    """An event as the agent publishes it, as far as the demo reads it."""
    body = {
        "text": text,
        "route": {"label": "fault", "confidence": 0.9},
        "entities": [],
        "input": {"topic": topic},
        **data,
    }
    return {"id": name, "time": "2026-03-14T12:00:00.000Z", "data": body}


def test_the_site_is_deterministic() -> None:
    """The same seed says the same, another seed something else."""
    assert said(7, 100) == said(7, 100)
    assert said(7, 100) != said(8, 100)


@pytest.mark.parametrize("seed", range(5))
def test_any_fifteen_seconds_show_most_routes(seed: int) -> None:
    """In every 15 s there are messages about at least six routes, two to three a second."""
    messages = said(seed, 400)
    at_s, moments = 0.0, []
    for message in messages:
        moments.append((at_s, message.about))
        at_s += message.pause_s
    assert 2 <= len(messages) / at_s <= 3
    for first_s, _ in moments:
        window = {about for s, about in moments if first_s <= s < first_s + 15}
        assert len(window) >= 6 or first_s + 15 > at_s


def test_every_line_can_be_said() -> None:
    """Each line of each kind comes up, on a topic the agent reads."""
    messages = said(1, len(HAND) * 25)
    assert {message.about for message in messages} == set(LINES)
    for about, lines in LINES.items():
        heads = {message.payload[:12] for message in messages if message.about == about}
        assert len(heads) >= len(lines) // 2
    for message in messages:
        assert is_topic(message.topic)
        assert matches("site/#", message.topic)
        assert not re.search(r"\{[a-z]", message.payload)


def test_formats_are_mixed() -> None:
    """JSON objects, key=value, syslog and plain words all occur, and the JSON is whole."""
    payloads = [message.payload for message in said(2, 300)]
    objects = [json.loads(payload) for payload in payloads if payload.startswith("{")]
    assert len(objects) >= 20
    assert sum(bool(re.match(r"[A-Z][a-z]{2} [ 0-9]{2} \d", payload)) for payload in payloads) >= 10
    assert sum(payload.count("=") >= 3 for payload in payloads) >= 10
    assert sum(payload.replace(" ", "").isalpha() for payload in payloads) >= 10


def test_the_plant_stays_physical() -> None:
    """Readings keep within what such a plant can show, however long it runs."""
    for message in said(3, 2000):
        if message.payload.startswith('{"pump"'):
            pump = json.loads(message.payload)
            assert 15 <= pump["speed_hz"] <= 50
            assert 15 <= pump["bearing_c"] <= 130
        if message.payload.startswith('{"tank"'):
            assert 0 <= json.loads(message.payload)["level"]["pct"] <= 100


def test_the_demo_is_honest() -> None:
    """No message of the demo stands in the training corpus."""

    def words(text: str) -> str:
        return " ".join(re.findall(r"[a-z]+", text.lower()))

    corpus = set()
    for path in CORPUS.glob("*.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            corpus.add(words(re.sub(r"\[([^\[\]|]*)\|\w+\]", r"\1", line.partition(":")[2])))
    assert len(corpus) > 500
    assert {words(message.payload) for message in said(4, 1000)} & corpus == set()


def test_latency_is_from_sending_to_event() -> None:
    """Events of one topic belong to its messages in order; a duplicate counts once."""
    tally = Tally(started_s=0.0)
    for topic, at_s in (("a", 1.0), ("b", 2.0), ("a", 3.0)):
        tally.count_sent(topic, at_s)
    assert tally.count_event(event(topic="a", name="1"), 1.5) == pytest.approx(500)
    assert tally.count_event(event(topic="a", name="1"), 1.6) is None
    assert tally.count_event(event(topic="a", name="2"), 3.1) == pytest.approx(100)
    tally.count_refusal({"input": {"topic": "b"}}, 3.2)
    assert (tally.sent, tally.events, tally.duplicates, tally.refused) == (3, 2, 1, 1)
    assert tally.outstanding == 0
    assert tally.percentile_ms(0.5) == pytest.approx(500)
    assert "3 messages, 2 events on 1 routes" in tally.summary(4.0)


def test_rate_is_of_the_last_seconds() -> None:
    """Ten events in the window of five seconds are two a second; older ones do not count."""
    tally = Tally(started_s=0.0)
    for i in range(20):
        tally.count_event(event(name=str(i)), i * 0.5)
    assert tally.rate(9.6) == pytest.approx(2.0)
    assert tally.rate(60.0) == 0.0


def test_lines_mark_entities_and_keep_the_terminal_safe() -> None:
    """Entities stand in brackets; escape sequences of a message never reach the terminal."""
    entity = {"start": 1, "end": 5, "label": "asset", "text": "pump"}
    assert marked(event("\x1bpump\n2", entities=[entity])["data"]) == "·[pump|asset]·2"
    assert one_line("a\r\n\x9b31mb\u202e") == "a···31mb·"


def test_no_broker_at_all_is_said_with_a_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither Mosquitto nor amqtt: the error names both and how to get one."""
    monkeypatch.setattr(broker, "find_mosquitto", lambda: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with Children() as children, pytest.raises(DemoError) as caught:
        broker.start_broker(children, tmp_path)
    assert "amqtt" in caught.value.problem
    assert "apt-get install mosquitto" in caught.value.fix


def test_a_broker_that_does_not_start_is_said_with_its_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A Mosquitto that ends at once is reported with what it wrote."""
    broken = tmp_path / "mosquitto"
    broken.write_text("#!/bin/sh\necho version 9.9; echo no such luck >&2; exit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(broker, "find_mosquitto", lambda: str(broken))
    with Children() as children, pytest.raises(DemoError) as caught:
        broker.start_broker(children, tmp_path)
    assert "Mosquitto 9.9" in caught.value.problem
    assert "no such luck" in caught.value.problem


def test_a_terminal_without_rich_is_said_with_a_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the screen needs rich; without it the way out is named."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DemoError) as caught:
        choose_view(as_json=False)
    assert "rich" in caught.value.problem
    assert "--json" in caught.value.fix


def test_the_screen_shows_the_latest_events_within_its_height() -> None:
    """Route, confidence, text and values are shown; older rows leave; the height is kept."""
    console_of = pytest.importorskip("rich.console").Console
    from edge_agent.demo.screen import Screen  # noqa: PLC0415 - needs rich

    console = console_of(width=100, height=20, file=io.StringIO(), record=True)
    screen = Screen(console)
    entity = {"start": 0, "end": 3, "label": "quantity", "text": "3 %"}
    entity["value"] = {"number": 3, "unit": "%"}
    for i in range(50):
        screen.event(event(f"3 % at \x1b]0;{i}", name=str(i), entities=[entity]), 12.0)
    console.print(screen.draw(5.0))
    shown = console.export_text()
    assert len(shown.splitlines()) <= 20
    assert "·]0;49" in shown
    assert "·]0;20" not in shown
    assert "fault" in shown
    assert "90%" in shown
    assert "\x1b" not in shown


def with_output(**output: Any) -> dict[str, Any]:
    """An event with what a second stage wrote."""
    return event(output={"complete": True, "model": {"name": "work-order"}, **output})


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (
            {"value": {"asset": "fan\u001b 3", "due": None, "level": 2}},
            "work-order: asset fan· 3, level 2",
        ),
        ({"text": "The fan\nis loud."}, "work-order: The fan·is loud."),
        ({"complete": False, "reason": "time-limit"}, "work-order: nothing (time-limit)"),
    ],
)
def test_what_was_written_is_one_line_of_the_fields_that_say_something(
    output: dict[str, Any], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below the message, without control characters."""
    said = with_output(**output)
    assert written(said["data"]) == [line]
    PlainLines().event(said, 1.0)
    _, below = capsys.readouterr().out.splitlines()
    assert below.strip() == line


def test_a_message_without_a_second_stage_has_one_line() -> None:
    assert written(event()["data"]) == []


@pytest.mark.skipif(importlib.util.find_spec("rich") is None, reason="needs the extra demo")
def test_the_screen_shows_what_was_written_in_place_of_the_entities() -> None:
    from edge_agent.demo.screen import details_line  # noqa: PLC0415 - needs rich

    said = with_output(value={"asset": "fan 3"})
    said["data"]["entities"] = [{"label": "asset", "text": "fan 3", "start": 0, "end": 5}]
    line = details_line(said["data"]).plain
    assert "site/a  work-order: asset fan 3" in line
    assert line.count("fan 3") == 1
