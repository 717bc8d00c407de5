"""Puts the agent together from its configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from edge_agent.agent import Agent
from edge_agent.config import Config
from edge_agent.crashes import CrashRecord
from edge_agent.disk import explained
from edge_agent.host import Host
from edge_agent.loading import supply_of
from edge_agent.memory import use_one_heap
from edge_agent.presence import Presence
from edge_agent.state import default_runtime_dir, default_state_dir
from edge_agent.surroundings import Surroundings
from edge_agent.systemd import Notifier, watchdog_interval_s
from edge_agent.transport.address import broker_address
from edge_agent.transport.base import Inbox, LastWill
from edge_agent.transport.paho import PahoTransport
from edge_agent.wire.outbound import JSON, state_data, to_json


def assemble(config: Config) -> Agent:
    """An agent ready to run. SetupError when a person must act first."""
    use_one_heap()
    supply = supply_of(config)
    runtime_dir = config.paths.runtime_dir or default_runtime_dir() / config.client_id
    with explained(runtime_dir):
        crashes, presence = CrashRecord(runtime_dir), Presence(runtime_dir)
    surroundings = Surroundings(
        state_dir=config.paths.state_dir or default_state_dir() / config.client_id,
        crashes=crashes,
        presence=presence,
        notifier=Notifier(),
        host=Host(sensor_interval_s=config.health.interval_s),
        watchdog_s=watchdog_interval_s(),
    )
    address = replace(broker_address(config), will=last_will(config))
    return Agent(config, supply, PahoTransport(address), surroundings)


@contextmanager
def metrics_page(config: Config, inbox: Inbox) -> Iterator[None]:
    """Serves the numbers meanwhile, where ``metrics.port`` is set. ConfigError when it is taken."""
    if config.metrics.port is None:
        yield
        return
    from edge_agent.exporter import Exporter  # noqa: PLC0415 - costs memory where nobody reads it

    exporter = Exporter(config.metrics.host, config.metrics.port, inbox)
    exporter.start()
    try:
        yield
    finally:
        exporter.close()


def last_will(config: Config) -> LastWill:
    """What the broker says for us when we vanish."""
    return LastWill(f"{config.prefix}/state", to_json(state_data("offline")), JSON)
