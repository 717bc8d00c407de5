"""The next sensible command after an examination."""

from __future__ import annotations

import shlex

from edge_agent.doctor.finding import Status
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.report import Report

MAX_IDS = 3


def next_command(report: Report, patient: Patient) -> str:
    """One line: what to do now, with a command to copy."""
    config = ["--config", str(patient.config_path)] if patient.config_path else []
    probe = ["--probe"] if patient.probe else []
    doctor = shlex.join(["edge-agent", "doctor", *config, *patient.flags, *probe])
    bad = [r.check.id for r in report.of(Status.ERROR, Status.WARNING)]
    if bad and len(bad) <= MAX_IDS:
        return f"do the fixes above, then `{doctor} --only {' '.join(bad)}`"
    if bad:
        return f"do the fixes above, then `{doctor}`"
    left = [r.check.group for r in report.results if any(f.unfinished for f in r.findings)]
    if left:
        return f"what there was no time for: `{doctor} --only {' '.join(dict.fromkeys(left))}`"
    if report.of(Status.CRASHED):
        return f"report the output of `{doctor} --json`"
    if any(f.wants_root for r in report.results for f in r.findings):
        return f"`sudo {doctor}` sees more"
    if not patient.probe:
        return f"`{doctor} --probe` tries the broker with real messages"
    return "nothing to mend"
