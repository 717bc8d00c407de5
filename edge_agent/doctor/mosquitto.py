"""The configuration of a Mosquitto that runs on this machine (mosquitto.conf(5))."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from edge_agent.doctor.patient import Patient

DEFAULT_PORT = 1883
DEFAULT_FILE = "/etc/mosquitto/mosquitto.conf"
MAX_FILES = 100
SNIPPET = Path("config/mosquitto.d/edge-agent.conf")


@dataclass
class MosquittoConfig:
    """Settings by name, the last one counts; ``unreadable`` are files that could not be read."""

    file: Path
    settings: dict[str, str] = field(default_factory=dict)
    ports: set[int] = field(default_factory=set)
    include_dirs: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)

    @property
    def by_plugin(self) -> bool:
        """Whether a plugin of Mosquitto 2.1 keeps sessions and queues."""
        return any(
            "persist_sqlite" in self.settings.get(n, "") for n in ("plugin", "global_plugin")
        )

    @property
    def keeps(self) -> bool:
        """Whether sessions and queues outlive a restart."""
        return self.by_plugin or self.flag("persistence")

    def flag(self, name: str) -> bool:
        """A boolean, false where it is not set."""
        return self.settings.get(name, "false") == "true"

    def number(self, name: str, default: int) -> int:
        """A whole number; 0 means no limit in most settings."""
        text = self.settings.get(name, "")
        return int(text) if text.isdigit() else default


def local_mosquitto(patient: Patient, port: int) -> MosquittoConfig | None:
    """Of the Mosquitto that listens on this port, or the installed one; None without either."""
    installed = patient.path(DEFAULT_FILE)
    files = [*_running(patient), *([installed] if installed.exists() else [])]
    found = [read_config(patient, file) for file in dict.fromkeys(files)]
    return next((c for c in found if port in (c.ports or {DEFAULT_PORT})), None)


def read_config(patient: Patient, file: Path) -> MosquittoConfig:
    """The file and those of its include_dir, in the order in which Mosquitto reads them."""
    config = MosquittoConfig(file)
    waiting = [file]
    for _ in range(MAX_FILES):
        if not waiting:
            break
        current = waiting.pop(0)
        text = patient.read(current)
        if text is None:
            config.unreadable.append(current)
            continue
        for line in text.splitlines():
            name, _, value = line.strip().partition(" ")
            waiting += _take(patient, config, name, value.strip())
    return config


def _take(patient: Patient, config: MosquittoConfig, name: str, value: str) -> list[Path]:
    """Notes one line; the files that it includes."""
    if name in {"listener", "port"}:
        port = value.partition(" ")[0]
        config.ports |= {int(port)} if port.isdigit() else set()
    elif name == "include_dir":
        folder = _within(patient, value)
        config.include_dirs.append(folder)
        return sorted(folder.glob("*.conf"))
    elif name and not name.startswith("#"):
        config.settings[name] = value
    return []


def _running(patient: Patient) -> list[Path]:
    """The configuration files named on the command lines of running Mosquittos."""
    found = []
    for comm in patient.glob("/proc/[0-9]*/comm"):
        if patient.read(comm) == "mosquitto":
            words = (patient.read(comm.with_name("cmdline")) or "").split("\0")
            pairs = pairwise(words)
            found += [_within(patient, file) for option, file in pairs if option == "-c"]
    return found


def _within(patient: Patient, name: str) -> Path:
    return patient.path(name)


def snippet() -> Path | None:
    """The settings that come with edge-agent, None where they were not installed."""
    places = (
        Path(__file__).parents[2] / SNIPPET,
        Path(sys.prefix) / "share/edge-agent" / SNIPPET,
        Path("/usr/share/edge-agent") / SNIPPET,
    )
    return next((place for place in places if place.is_file()), None)


def fix(config: MosquittoConfig, wanted: list[str]) -> str:
    """How to make these settings take effect: by our own file of settings where there is one."""
    restart = "`sudo systemctl restart mosquitto`"
    source = snippet()
    if source is None:
        lines = ", ".join(f"`{line}`" for line in wanted)
        return f"write into {config.file}: {lines}; then {restart}"
    if config.include_dirs:
        folder = config.include_dirs[0]
        return f"`sudo cp {shlex.quote(str(source))} {shlex.quote(str(folder))}/` and {restart}"
    file = shlex.quote(str(config.file))
    return f"`cat {shlex.quote(str(source))} | sudo tee -a {file} >/dev/null` and {restart}"
