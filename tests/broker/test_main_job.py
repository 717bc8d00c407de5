"""The main job, with what people install: sample configuration, default bundle, mosquitto_pub."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat

from tests.broker.conftest import observer, running_broker
from tests.support.agent_process import ROOT, AgentProcess
from tests.support.mqtt_client import Received
from tests.support.site import Site, unique_topic

LINE = "pump P-101 is leaking since 06:40"
TOPIC = "site/a/operator/line2"
CLOUDEVENT = "application/cloudevents+json"
EXPECTED = {"asset": "pump P-101", "symptom": "leaking", "time": "since 06:40"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The sample configuration, told nothing but the port and where it may write."""
    folder = tmp_path_factory.mktemp("gateway")
    config = Path(shutil.copy(ROOT / "config/edge-agent.toml", folder))
    with ExitStack() as stack:
        broker = stack.enter_context(running_broker(folder / "broker"))
        client = stack.enter_context(observer(broker))
        agent = AgentProcess(
            config,
            {
                "EDGE_AGENT__MQTT__PORT": str(broker.port),
                "STATE_DIRECTORY": str(folder / "state"),
                "RUNTIME_DIRECTORY": str(folder / "run"),
            },
        )
        stack.callback(agent.close)
        agent.start()
        yield Site(broker, agent, client, "gw-1")


def mosquitto_pub(site: Site, topic: str, version: str) -> None:
    """The command of the README, at the broker's port."""
    command = ["mosquitto_pub", "-p", str(site.broker.port), "-V", version, "-q", "1"]
    subprocess.run([*command, "-t", topic, "-m", LINE], check=True, timeout=60)


def require_leaking_pump(message: Received) -> None:
    """The event, as the official SDK reads it, names what the line names, where it stands."""
    assert message.topic == "edge/gw-1/event/fault"
    assert message.qos == 1
    assert not message.retain
    event = from_structured_event(
        HTTPMessage({"content-type": CLOUDEVENT}, message.payload), JSONFormat()
    )
    data: Any = event.get_data()
    assert data["text"] == LINE
    assert data["route"]["label"] == "fault"
    assert not data["truncated"]
    found = {entity["label"]: entity for entity in data["entities"]}
    for label, text in EXPECTED.items():
        start = LINE.index(text)
        span = (found[label]["text"], found[label]["start"], found[label]["end"])
        assert span == (text, start, start + len(text))
    assert event.get_source() == "edge/gw-1"
    assert event.get_type() == "edge-agent.event.v1"


@pytest.mark.parametrize("version", ["5", "311"])
def test_a_line_becomes_an_event(gateway: Site, version: str) -> None:
    """Either protocol's publisher: a CloudEvent on event/fault names asset, symptom and time."""
    topic = f"{TOPIC}/{version}" if version != "5" else TOPIC
    mosquitto_pub(gateway, topic, version)
    (message,) = gateway.results(topic)
    require_leaking_pump(message)
    assert message.json["subject"] == topic
    assert message.properties["ContentType"] == CLOUDEVENT


def test_offsets_count_characters_of_what_was_sent(gateway: Site) -> None:
    """Emoji, accents, NUL and control characters before a word move its offsets by one each."""
    text = f"🚨é\u0301\x00\x07 {LINE}"
    data = gateway.event(unique_topic(), text)
    assert data["text"] == text
    assert [e["text"] for e in data["entities"]] == [
        text[e["start"] : e["end"]] for e in data["entities"]
    ]
    assert {"leaking", "since 06:40"} <= {e["text"] for e in data["entities"]}


@pytest.mark.parametrize(
    "text", ["x" * 200_000, f"{LINE} " * 500, "\u200b" * 60_000, "🚨" * 60_000]
)
def test_no_text_is_too_much_for_the_real_model(gateway: Site, text: str) -> None:
    """A word of 200 KB and texts beyond the window are worked on, and marked as truncated."""
    data = gateway.event(unique_topic(), text)
    assert data["truncated"]
    assert data["text"] == text


def test_a_json_object_becomes_text_the_event_carries(gateway: Site) -> None:
    """``key=value`` text; spans point into it."""
    payload = json.dumps({"device": {"name": "P-101"}, "message": "pump P-101 is leaking"})
    data = gateway.event(unique_topic(), payload)
    assert data["text"] == 'device.name=P-101 message="pump P-101 is leaking"'
    for entity in data["entities"]:
        assert data["text"][entity["start"] : entity["end"]] == entity["text"]
