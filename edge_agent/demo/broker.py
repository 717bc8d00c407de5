"""A broker for the demo on a free loopback port: Mosquitto where installed, else amqtt."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from edge_agent.demo.children import Child, Children, DemoError

HOST = "127.0.0.1"
MORE_PLACES = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
START_TIMEOUT_S = 15.0
POLL_S = 0.02
ATTEMPTS = 3


@dataclass(frozen=True)
class DemoBroker:
    """A broker that accepts connections. ``protocol`` is the best it speaks."""

    name: str
    port: int
    protocol: str


def start_broker(children: Children, folder: Path) -> DemoBroker:
    """Starts one; DemoError when there is none, or it does not come up."""
    mosquitto = find_mosquitto()
    for attempt in range(ATTEMPTS):
        broker = DemoBroker(_name(mosquitto), free_port(), "5" if mosquitto else "3.1.1")
        log = folder / f"broker{attempt}.log"
        child = children.start(broker.name, _command(mosquitto, broker.port, folder), log)
        if _wait_ready(child, broker.port):
            return broker
        children.drop(child)
    raise DemoError(
        f"{broker.name} did not start: {child.output}", "run it by hand to see what it lacks"
    )


def find_mosquitto() -> str | None:
    """Its path; Debian keeps it outside the PATH of ordinary users."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=MORE_PLACES)


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _name(mosquitto: str | None) -> str:
    if mosquitto:
        shown = subprocess.run([mosquitto, "-h"], capture_output=True, text=True, check=False)
        version = re.search(r"version ([0-9.]+)", shown.stdout)
        return f"Mosquitto {version[1]}" if version else "Mosquitto"
    if importlib.util.find_spec("amqtt"):
        return "amqtt"
    raise DemoError(
        "the demo needs an MQTT broker, and neither Mosquitto nor amqtt is installed",
        "run `sudo apt-get install mosquitto`, or `pip install 'edge-agent[demo]'`",
    )


def _command(mosquitto: str | None, port: int, folder: Path) -> list[str]:
    if mosquitto is None:
        return [sys.executable, "-m", "edge_agent.demo.amqtt_broker", str(port)]
    lines = [f"listener {port} {HOST}", "allow_anonymous true", "persistence false"]
    lines += ["log_dest stderr", "log_type error", "log_type warning", "set_tcp_nodelay true"]
    if os.geteuid() == 0:
        # Changing users would read our folder as nobody, and undo the tie to our life.
        lines.append("user root")
    config = folder / "mosquitto.conf"
    config.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return [mosquitto, "-c", str(config)]


def _wait_ready(child: Child, port: int) -> bool:
    """Whether it accepts connections; False when it has ended, as for a port just taken."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while child.exit_code is None and time.monotonic() < deadline_s:
        if _accepts(port):
            return child.exit_code is None
        time.sleep(POLL_S)
    return False


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), 1).close()
    except OSError:
        return False
    return True
