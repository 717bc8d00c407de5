"""Fixtures that are real parts, and the marks by which slow ones are left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.agent_process import AgentProcess, write_config
from tests.support.broker import Broker, BrokerOptions
from tests.support.mqtt_client import ClientOptions, MqttClient
from tests.support.tiny_bundle import tiny_bundle

NEED_BROKER = {"broker", "make_broker"}
settings.register_profile(
    "slow machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("slow machine")


def pytest_configure(config: pytest.Config) -> None:
    """Names the marks. Files of tests are open to other users, whoever runs them."""
    os.umask(0o022)
    config.addinivalue_line("markers", "broker: needs Mosquitto (set by itself)")
    config.addinivalue_line("markers", "slow: takes more than some ten seconds")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that use a broker."""
    for item in items:
        if NEED_BROKER & set(getattr(item, "fixturenames", ())):
            item.add_marker("broker")


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Starts brokers: ``make_broker(persistence=True)``. They end with the test."""
    brokers: list[Broker] = []

    def make(**options: Any) -> Broker:
        folder = tmp_path / f"broker{len(brokers)}"
        folder.mkdir()
        brokers.append(Broker(folder, BrokerOptions(**options)))
        return brokers[-1].start()

    yield make
    for broker in brokers:
        broker.kill()


@pytest.fixture
def broker(make_broker: Callable[..., Broker]) -> Broker:
    """A plain broker: anonymous, nothing kept on disk."""
    return make_broker()


@pytest.fixture
def client(broker: Broker) -> Iterator[MqttClient]:
    """A client of ``broker``."""
    with MqttClient(broker.port, ClientOptions("test")) as connected:
        yield connected


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A tiny bundle with the default words."""
    return tiny_bundle(tmp_path / "tiny")


@pytest.fixture
def make_agent(tmp_path: Path) -> Iterator[Callable[..., AgentProcess]]:
    """Prepares agents: ``make_agent(broker, bundle, batch={…})``; they end with the test."""
    agents: list[AgentProcess] = []

    def make(broker: Broker, bundle: Path | None, **sections: Any) -> AgentProcess:
        folder = tmp_path / f"agent{len(agents)}"
        folder.mkdir()
        config = write_config(folder / "edge-agent.toml", broker.port, bundle, **sections)
        agents.append(AgentProcess(config))
        return agents[-1]

    yield make
    for agent in agents:
        agent.close()
