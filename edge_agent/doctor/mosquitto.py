"""The configuration of a Mosquitto that runs on this machine (mosquitto.conf(5))."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from edge_agent.doctor.patient import Patient
from edge_agent.settings import shipped

DEFAULT_PORT = 1883
DEFAULT_FILE = "/etc/mosquitto/mosquitto.conf"
MAX_FILES = 100
SNIPPET = Path("config/mosquitto.d/edge-agent.conf")


@dataclass
class MosquittoConfig:
    """Settings by name, the last one counts; ``unreadable`` are files that could not be read."""

    file: Path
    settings: dict[str, str] = field(default_factory=dict)
    plugins: list[str] = field(default_factory=list)
    ports: set[int] = field(default_factory=set)
    include_dirs: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)

    @property
    def by_plugin(self) -> bool:
        """Whether a plugin of Mosquitto 2.1 keeps sessions and queues."""
        return any("persist_sqlite" in plugin for plugin in self.plugins)

    @property
    def keeps(self) -> bool:
        """Whether sessions and queues outlive a restart."""
        return self.by_plugin or self.flag("persistence")

    def flag(self, name: str) -> bool:
        """A boolean, false where it is not set."""
        return self.settings.get(name) in {"true", "1"}

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
    """The file, and those of its include_dir where it names it: what comes later counts."""
    config = MosquittoConfig(file)
    for name, value in _lines(patient, config, file):
        if name == "include_dir":
            folder = patient.path(value)
            config.include_dirs.append(folder)
            for included in sorted(folder.glob("*.conf"))[:MAX_FILES]:
                for line in _lines(patient, config, included):
                    _take(config, *line)
        else:
            _take(config, name, value)
    return config


def _lines(patient: Patient, config: MosquittoConfig, file: Path) -> Iterator[tuple[str, str]]:
    """Name and value of each line of one file."""
    text = patient.read(file)
    if text is None:
        config.unreadable.append(file)
    for line in (text or "").splitlines():
        name, _, value = line.strip().partition(" ")
        if name and not name.startswith("#"):
            yield name, value.strip()


def _take(config: MosquittoConfig, name: str, value: str) -> None:
    """Notes one line. An include_dir within an included file is nothing to Mosquitto either."""
    if name in {"listener", "port"}:
        port = value.partition(" ")[0]
        config.ports |= {int(port)} if port.isdigit() else set()
    elif name in {"plugin", "global_plugin"}:
        config.plugins.append(value)
    else:
        config.settings[name] = value


def _running(patient: Patient) -> list[Path]:
    """The configuration files named on the command lines of running Mosquittos."""
    found = []
    for comm in patient.glob("/proc/[0-9]*/comm"):
        if patient.read(comm) == "mosquitto":
            words = (patient.read(comm.with_name("cmdline")) or "").split("\0")
            pairs = pairwise(words)
            found += [patient.path(file) for option, file in pairs if option == "-c"]
    return found


def fix(config: MosquittoConfig, wanted: list[str]) -> str:
    """How to make these settings take effect: by our own file of settings where there is one.

    Not beside the plugin: the file turns snapshots on, and Mosquitto would refuse to start.
    """
    restart = "`sudo systemctl restart mosquitto`"
    source = shipped(SNIPPET)
    if source is None or config.by_plugin:
        lines = ", ".join(f"`{line}`" for line in wanted)
        return f"write into {config.file}: {lines}; then {restart}"
    if config.include_dirs:
        folder = config.include_dirs[0]
        return f"`sudo cp {shlex.quote(str(source))} {shlex.quote(str(folder))}/` and {restart}"
    file = shlex.quote(str(config.file))
    return f"`cat {shlex.quote(str(source))} | sudo tee -a {file} >/dev/null` and {restart}"
