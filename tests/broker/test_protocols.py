"""MQTT 3.1.1: where it is wanted, and where the broker knows nothing newer."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.agent_process import ROOT, AgentProcess, write_config
from tests.support.broker import free_port
from tests.support.site import Site, unique_topic
from tests.support.waiting import wait_until

LINE = "pump 7 is leaking"


def test_3_1_1_on_mosquitto(make_site: Callable[..., Site]) -> None:
    """As told, the old protocol is spoken; nothing sent while we were stopped is lost."""
    site = make_site(mqtt={"protocol": "3.1.1"})
    site.agent.start()
    site.require_well()
    assert site.health()["protocol"] == "3.1.1"
    assert site.agent.stop() == 0
    topics = [unique_topic() for _ in range(50)]
    for topic in topics:
        site.send(topic, LINE)
    site.agent.start()
    for topic in topics:
        site.results(topic)
    site.agent.kill()
    site.agent.start()
    assert site.agent.stderr.count("session=resumed") == 2
    site.require_well()


@pytest.fixture
def old_broker() -> Iterator[int]:
    """The port of an amqtt broker, which knows only 3.1.1."""
    if importlib.util.find_spec("amqtt") is None:
        pytest.skip("amqtt is not installed")
    port = free_port()
    command = [sys.executable, "-m", "edge_agent.demo.amqtt_broker", str(port)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        wait_until(lambda: accepts(port), what="amqtt")
        yield port
        process.kill()


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_auto_falls_back(old_broker: int, tiny: Path, tmp_path: Path) -> None:
    """Version 5 first; refused or hung up on, 3.1.1: and the main job is done."""
    folder = tmp_path / "agent"
    folder.mkdir()
    config = write_config(
        folder / "edge-agent.toml", old_broker, tiny, mqtt={"connect_timeout_s": 1}
    )
    agent = AgentProcess(config)
    seen = tmp_path / "seen"
    reader = ["mosquitto_sub", "-p", str(old_broker), "-V", "311", "-q", "1", "-t", "edge/#", "-v"]
    with seen.open("wb") as out, subprocess.Popen(reader, stdout=out) as listening:
        try:
            agent.start()
            wait_until(lambda: "mqtt=3.1.1" in agent.stderr, what=lambda: agent.stderr)
            wait_until(lambda: b"edge/t/state" in seen.read_bytes(), what="the state")
            writer = ["mosquitto_pub", "-p", str(old_broker), "-V", "311", "-q", "1"]
            subprocess.run([*writer, "-t", "site/1", "-m", LINE], check=True, timeout=60)
            wait_until(lambda: b"edge/t/event/fault" in seen.read_bytes(), what="the event")
        finally:
            listening.kill()
            agent.close()
    found = [line for line in seen.read_text().splitlines() if "/event/" in line]
    data = json.loads(found[0].partition(" ")[2])["data"]
    assert [e["text"] for e in data["entities"]] == ["pump 7", "leaking"]
    assert "Traceback" not in agent.stderr
