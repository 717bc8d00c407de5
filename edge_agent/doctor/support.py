"""The support bundle: what another person needs to understand a gateway, and nothing else.

Each part is made on its own; one that cannot be had is named in ``README.txt``, with the reason.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.config import ENV_PREFIX
from edge_agent.doctor.examine import attempt
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.redaction import config_data, scrub, scrub_log, scrub_unit, secrets_of
from edge_agent.doctor.report import Report, report_data
from edge_agent.doctor.unit import PLACES, SERVICE
from edge_agent.errors import AgentError, SetupError

FOLDER = "edge-agent-support"
JOURNAL_LINES, JOURNAL_LIMIT_S = 1000, 30.0
"""A journal of gigabytes on an SD card is slow to read, and is what a support bundle is for."""
MAX_PART_BYTES = 4 << 20
CLOSED_MODE = 0o600

HEAD = """Support bundle of edge-agent.

In it: what the doctor found, the configuration without user name, the service's unit without its
environment, the last lines of the journal, health and state as last published, the bundle's
manifest with its digests, and versions. Host names, topics and paths are in it.
Not in it: passwords, user names, keys, certificates, and any message or event.

"""


class NotToBeHad(Exception):
    """Why a part is missing."""


@dataclass
class Support:
    """The parts by file name, and what is missing."""

    parts: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def collect(patient: Patient, report: Report) -> Support:
    """All parts that can be had, without secrets and payloads."""
    support = Support()
    makers: dict[str, Callable[[], str]] = {
        "doctor.json": lambda: _json(report_data(report)),
        "configuration.json": lambda: _json(config_data(patient.config)),
        "environment.txt": _environment,
        "unit.txt": lambda: scrub_unit(_unit(patient)),
        "journal.txt": lambda: scrub_log(_journal(patient)),
        "health.json": lambda: _retained(patient, "health"),
        "state.json": lambda: _retained(patient, "state"),
        "bundle.json": lambda: _manifest(patient),
        "system.txt": lambda: _system(patient),
    }
    secrets = secrets_of(patient.config, patient.read(patient.config_file) or "")
    for name, make in makers.items():
        done = attempt(make)
        if done.value is None:
            support.missing[name] = scrub(_reason(done.raised), secrets)
        else:
            support.parts[name] = scrub(done.value, secrets)[:MAX_PART_BYTES]
    lines = [f"missing: {name}: {why}\n" for name, why in support.missing.items()]
    support.parts["README.txt"] = HEAD + "".join(lines)
    return support


def write(path: Path, support: Support, now_s: float) -> int:
    """Writes a .tar.gz that only its owner can read; its size in bytes. SetupError if it cannot."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in sorted(support.parts):
            content = support.parts[name].encode("utf-8", "replace")
            entry = tarfile.TarInfo(f"{FOLDER}/{name}")
            entry.size, entry.mtime, entry.mode = len(content), int(now_s), CLOSED_MODE
            archive.addfile(entry, io.BytesIO(content))
    try:
        path.touch(CLOSED_MODE, exist_ok=False)
        return _fill(path, packed.getvalue())
    except OSError as error:
        raise SetupError(
            f"support bundle {path}: {error.strerror}",
            "name another file with --out, in a folder that you may write",
        ) from error


def _fill(path: Path, content: bytes) -> int:
    """Half an archive would be of no use, and in the way of the next try."""
    try:
        return path.write_bytes(content)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _reason(raised: Exception | None) -> str:
    if isinstance(raised, AgentError):
        return raised.problem
    if isinstance(raised, NotToBeHad):
        return str(raised)
    return f"collecting it failed with {type(raised).__name__}"


def _environment() -> str:
    """Which settings come from variables; their values stand in the configuration."""
    names = sorted(name for name in os.environ if name.upper().startswith(ENV_PREFIX))
    return "".join(f"{name}\n" for name in names) or "no variable sets anything\n"


def _unit(patient: Patient) -> str:
    files = [
        file
        for place in PLACES
        for pattern in (SERVICE, f"{SERVICE}.d/*.conf")
        for file in patient.glob(f"{place}/{pattern}")
    ]
    if not files:
        raise NotToBeHad("edge-agent is not installed as a service here")
    return "".join(f"# {file}\n{patient.read(file)}\n\n" for file in files)


def _journal(patient: Patient) -> str:
    words = ("journalctl", "-u", SERVICE, "-n", str(JOURNAL_LINES), "-o", "short-iso", "--no-pager")
    output = patient.command(*words, limit_s=JOURNAL_LIMIT_S)
    if output is None:
        raise NotToBeHad("journalctl is not there, or took too long")
    if output.code != 0 or "not seeing messages from other users" in output.text:
        raise NotToBeHad("this user may not read it: try sudo")
    return "\n".join(output.text.splitlines()[-JOURNAL_LINES:])


def _retained(patient: Patient, kind: str) -> str:
    topic = f"{patient.config.prefix}/{kind}"
    delivery = patient.reception.retained.get(topic)
    if delivery is None:
        raise NotToBeHad(f"nothing on {topic}: never connected, or not for this user to read")
    return _json(json.loads(delivery.payload))


def _manifest(patient: Patient) -> str:
    text = patient.read(patient.bundle_path / "bundle.json")
    if text is None:
        raise NotToBeHad(f"{patient.bundle_path / 'bundle.json'} cannot be read")
    return text


def _system(patient: Patient) -> str:
    names = ("/proc/version", "/etc/os-release", "/proc/device-tree/model", "/proc/meminfo")
    found = ((name, patient.read(name)) for name in names)
    return "".join(f"# {name}\n{text}\n\n" for name, text in found if text)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
