"""A broker, the agent as a process, and the texts to measure with."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_agent.bundle import load_bundle
from edge_agent.manifest import GOLDEN
from tests.support.agent_process import AgentProcess, write_config
from tests.support.broker import Broker
from tests.support.mqtt_client import ClientOptions, MqttClient

TOPIC = "site/bench"
EVENTS = "edge/t/event/+"
CLOCK_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Plan:
    """What is measured, and how long."""

    bundle: Path
    threads: int
    batch_messages: int
    repeats: int
    saturated_messages: int
    idle_messages: int
    idle_s: float


@dataclass
class Rig:
    """Everything that one measurement needs, running."""

    agent: AgentProcess
    client: MqttClient


def texts(bundle: Path, count: int) -> list[str]:
    """The bundle's golden inputs, over and over: short and long, of every route."""
    lines = load_bundle(bundle).contents[GOLDEN].decode().splitlines()
    golden = [text_of(json.loads(line)) for line in lines if line.strip()]
    return list(islice(cycle(golden), count))


def text_of(example: dict[str, str]) -> str:
    return example["text"]


@contextmanager
def running(plan: Plan) -> Iterator[Rig]:
    """Broker, ready agent and client; all of it ended afterwards."""
    with TemporaryDirectory(prefix="bench-") as name, TemporaryDirectory(dir="/dev/shm") as ram:
        folder = Path(name)
        broker = Broker(folder).start()
        config = write_config(
            folder / "edge-agent.toml",
            broker.port,
            plan.bundle,
            model={"threads": plan.threads, "bundle": str(plan.bundle)},
            batch={"max_messages": plan.batch_messages},
            paths={"runtime_dir": ram},
        )
        agent = AgentProcess(config)
        try:
            agent.start()
            with MqttClient(broker.port, ClientOptions("bench", window=1000)) as client:
                client.subscribe(EVENTS)
                yield Rig(agent, client)
        finally:
            agent.close()
            broker.kill()


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_A_SECOND


def now_s() -> float:
    return time.perf_counter()
