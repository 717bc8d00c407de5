"""Facts about the machine, by its files and commands. Empty or None where it has none."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from edge_agent.doctor.patient import Patient
from edge_agent.host import meminfo
from edge_agent.settings import DEFAULT_CONFIG

CLOCK_TICKS = 100
"""USER_HZ: the unit of times in /proc/PID/stat, the same on every Linux of today."""


@dataclass(frozen=True)
class Mount:
    """A line of /proc/mounts."""

    device: str
    point: str
    kind: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class User:
    """A line of /etc/passwd, with the groups that name the user."""

    name: str
    uid: int
    gids: frozenset[int]

    def may(self, status: os.stat_result, want: int) -> bool:
        """Whether the mode bits allow it; ``want`` is 4 to read, 2 to write, 1 to enter."""
        if self.uid == 0:
            return True
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid in self.gids else 0
        return stat.S_IMODE(status.st_mode) >> shift & want == want


@dataclass(frozen=True)
class RunningAgent:
    """A process of ours. ``started_s`` is Unix time; ``folder`` is where it works."""

    pid: int
    started_s: float
    words: tuple[str, ...]
    folder: Path

    @property
    def config_file(self) -> Path | None:
        """What follows ``--config``; None: it runs with the usual one."""
        for word, after in pairwise((*self.words, "")):
            option, _, value = word.partition("=")
            if option == "--config":
                return self.folder / (value or after)
        return None


@dataclass(frozen=True)
class Rail:
    """What an INA3221 measures of one supply."""

    name: str
    volts: float
    watts: float


def board(patient: Patient) -> str:
    """What the maker calls it, such as ``Raspberry Pi 5 Model B Rev 1.0``."""
    tree = patient.read("/proc/device-tree/model")
    return tree or patient.read("/sys/class/dmi/id/product_name") or ""


def is_raspberry_pi(patient: Patient) -> bool:
    """By the name in the device tree."""
    return board(patient).startswith("Raspberry Pi")


def is_jetson(patient: Patient) -> bool:
    """By NVIDIA's release file."""
    return patient.path("/etc/nv_tegra_release").exists()


def sensors(patient: Patient, name: str) -> list[Path]:
    """The folders of the hwmon devices of a kind, such as ``ina3221``."""
    return [f.parent for f in patient.glob("/sys/class/hwmon/*/name") if patient.read(f) == name]


def rails(patient: Patient) -> list[Rail]:
    """Those of every INA3221, such as a Jetson's."""
    found = []
    for sensor in sensors(patient, "ina3221"):
        for label in sorted(sensor.glob("in[123]_label")):
            channel = label.name.removeprefix("in").removesuffix("_label")
            millivolts = patient.number(sensor / f"in{channel}_input")
            milliamperes = patient.number(sensor / f"curr{channel}_input")
            if millivolts is not None and milliamperes is not None:
                name, power_uw = patient.read(label) or label.name, millivolts * milliamperes
                found.append(Rail(name, millivolts / 1000, power_uw / 1e6))
    return found


def memory(patient: Patient) -> dict[str, int]:
    """/proc/meminfo, in bytes."""
    return meminfo(patient.root)


def counters(text: str | None) -> dict[str, int]:
    """Lines of a name and a number, as in /proc/vmstat and in cgroups."""
    lines = (line.split() for line in (text or "").splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


def properties(patient: Patient, *command: str) -> dict[str, str]:
    """The lines NAME=VALUE that a command shows, as systemd's do."""
    output = patient.command(*command)
    lines = output.text.splitlines() if output and output.code == 0 else []
    return dict(line.partition("=")[::2] for line in lines)


def mounts(patient: Patient) -> list[Mount]:
    """What is mounted, in order."""
    rows = (line.split() for line in (patient.read("/proc/mounts") or "").splitlines())
    return [Mount(r[0], _unescaped(r[1]), r[2], tuple(r[3].split(","))) for r in rows if len(r) > 3]


def mount_of(patient: Patient, path: Path) -> Mount | None:
    """The mount a path lies on; of several at one point the last one counts."""
    below_root = path.is_relative_to(patient.root)
    named = Path("/") / path.relative_to(patient.root) if below_root else path
    over = [m for m in mounts(patient) if Path(m.point) in (named, *named.parents)]
    return max(enumerate(over), key=lambda item: (len(item[1].point), item[0]))[1] if over else None


def users(patient: Patient) -> dict[str, User]:
    """Those of /etc/passwd."""
    found = {}
    for line in (patient.read("/etc/passwd") or "").splitlines():
        words = line.split(":")
        if len(words) > 3 and words[2].isdigit() and words[3].isdigit():
            gids = {int(words[3]), *(gid for gid, who in _groups(patient) if words[0] in who)}
            found[words[0]] = User(words[0], int(words[2]), frozenset(gids))
    return found


def group_names(patient: Patient) -> set[str]:
    """Those of /etc/group."""
    lines = (patient.read("/etc/group") or "").splitlines()
    return {line.partition(":")[0] for line in lines}


def running_agents(patient: Patient) -> list[RunningAgent]:
    """Processes that run ``edge-agent run``."""
    booted_s = counters(patient.read("/proc/stat")).get("btime", 0)
    found = []
    for file in patient.glob("/proc/[0-9]*/cmdline"):
        words = tuple((patient.read(file) or "").split("\0"))
        status = (patient.read(file.with_name("stat")) or "").rpartition(")")[2].split()
        if _is_agent(words) and len(status) > 19:
            started_s = booted_s + int(status[19]) / CLOCK_TICKS
            folder = _working_folder(file.with_name("cwd"))
            found.append(RunningAgent(int(file.parent.name), started_s, words, folder))
    return found


def agents_here(patient: Patient) -> list[RunningAgent]:
    """Those that run with the configuration in question."""
    usual, file = patient.path(str(DEFAULT_CONFIG)), patient.config_file.absolute()
    return [a for a in running_agents(patient) if (a.config_file or usual) == file]


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(p for p in (path, *path.parents) if is_there(p))


def is_there(path: Path) -> bool:
    """Whether this user can see it: no, where a folder above is closed."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def size(size_bytes: float) -> str:
    """A size for people."""
    if size_bytes >= 1 << 30:
        return f"{size_bytes / (1 << 30):.1f} GiB"
    return f"{size_bytes / (1 << 20):.0f} MiB"


def _is_agent(words: tuple[str, ...]) -> bool:
    names = {Path(word).name for word in words[:4]}
    return "run" in words[1:] and bool({"edge-agent", "edge_agent"} & names)


def _working_folder(link: Path) -> Path:
    """Of another user's process only root can see it: then ours."""
    try:
        return link.readlink()
    except OSError:
        return Path.cwd()


def _groups(patient: Patient) -> Iterator[tuple[int, set[str]]]:
    for line in (patient.read("/etc/group") or "").splitlines():
        words = line.split(":")
        if len(words) > 3 and words[2].isdigit():
            yield int(words[2]), set(words[3].split(","))


def _unescaped(point: str) -> str:
    return point.replace("\\040", " ")
