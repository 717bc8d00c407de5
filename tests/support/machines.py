"""Recorded machines for the doctor, and a hand that does literally what a fix says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from edge_agent.doctor.examine import examine
from edge_agent.doctor.finding import Finding, Status
from edge_agent.doctor.patient import Output, Patient, Platform
from edge_agent.doctor.table import matching
from edge_agent.surroundings import Clock

ROOT = Path(__file__).parents[2]
TREES = ROOT / "tests/trees"
NOW_S = 1772445600.0
"""2026-03-02 10:00 UTC."""
MODEL_RUN_S = 0.005
"""How far the clock of a machine goes on from one look to the next."""
AGENT_ID = 997
UNIT = "usr/lib/systemd/system/edge-agent.service"
WANTS = "etc/systemd/system/multi-user.target.wants/edge-agent.service"
DONE_BY_HAND = ("systemctl daemon-reload", "systemctl restart", "reboot", "edge-agent doctor")


@dataclass(frozen=True)
class Room:
    """What os.statvfs tells of a file system."""

    f_frsize: int = 4096
    f_blocks: int = 7_600_000
    f_bavail: int = 5_100_000
    f_files: int = 1_900_000
    f_favail: int = 1_700_000


def machine(name: str, folder: Path, **changes: Any) -> Patient:
    """A copy of a recorded machine, with the service installed as we ship it."""
    root = folder / name
    shutil.copytree(TREES / name, root)
    (root / UNIT).parent.mkdir(parents=True)
    shutil.copy(ROOT / "systemd/edge-agent.service", root / UNIT)
    (root / WANTS).parent.mkdir(parents=True)
    (root / WANTS).symlink_to(f"/{UNIT}")
    _own(root)
    arm = Platform("3.11.2", "x86_64" if name == "vm" else "aarch64", "glibc 2.36")
    given: dict[str, Any] = {
        "root": root,
        "commands": recorded(root),
        "clock": Clock(count(0.0, MODEL_RUN_S).__next__, lambda: NOW_S),
        "space": lambda _: Room(),
        "built_s": NOW_S - 30 * 86400,
        "platform": arm,
        "is_root": True,
    }
    return Patient(**{**given, **changes})


def recorded(root: Path) -> Any:
    """Commands of a machine: what each said is kept in a file that is called like it."""

    def commands(words: Sequence[str], _limit_s: float) -> Output | None:
        file = root / ".commands" / " ".join(words)
        return Output(0, file.read_text()) if file.is_file() else None

    return commands


def _own(root: Path) -> None:
    """The agent's folders belong to the agent's user: a real one's id where we may give nothing."""
    for folder in ("var/lib/edge-agent", "run/edge-agent"):
        (root / folder).chmod(0o750)
        if os.getuid() == 0:
            os.chown(root / folder, AGENT_ID, AGENT_ID)
    for name in ("etc/passwd", "etc/group"):
        if os.getuid() != 0:
            text = (root / name).read_text()
            text = text.replace("edge-agent:x:997:997", f"edge-agent:x:{os.getuid()}:{os.getgid()}")
            (root / name).write_text(text)


def findings(patient: Patient, check: str) -> list[Finding]:
    """What one check finds, run on its own."""
    (result,) = examine(matching(check), patient).results
    return list(result.findings)


def finding(patient: Patient, check: str) -> Finding:
    """The only finding of a check."""
    (one,) = findings(patient, check)
    return one


def again(patient: Patient) -> Patient:
    """The same machine, looked at anew: nothing is remembered."""
    fields = {name: getattr(patient, name) for name in Patient.__dataclass_fields__}
    return Patient(**fields)


def assert_mended(patient: Patient, check: str, status: Status, *said: str) -> None:
    """The check finds this; its fix, done to the letter, mends it."""
    broken = max(findings(patient, check), key=lambda f: f.status.urgency)
    assert broken.status is status, broken
    for words in said:
        assert words in broken.text
    follow(broken.fix or "", patient)
    mended = findings(again(patient), check)
    assert all(f.status in {Status.OK, Status.SKIPPED} for f in mended), mended


def follow(fix: str, patient: Patient) -> None:
    """Does what a fix says: its edits, then its commands."""
    edits = [
        (r"set `(\w+) ?= ?([^`]+)` below \[([\w.]+)\] in ([^ ,]+)", _set),
        (r"set `(\w+)` below \[(\w+)\] in ([^ ,]+) to a folder", _set_folder),
        (r"write `(\w+)` for `(\w+)` in line (\d+)", _rename),
        (r"delete line (\d+)", _delete),
    ]
    done = 0
    for pattern, edit in edits:
        for found in re.finditer(pattern, fix):
            edit(patient, *found.groups())
            done += 1
            fix = fix.replace(found[0], "")
    for command in re.findall(r"`([^`]+)`", fix):
        run(command.replace("sudo ", ""), patient)
        done += 1
    assert done, f"no edit and no command in {fix!r}"


def run(command: str, patient: Patient) -> None:
    """A command, on the recorded machine."""
    if command.startswith(DONE_BY_HAND):
        return
    command = command.replace("systemctl ", f"systemctl --root={patient.root} ")
    command = command.replace("systemd-sysusers", f"systemd-sysusers --root={patient.root}")
    for option in ("-o", "-g"):
        command = command.replace(f"{option} edge-agent", f"{option} {AGENT_ID}")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        input="a password\n",
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"


def _set(patient: Patient, key: str, value: str, section: str, file: str) -> None:
    lines = [line for line in Path(file).read_text().splitlines() if not _sets(line, key)]
    header = f"[{section}]"
    if header not in lines:
        lines += ["", header]
    equals = " = " if file.endswith(".toml") else "="
    lines.insert(lines.index(header) + 1, f"{key}{equals}{value}")
    Path(file).write_text("\n".join(lines) + "\n")


def _sets(line: str, key: str) -> bool:
    return line.partition("=")[0].strip() == key


def _set_folder(patient: Patient, key: str, section: str, file: str) -> None:
    folder = patient.root.parent / f"new-{key}"
    folder.mkdir()
    _set(patient, key, f'"{folder}"', section, file)


def _rename(patient: Patient, meant: str, written: str, line: str) -> None:
    lines = patient.config_file.read_text().splitlines()
    lines[int(line) - 1] = lines[int(line) - 1].replace(written, meant)
    patient.config_file.write_text("\n".join(lines) + "\n")


def _delete(patient: Patient, line: str) -> None:
    lines = patient.config_file.read_text().splitlines()
    del lines[int(line) - 1]
    patient.config_file.write_text("\n".join(lines) + "\n")
