"""A gateway with a broker to reach: what the doctor finds there, and the edits it asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_agent.doctor.examine import examine
from edge_agent.doctor.finding import Finding, Status
from edge_agent.doctor.patient import Output, Patient
from edge_agent.doctor.report import Report
from edge_agent.doctor.table import matching, selected
from tests.support.agent_process import to_toml

LIMIT_S = 10.0


@dataclass
class Clinic:
    """One configuration file, written anew with every edit, and the machine it is for."""

    file: Path
    settings: dict[str, Any]
    patient: Patient

    @classmethod
    def open(cls, folder: Path, port: int, bundle: Path | None = None, **more: Any) -> Clinic:
        """For the broker on ``port`` of 127.0.0.1, as gateway ``t``; ``more`` are tables."""
        folder.mkdir(parents=True, exist_ok=True)
        settings: dict[str, Any] = {
            "gateway": {"id": "t"},
            "mqtt": {"host": "127.0.0.1", "port": port, **more.pop("mqtt", {})},
            "source": [{"filter": "site/#"}],
            "model": {"threads": 1, **({"bundle": str(bundle)} if bundle else {})},
            "paths": {name: str(folder / name) for name in ("state_dir", "runtime_dir")},
            **more,
        }
        clinic = cls(folder / "edge-agent.toml", settings, Patient())
        clinic.patient = Patient(clinic.file, commands=lambda *_: None)
        clinic.write()
        return clinic

    def write(self) -> None:
        """The settings as they are now."""
        tables = dict(self.settings)
        if (tls := tables["mqtt"].get("tls")) is not None:
            tables["mqtt"] = {k: v for k, v in tables["mqtt"].items() if k != "tls"}
            tables = {**tables, "mqtt.tls": tls}
        self.file.write_text(to_toml(tables))

    def examine(self, *only: str) -> Report:
        """What the doctor finds now; within its limit."""
        self.patient = replace(self.patient)
        report = examine(selected(only, []), self.patient)
        assert report.took_s < LIMIT_S, f"{report.took_s} s"
        return report

    def finding(self, check: str) -> Finding:
        """The most urgent finding of one check, run alone."""
        (result,) = self.examine(check).results
        return max(result.findings, key=lambda found: found.status.urgency)

    def require(self, check: str, status: Status, *words: str) -> Finding:
        """The finding, which has this status, and these words in its text."""
        found = self.finding(check)
        assert found.status is status, found
        for word in words:
            assert word in found.text, found
        return found

    def require_well(self, *checks: str) -> None:
        """Nothing to mend."""
        for check in checks:
            found = self.finding(check)
            assert found.status is Status.OK, found

    def follow(self, fix: str) -> None:
        """Does the first edit that a fix names with its value."""
        found = re.search(r"set `(\w+) = ([^`]+)` below \[([\w.]+)\] in ([^ ,:;]+)", fix)
        assert found, f"no edit in {fix!r}"
        key, value, table, file = found.groups()
        assert Path(file) == self.file
        self.choose(fix, table, key, value.strip('"') if '"' in value else int(value))

    def choose(self, fix: str, table: str, key: str, value: Any) -> None:
        """Does an edit whose value the fix leaves to the reader; it must name key and table."""
        for word in (f"`{key}", f"[{table}]", str(self.file)):
            assert word in fix, fix
        section = self.settings
        for name in table.split("."):
            section = section.setdefault(name, {})
        section[key] = value
        self.write()


def commands_in(fix: str) -> list[str]:
    """What a fix shows to copy, without ``sudo``."""
    return [command.replace("sudo ", "") for command in re.findall(r"`([^`]+)`", fix)]


def needed_by(check: str) -> tuple[str, ...]:
    """The ids of checks that must have gone well before."""
    (one,) = matching(check)
    return one.needs


def says(text: str, code: int = 0) -> Output:
    """What a command says."""
    return Output(code, text)
