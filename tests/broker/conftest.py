"""One broker with one agent for all tests that need nothing special of either."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent_process import AgentProcess, write_config
from tests.support.broker import Broker, BrokerOptions
from tests.support.mqtt_client import ClientOptions, MqttClient
from tests.support.site import Site
from tests.support.tiny_bundle import tiny_bundle

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs Mosquitto."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("broker")


@contextmanager
def running_broker(folder: Path, options: BrokerOptions | None = None) -> Iterator[Broker]:
    folder.mkdir(parents=True)
    broker = Broker(folder, options).start()
    try:
        yield broker
    finally:
        broker.kill()


@contextmanager
def observer(broker: Broker, options: ClientOptions | None = None) -> Iterator[MqttClient]:
    """A client that sees all that agents say."""
    with MqttClient(broker.port, options or ClientOptions("observer")) as client:
        client.subscribe("edge/#")
        yield client


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The shared one. Its tests leave it as they found it: running, with nothing in hand."""
    folder = tmp_path_factory.mktemp("site")
    sources = [
        {"filter": "site/field/#", "field": "/message"},
        {"filter": "site/template/#", "template": "{device.name}: {message}"},
        {"filter": "site/json/#", "format": "json"},
        {"filter": "site/text/#", "format": "text"},
        {"filter": "site/#"},
    ]
    with ExitStack() as stack:
        broker = stack.enter_context(running_broker(folder / "broker"))
        client = stack.enter_context(observer(broker))
        bundle = tiny_bundle(folder / "bundle")
        agent = AgentProcess(
            write_config(folder / "edge-agent.toml", broker.port, bundle, source=sources)
        )
        stack.callback(agent.close)
        agent.start()
        yield Site(broker, agent, client)


@pytest.fixture
def make_site(
    make_broker: Callable[..., Broker],
    make_agent: Callable[..., AgentProcess],
    tiny: Path,
) -> Iterator[Callable[..., Site]]:
    """``make_site(broker={…}, bundle=…, batch={…})``: its own broker, and an agent not started."""
    with ExitStack() as stack:

        def make(broker: dict[str, Any] | None = None, **sections: Any) -> Site:
            own = make_broker(**(broker or {}))
            client = stack.enter_context(observer(own))
            bundle = sections.pop("bundle", tiny)
            return Site(own, make_agent(own, bundle, **sections), client)

        yield make
