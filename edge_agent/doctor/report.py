"""What an examination came to: for programs (JSON), and as an exit code."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from edge_agent import __version__
from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import Finding, Status
from edge_agent.errors import EXIT_SETUP

EXIT_ERRORS = 1
EXIT_DOCTOR_FAILED = 70
"""EX_SOFTWARE of sysexits.h: doctor itself, or one of its checks, crashed."""
CONFIG_CHECK = "config.valid"


@dataclass(frozen=True)
class Result:
    """One check and what it found."""

    check: Check
    findings: tuple[Finding, ...]
    took_s: float = 0.0

    @property
    def status(self) -> Status:
        """The most urgent of its findings."""
        return max((f.status for f in self.findings), key=lambda status: status.urgency)

    @property
    def usable(self) -> bool:
        """Whether checks that build on this one can run."""
        return self.status.usable or any(finding.unused for finding in self.findings)


@dataclass(frozen=True)
class Report:
    """All results, in the table's order."""

    results: tuple[Result, ...]
    took_s: float

    @property
    def counts(self) -> Counter[Status]:
        """How many checks ended how."""
        return Counter(result.status for result in self.results)

    def of(self, *statuses: Status) -> list[Result]:
        """The results with one of these."""
        return [result for result in self.results if result.status in statuses]

    def exit_code(self, *, strict: bool = False) -> int:
        """0 in order, 1 errors (strict: or warnings), 78 no usable configuration, 70 a crash."""
        failed = self.of(Status.ERROR, *([Status.WARNING] if strict else []))
        if any(r.check.id == CONFIG_CHECK and r.status is Status.ERROR for r in failed):
            return EXIT_SETUP
        if failed:
            return EXIT_ERRORS
        return EXIT_DOCTOR_FAILED if self.of(Status.CRASHED) else 0


def report_data(report: Report) -> dict[str, Any]:
    """The report as JSON values."""
    return {
        "version": __version__,
        "took_s": round(report.took_s, 3),
        "summary": {status.value: report.counts[status] for status in Status},
        "checks": [_result_data(result) for result in report.results],
    }


def _result_data(result: Result) -> dict[str, Any]:
    return {
        "id": result.check.id,
        "examines": result.check.examines,
        "status": result.status.value,
        "took_s": round(result.took_s, 3),
        "findings": [_finding_data(finding) for finding in result.findings],
    }


def _finding_data(finding: Finding) -> dict[str, Any]:
    return {
        "status": finding.status.value,
        "text": finding.text,
        "fix": finding.fix,
        "details": list(finding.details),
    }
