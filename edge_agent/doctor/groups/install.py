"""The installation: the program, its libraries, its user and its service."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from importlib import metadata

from edge_agent import __version__
from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import Finding, error, ok, skipped, warning
from edge_agent.doctor.groups import access, folders
from edge_agent.doctor.machine import group_names, properties, users
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.unit import SERVICE, service_unit, setting_fix
from edge_agent.errors import EXIT_SETUP

REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)\s*([^;]*)(?:;\s*(.*))?$")
BOUND = re.compile(r"(>=|<)\s*([\d.]+)")
WALLS = ("inference.session", "inference.encode", "transport.paho")
"""Our modules that import libraries with native code: importing them shows whether these load."""
SHOWN = ("onnxruntime", "numpy", "tokenizers", "paho-mqtt")
ARCHITECTURES = {"x86_64", "aarch64"}
OLDEST_GLIBC = (2, 27)
INSTALL_AGAIN = "`sudo apt-get install --reinstall ./edge-agent_*.deb`"
NOT_A_SERVICE = "edge-agent is not installed as a service here"


def version(patient: Patient) -> Finding:
    """What runs, on what."""
    where = patient.platform
    text = f"edge-agent {__version__}, Python {where.python}, {where.machine}, {where.libc}"
    if where.machine not in ARCHITECTURES:
        return warning(
            f"{text}: onnxruntime has no build for this architecture",
            "install a 64-bit system: x86-64 or arm64",
        )
    kind, _, number = where.libc.partition(" ")
    if kind != "glibc" or _number(number) < OLDEST_GLIBC:
        return warning(
            f"{text}: onnxruntime needs glibc {'.'.join(map(str, OLDEST_GLIBC))} or newer",
            "upgrade the system: Debian 12, Ubuntu 22.04, JetPack 6 or newer",
        )
    return ok(text)


def dependencies(_patient: Patient) -> Iterator[Finding]:
    """The libraries in the versions that we ask for, and whether they load."""
    wrong = [problem for line in _required() if (problem := _unmet(line))]
    for text, requirement in wrong:
        yield error(text, _install(f"'{requirement}'"))
    if not wrong:
        yield from _loadable()


def _required() -> list[str]:
    try:
        return [line for line in metadata.requires("edge-agent") or [] if "extra" not in line]
    except metadata.PackageNotFoundError:
        return []


def _unmet(requirement: str) -> tuple[str, str] | None:
    """What is wrong with a library, and the requirement without its marker."""
    found = REQUIREMENT.match(requirement)
    if found is None or _for_another_python(found[3] or ""):
        return None
    name, bounds = found[1], found[2].strip()
    try:
        installed = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is not installed", f"{name}{bounds}"
    for sign, bound in BOUND.findall(bounds):
        if (_number(installed) >= _number(bound)) != (sign == ">="):
            return f"{name} {installed} is installed, {sign}{bound} is needed", f"{name}{bounds}"
    return None


def _for_another_python(marker: str) -> bool:
    found = re.search(r"python_version\s*<\s*['\"]([\d.]+)['\"]", marker)
    return found is not None and sys.version_info >= _number(found[1])


def _number(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _loadable() -> Iterator[Finding]:
    walls = (f"edge_agent.{wall}" for wall in WALLS)
    problems = [problem for wall in walls if (problem := _import_problem(wall))]
    for problem in problems:
        yield error(
            f"a library does not load: {problem}",
            _install("--force-reinstall edge-agent"),
        )
    if not problems:
        yield ok(", ".join(f"{name} {metadata.version(name)}" for name in SHOWN))


def _install(what: str) -> str:
    """The Debian package has no pip: its libraries come and go with it."""
    if _import_problem("pip"):
        return f"{INSTALL_AGAIN}, in the folder of that file"
    return f"`{sys.executable} -m pip install {what}`"


def _import_problem(module: str) -> str:
    try:
        importlib.import_module(module)
    except (ImportError, OSError) as problem:
        return str(problem)
    return ""


def user(patient: Patient) -> Finding:
    """The user and group that the service runs as."""
    unit = service_unit(patient)
    if unit is None:
        return skipped(NOT_A_SERVICE)
    name = unit.last("User")
    group = unit.last("Group") or name
    if not name or name == "root":
        fix = setting_fix(patient, "user", {"User": "edge-agent"})
        return warning(f"{unit.path} runs the agent as root", fix)
    if name not in users(patient) or group not in group_names(patient):
        return error(f"{unit.path} wants user {name} of group {group}", "`sudo systemd-sysusers`")
    return ok(f"{name}, group {group}")


def enabled(patient: Patient) -> Finding:
    """Whether the service starts with the machine."""
    unit = service_unit(patient)
    if unit is None:
        return skipped(NOT_A_SERVICE)
    if unit.enabled:
        return ok(f"{unit.path} starts with the machine")
    return warning(
        f"{unit.path} does not start with the machine", f"`sudo systemctl enable {SERVICE}`"
    )


def watchdog(patient: Patient) -> Iterator[Finding]:
    """Whether systemd brings a dead or hanging agent back."""
    unit = service_unit(patient)
    if unit is None:
        yield skipped(NOT_A_SERVICE)
        return
    wanted = (
        (
            "Restart",
            unit.last("Restart") in {"on-failure", "always"},
            "on-failure",
            "after a crash",
        ),
        ("WatchdogSec", unit.last("WatchdogSec") not in {"", "0"}, "30", "when it hangs"),
        (
            "RestartPreventExitStatus",
            str(EXIT_SETUP) in unit.last("RestartPreventExitStatus").split(),
            str(EXIT_SETUP),
            "only where that can help",
        ),
    )
    missing = [w for w in wanted if not w[1]]
    for name, _, value, when in missing:
        yield warning(
            f"{unit.path}: {name} is not set, so systemd does not restart the agent {when}",
            setting_fix(patient, name.lower(), {name: value}),
        )
    if not missing:
        said = unit.last("WatchdogSec")
        span = f"{said} s" if said.isdecimal() else said
        yield ok(f"restarts after a crash, or {span} without a sign of life")


def restarts(patient: Patient) -> Finding:
    """How often systemd has had to start it again."""
    if service_unit(patient) is None:
        return skipped(NOT_A_SERVICE)
    said = properties(patient, "systemctl", "show", SERVICE, "--property=NRestarts,Result")
    if "NRestarts" not in said:
        return skipped("systemd does not answer")
    if said["NRestarts"] == "0" and said.get("Result", "success") == "success":
        return ok("none")
    return warning(
        f"{said['NRestarts']} restarts, last result: {said.get('Result', 'unknown')}",
        "read why with `journalctl -u edge-agent -p warning -n 50`; "
        "`sudo systemctl reset-failed edge-agent` counts anew",
    )


CHECKS = (
    Check(
        "install.version",
        "versions of edge-agent and Python, architecture, libc",
        version,
        mends="a 64-bit system with glibc",
    ),
    Check(
        "install.dependencies",
        "versions of the libraries, and whether they load",
        dependencies,
        mends="`pip install` of what it names; the Debian package again",
    ),
    Check("install.user", "user and group of the service", user, mends="`systemd-sysusers`"),
    Check(
        "install.state",
        "whether the agent may write paths.state_dir",
        folders.state,
        mends="`install -d -o edge-agent`",
    ),
    Check(
        "install.runtime",
        "whether paths.runtime_dir is writable, and in RAM",
        folders.runtime,
        mends="`install -d`, or a folder in RAM",
    ),
    Check(
        "install.access",
        "whether the service may read what it is given",
        access.access,
        mends="`bundle install`, or `install -g edge-agent` into /etc/edge-agent",
    ),
    Check(
        "install.enabled",
        "whether the service starts with the machine",
        enabled,
        mends="`systemctl enable edge-agent`",
    ),
    Check(
        "install.watchdog",
        "restart after a crash and by the watchdog",
        watchdog,
        mends="the setting in the unit",
    ),
    Check(
        "install.restarts",
        "how often systemd started the agent again",
        restarts,
        mends="what the journal says",
    ),
)
