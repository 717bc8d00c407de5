"""The service as its unit files have it: found without systemd running, below any root."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_agent.doctor.patient import Patient
from edge_agent.state import default_runtime_dir, default_state_dir

SERVICE = "edge-agent.service"
PLACES = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""In systemd's order: the first that has the unit wins."""


@dataclass(frozen=True)
class Unit:
    """``settings`` are those of [Service], each with its values in order."""

    path: Path
    enabled: bool
    settings: dict[str, list[str]]

    def last(self, name: str) -> str:
        """The value in force of a setting that has one, empty when it is not set."""
        return self.settings.get(name, [""])[-1]


def service_unit(patient: Patient) -> Unit | None:
    """The agent's unit with its drop-ins, None when it is not installed as a service."""
    files = [patient.path(f"{place}/{SERVICE}") for place in PLACES]
    unit = next((file for file in files if file.exists() or file.is_symlink()), None)
    if unit is None:
        return None
    settings: dict[str, list[str]] = {}
    for file in (unit, *_drop_ins(patient)):
        _add(settings, patient.read(file) or "")
    links = patient.glob("/etc/systemd/system/*.wants/*")
    return Unit(unit, SERVICE in {link.name for link in links}, settings)


def setting_fix(patient: Patient, topic: str, settings: Mapping[str, str]) -> str:
    """A fix: a drop-in that comes after all others, and that no upgrade replaces."""
    lines = [f"{name}={value}" for name, value in settings.items()]
    text = "\\n".join(["[Service]", *lines, ""])
    file = patient.path(f"/etc/systemd/system/{SERVICE}.d/zz-{topic}.conf")
    return (
        f"`printf '{text}' | sudo install -Dm644 /dev/stdin {file}`, "
        f"`sudo systemctl daemon-reload`, then `sudo systemctl restart {SERVICE}`"
    )


def state_dir(patient: Patient) -> Path:
    """Where the agent keeps its state: as configured, as the service has it, or the user's."""
    config = patient.config
    return (
        config.paths.state_dir
        or (_folder_of_service(patient, "/var/lib", "StateDirectory") or default_state_dir())
        / config.client_id
    )


def runtime_dir(patient: Patient) -> Path:
    """Where the agent keeps its crash counts, found likewise."""
    config = patient.config
    return (
        config.paths.runtime_dir
        or (_folder_of_service(patient, "/run", "RuntimeDirectory") or default_runtime_dir())
        / config.client_id
    )


def _folder_of_service(patient: Patient, place: str, setting: str) -> Path | None:
    unit = service_unit(patient)
    name = unit.last(setting) if unit else ""
    return patient.path(f"{place}/{name}") if name else None


def _drop_ins(patient: Patient) -> list[Path]:
    """By file name, as systemd orders them; the first place that has a name wins."""
    found: dict[str, Path] = {}
    for place in PLACES:
        for file in patient.glob(f"{place}/{SERVICE}.d/*.conf"):
            found.setdefault(file.name, file)
    return [found[name] for name in sorted(found)]


def _add(settings: dict[str, list[str]], text: str) -> None:
    section = ""
    for line in text.splitlines():
        name, is_setting, value = line.strip().partition("=")
        if line.startswith("["):
            section = line.strip()
        elif section == "[Service]" and is_setting and not name.startswith(("#", ";")):
            settings[name] = [*settings.get(name, []), value] if value else []
    for name in [name for name, values in settings.items() if not values]:
        del settings[name]
