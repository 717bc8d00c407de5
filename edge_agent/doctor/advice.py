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
    findings = [finding for result in report.results for finding in result.findings]
    left = dict.fromkeys(r.check.group for r in report.results if r.findings[0].unfinished)
    rest = f"what there was no time for: `{doctor} --only {' '.join(left)}`" if left else ""
    if bad := [r.check.id for r in report.of(Status.ERROR, Status.WARNING)]:
        only = f" --only {' '.join(bad)}" if len(bad) <= MAX_IDS else ""
        fixes = f"do the fixes above, then `{doctor}{only}`"
        return f"{fixes}; {rest}" if rest else fixes
    if rest:
        return rest
    if report.of(Status.CRASHED):
        return f"report the output of `{doctor} --json`"
    if any(finding.wants_root for finding in findings):
        return f"`sudo {doctor}` sees more"
    tried = f"`{doctor} --probe` tries the broker with real messages"
    return "nothing to mend" if patient.probe else tried
