"""Whether the service may read what the configuration names. A check of the group install.

Root can read everything and sees no difference: so this goes by the mode bits for the service's
user, and by what its unit hides from it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_agent.doctor.finding import Finding, error, ok, unused
from edge_agent.doctor.groups.folders import agent_user
from edge_agent.doctor.machine import User
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.unit import Unit, service_unit
from edge_agent.settings import DEFAULT_CONFIG

READ, ENTER = 4, 1
HIDING = {"ProtectHome": ("/home", "/root", "/run/user"), "PrivateTmp": ("/tmp", "/var/tmp")}  # noqa: S108
"""Folders that a service with this setting does not see, whatever their modes are."""
YES = {"yes", "true", "on", "1", "tmpfs", "disconnected"}
CONFIG = "--config"
OWN_FOLDER = "/etc/edge-agent"


@dataclass(frozen=True)
class Given:
    """A file or a bundle's folder that the agent reads; ``key`` is where it is named."""

    key: str
    path: Path
    is_secret: bool = False

    @property
    def is_bundle(self) -> bool:
        """A folder, and what lies in it."""
        return self.key.endswith("bundle")

    @property
    def is_plain(self) -> bool:
        """One file that everybody may read."""
        return not self.is_secret and not self.is_bundle


def access(patient: Patient) -> Iterator[Finding]:
    """Each file and folder on the way to what the agent reads."""
    unit, agent = service_unit(patient), agent_user(patient)
    if unit is None or agent is None:
        yield unused("the agent is not installed as a service")
    elif patient.config_file != patient.path(str(DEFAULT_CONFIG)):
        yield unused("the service has another configuration")
    else:
        given = [one for one in _given(patient) if _exists(one.path)]
        found = [shut for one in given if (shut := _looked_at(patient, unit, agent, one))]
        yield from found or [ok(f"{agent.name} may read all that the configuration names")]


def _given(patient: Patient) -> Iterator[Given]:
    """What the configuration names; what is not there is told elsewhere."""
    config, tls = patient.config, patient.config.mqtt.tls
    named = {
        "model.bundle": config.model.bundle,
        "challenger.bundle": config.challenger and config.challenger.bundle,
        **{f"specialists.{name}.bundle": one.bundle for name, one in config.specialists.items()},
        "model.public_key_file": config.model.public_key_file,
        "mqtt.tls.ca_file": tls and tls.ca_file,
        "mqtt.tls.cert_file": tls and tls.cert_file,
    }
    secret = {
        "mqtt.tls.key_file": tls and tls.key_file,
        "mqtt.password_file": config.mqtt.password_file,
    }
    yield Given(CONFIG, patient.config_file)
    yield from (Given(key, path) for key, path in named.items() if path)
    yield from (Given(key, path, is_secret=True) for key, path in secret.items() if path)


def _exists(path: Path) -> bool:
    """PermissionError where only root can tell."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _looked_at(patient: Patient, unit: Unit, agent: User, given: Given) -> Finding | None:
    """None when nothing stands in the way."""
    real = given.path.resolve()
    if hidden := _hidden(patient, unit, real):
        text = f"{given.key}: {unit.path} hides {hidden} from the service"
        return error(text, _copied(patient, given))
    way = ((path, _wanted(path, real)) for path in _way(patient, real))
    shut = next((path for path, want in way if not agent.may(path.stat(), want)), None)
    if shut is None:
        return None
    text = f"{given.key}: {agent.name} may not read {shut}"
    if given.key == CONFIG or (given.is_plain and shut == real):
        return error(text, f"`sudo chmod a+rX {shlex.quote(str(shut))}`")
    return error(text, _copied(patient, given))


def _way(patient: Patient, real: Path) -> Iterator[Path]:
    """The folders above, from the top; then the file, or the bundle's folder and all in it."""
    root = patient.root.resolve()
    inside = real.is_relative_to(root)
    yield from (p for p in reversed(real.parents) if not inside or p.is_relative_to(root))
    yield real
    if real.is_dir():
        yield from sorted(real.rglob("*"))


def _wanted(path: Path, real: Path) -> int:
    """The watch for new bundles lists the folder, too."""
    if not path.is_dir():
        return READ
    return READ | ENTER if path == real else ENTER


def _hidden(patient: Patient, unit: Unit, real: Path) -> str | None:
    """The folder that the unit hides, if the path lies in one."""
    root = patient.root.resolve()
    seen = Path("/") / real.relative_to(root) if real.is_relative_to(root) else real
    folders = (f for name, hidden in HIDING.items() if unit.last(name) in YES for f in hidden)
    return next((folder for folder in folders if seen.is_relative_to(folder)), None)


def _copied(patient: Patient, given: Given) -> str:
    """The fix: a copy where the service reads it."""
    table, _, key = given.key.rpartition(".")
    old, new = shlex.quote(str(given.path)), patient.path(f"{OWN_FOLDER}/{given.path.name}")
    if given.is_bundle:
        install = f"`sudo edge-agent bundle install {old}`"
        return f"{install}, then set `bundle` below [{table}] to what it prints"
    copy = f"`sudo install -D -m 0640 -g edge-agent {old} {shlex.quote(str(new))}`"
    return f'{copy}, then set `{key} = "{new}"` below [{table}] in {patient.config_file}'
