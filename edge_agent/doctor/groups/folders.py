"""The two folders that the agent writes. Checks of the group install."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from edge_agent.doctor.finding import Finding, error, ok, warning
from edge_agent.doctor.machine import User, existing, mount_of, users
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.unit import runtime_dir, service_unit, state_dir

IN_RAM = {"tmpfs", "ramfs"}


def state(patient: Patient) -> Finding:
    """Where the name of our session with the broker is kept."""
    return _writable(patient, "state_dir", state_dir(patient))


def runtime(patient: Patient) -> Finding:
    """Where crash counts are kept; they are written with every batch, so it must be RAM."""
    found = _writable(patient, "runtime_dir", runtime_dir(patient))
    mount = mount_of(patient, runtime_dir(patient))
    if mount is None or mount.kind in IN_RAM or found.fix:
        return found
    return warning(
        f"{runtime_dir(patient)} is on {mount.device}, not in RAM: it is written with every batch",
        f'set `runtime_dir = "/run/edge-agent"` below [paths] in {patient.config_file}',
    )


def _writable(patient: Patient, key: str, folder: Path) -> Finding:
    """By the mode bits when the agent runs as somebody else, else by asking the kernel."""
    there, name = existing(folder), folder
    agent = agent_user(patient)
    if not there.is_dir():
        return error(
            f"paths.{key}: {there} is not a folder",
            f"`sudo mv {shlex.quote(str(there))} {shlex.quote(f'{there}.old')}`",
        )
    if agent.may(there.stat(), 2 | 1) if agent else os.access(there, os.W_OK | os.X_OK):
        return ok(f"{name} can be written")
    who = agent.name if agent else "this user"
    if agent is None:
        fix = f"set `{key}` below [paths] in {patient.config_file} to a folder of yours"
    else:
        fix = f"`sudo install -d -m 0750 -o {who} -g {who} {shlex.quote(str(name))}`"
    return error(f"paths.{key}: {there} cannot be written by {who}", fix)


def agent_user(patient: Patient) -> User | None:
    """Whom the service runs as; None when the agent is ours to start."""
    unit = service_unit(patient)
    return users(patient).get(unit.last("User")) if unit else None
