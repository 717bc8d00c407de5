"""Lets the hardened service reach its broker, and nothing else."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_agent.commands import serve
from edge_agent.disk import explained
from edge_agent.egress import DROP_IN, RESOLVERS, drop_in, egress
from edge_agent.settings import load_config

RESTART = "next: sudo systemctl daemon-reload && sudo systemctl restart edge-agent"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The configuration, and where the drop-in goes."""
    serve.arguments(parser)
    parser.add_argument(
        "--drop-in", type=Path, default=DROP_IN, metavar="FILE", help=f"default: {DROP_IN}"
    )


def run(options: argparse.Namespace) -> int:
    """0 when the drop-in is as the configuration needs it."""
    mqtt = load_config(options.config, options.settings).mqtt
    allowed = egress(mqtt.host, mqtt.port, RESOLVERS)
    with explained(options.drop_in.parent):
        if allowed:
            options.drop_in.parent.mkdir(parents=True, exist_ok=True)
            options.drop_in.write_text(drop_in(mqtt.host, allowed), encoding="utf-8")
            options.drop_in.chmod(0o644)
        else:
            options.drop_in.unlink(missing_ok=True)
    if not allowed:
        print(f"{mqtt.host} is this machine: no drop-in is needed")
    else:
        servers = f", and its name servers {' '.join(allowed.name_servers)}"
        print(f"{mqtt.host} is {' '.join(allowed.broker)}{servers if allowed.name_servers else ''}")
        print(f"wrote {options.drop_in}")
    print(RESTART)
    return 0
