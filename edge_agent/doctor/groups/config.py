"""The configuration: whether it can be used, and whether it is the one in use."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import Finding, error, needs_root, ok, skipped, warning
from edge_agent.doctor.machine import agents_here, is_there
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.unit import service_unit, setting_fix
from edge_agent.errors import ConfigError
from edge_agent.settings import SAMPLE, Problem, problems_of, shipped

COMMON_HOST_NAMES = {
    "debian",
    "gateway",
    "jetson",
    "localhost",
    "nvidia-desktop",
    "raspberrypi",
    "raspbian",
    "tegra-ubuntu",
    "ubuntu",
}
"""Names that systems are delivered with: two gateways may well share one."""


def valid(patient: Patient) -> Iterator[Finding]:
    """Syntax, keys, values and topic loops: all problems at once, with their lines."""
    loaded = patient.loaded_config
    if not isinstance(loaded, ConfigError):
        yield ok(f"{patient.config_file} can be used")
    elif isinstance(loaded.__cause__, ValidationError):
        for problem in problems_of(loaded.__cause__):
            yield _explained(patient.config_file, problem)
    elif isinstance(loaded.__cause__, PermissionError):
        yield _closed(patient)
    elif not patient.config_file.is_file():
        yield _absent(patient)
    else:
        yield error(loaded.problem, loaded.fix)


def _closed(patient: Patient) -> Finding:
    """Nothing is wrong with it, as far as this user can tell."""
    text = f"this user may not read {patient.config_file}: the rest is examined with defaults"
    return replace(warning(text, "`sudo edge-agent doctor`"), wants_root=True)


def _absent(patient: Patient) -> Finding:
    file, sample = patient.config_file, shipped(SAMPLE)
    if sample and patient.config_path:
        return error(f"{file}: no such file", f"`cp {_quoted(sample, file)}`, then edit it")
    if sample and service_unit(patient):
        return error(
            f"{file}: no such file", f"`sudo install -Dm644 {_quoted(sample, file)}`, then edit it"
        )
    return error(f"{file}: no such file", "name yours: `edge-agent doctor --config FILE`")


def _quoted(*paths: Path) -> str:
    return shlex.join(map(str, paths))


def _explained(file: Path, problem: Problem) -> Finding:
    """With its line, and the edit that mends it."""
    line = line_of(file, problem.path)
    where = f"{file} line {line}" if line else f"{file}, environment or flags"
    text = f"{where}: {problem.text}"
    if line and problem.meant:
        return error(text, f"write `{problem.meant}` for `{problem.path[-1]}` in line {line}")
    if line and problem.unknown and len(problem.path) > 1:
        return error(text, f"delete line {line}")
    return error(text, f"edit {where}")


def line_of(file: Path, path: tuple[int | str, ...]) -> int | None:
    """The line of a key, or of its table's header; None when it is not written there."""
    names = [part for part in path if isinstance(part, str)]
    nth = next((part for part in path if isinstance(part, int)), 0)
    section, key = (names[0] if names else ""), (names[-1] if len(names) > 1 else None)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    begun, header = -1, None
    for number, line in enumerate(lines, 1):
        if line.startswith("["):
            own = line.strip("[] \t").partition(".")[0] == section
            begun += own and not line.startswith(f"[{section}.")
            header = header or (number if own and begun == nth else None)
            inside = own and begun == nth
        elif header and inside and key and line.partition("=")[0].strip() == key:
            return number
    return header if key is None else None


def modes(patient: Patient) -> Iterator[Finding]:
    """Who may read the password and write the configuration."""
    file = patient.config_file
    if is_there(file) and stat.S_IMODE(file.stat().st_mode) & 0o022:
        yield warning(f"others may write {file}", f"`sudo chmod go-w {_quoted(file)}`")
    password = patient.config.mqtt.password_file
    if password is None:
        yield ok(f"no password; only its owner writes {file.name}")
    elif "$" in str(password):
        yield _credential(patient, password.name)
    else:
        yield _password(password)


def _password(file: Path) -> Finding:
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except PermissionError:
        return needs_root(f"mqtt.password_file {file}")
    except OSError as problem:
        return error(
            f"mqtt.password_file {file}: {problem.strerror}",
            f"`sudo install -m 0600 /dev/stdin {_quoted(file)}`, then type the password and press "
            "Ctrl-D",
        )
    if mode & 0o007:
        return warning(
            f"everybody may read {file} ({mode:04o})", f"`sudo chmod o-rwx {_quoted(file)}`"
        )
    return ok(f"{file} is closed to others")


def _credential(patient: Patient, name: str) -> Finding:
    """A password that systemd hands to the service."""
    unit = service_unit(patient)
    loads = unit.settings.get("LoadCredential", []) if unit else []
    if unit is None:
        return skipped("the password is the service's credential, and there is no service")
    source = next((line.partition(":")[2] for line in loads if line.startswith(f"{name}:")), None)
    if source is None:
        return error(
            f"{unit.path} loads no credential {name}",
            setting_fix(patient, name, {"LoadCredential": f"{name}:/etc/edge-agent/{name}"}),
        )
    return _password(patient.path(source))


def client_id(patient: Patient) -> Finding:
    """A second gateway with our client id would throw us off the broker, and we it."""
    config = patient.config
    name = config.gateway.id
    if config.mqtt.client_id or name not in COMMON_HOST_NAMES:
        return ok(config.client_id)
    return warning(
        f"{config.client_id}: other gateways have the name {name} too",
        f'set `id = "{name}-1"` below [gateway] in {patient.config_file}',
    )


def running(patient: Patient) -> Finding:
    """Whether the agent that runs has read the configuration as it is now."""
    file = patient.config_file
    agents = agents_here(patient)
    if not agents or not is_there(file):
        return skipped("no agent runs with this configuration")
    started_s = min(agent.started_s for agent in agents)
    if file.stat().st_mtime <= started_s:
        return ok(f"process {agents[0].pid} has read it as it is now")
    return warning(
        f"{file} was changed after process {agents[0].pid} had read it",
        "`sudo systemctl restart edge-agent`",
    )


CHECKS = (
    Check(
        "config.valid", "syntax, keys, values, topic loops", valid, mends="edit the line it names"
    ),
    Check(
        "config.modes",
        "who may read the password, who may write the file",
        modes,
        mends="`chmod`, `install -m 0600`, or LoadCredential",
    ),
    Check(
        "config.client_id",
        "client id stable, and not a host name of many",
        client_id,
        mends="a gateway.id of its own",
    ),
    Check(
        "config.running",
        "whether the running agent has read it as it is now",
        running,
        mends="`systemctl restart edge-agent`",
    ),
)
