"""Runs the agent until SIGTERM or SIGINT; SIGHUP takes up changed bundles."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from edge_agent.settings import load_config

SETTINGS_AS_FLAGS = (
    "Any setting can be given as a flag, such as --mqtt.host=broker.local, "
    "or as a variable, such as EDGE_AGENT__MQTT__HOST."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of every command that reads the whole configuration."""
    parser.set_defaults(takes_settings=True)
    parser.add_argument("--config", type=Path, metavar="FILE", help="the TOML file")
    parser.epilog = SETTINGS_AS_FLAGS


def run(options: argparse.Namespace) -> int:
    """0 after a clean stop."""
    from edge_agent.assembly import assemble, metrics_page  # noqa: PLC0415 - other commands start faster
    from edge_agent.log import set_up_log  # noqa: PLC0415
    from edge_agent.transport.base import Reload, Stop  # noqa: PLC0415

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nothing to reload yet
    config = load_config(options.config, options.settings)
    set_up_log(config.log.level, config.log.format)
    agent = assemble(config)
    signal.signal(signal.SIGHUP, lambda _, __: agent.inbox.put(Reload("SIGHUP")))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, _: agent.inbox.put(Stop(signal.Signals(n).name)))
    with metrics_page(config, agent.inbox):
        agent.run()
    return 0
