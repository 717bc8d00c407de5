"""Runs checks. One that raises or takes too long is one more finding; none stops the others."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeGuard, TypeVar

from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import Finding, Status, error, needs_root, skipped, unused
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.report import Report, Result
from edge_agent.errors import AgentError
from edge_agent.leaving import CHECK

TOTAL_LIMIT_S = 9.5
"""With imports, drawing and the end of the last check, ten seconds."""
TOTAL_PROBE_LIMIT_S = 60.0
REPORT_IT = "report it with the output of `edge-agent doctor --json`"

Value = TypeVar("Value")


@dataclass(frozen=True)
class Attempt(Generic[Value]):
    """What some work gave, or what it raised."""

    value: Value | None = None
    raised: Exception | None = None


def attempt(work: Callable[[], Value]) -> Attempt[Value]:
    """Does the work, whatever it raises. The doctor must live to tell."""
    try:
        return Attempt(work())
    except Exception as raised:  # noqa: BLE001 - a bug in one check must not hide the others
        return Attempt(raised=raised)


def examine(checks: Iterable[Check], patient: Patient) -> Report:
    """Runs the checks in order, each within its limit and all within the total.

    One that may take all of the total comes after the others, so that it leaves none unexamined.
    """
    begun_s, shown = time.monotonic(), list(checks)
    total_s = TOTAL_PROBE_LIMIT_S if patient.probe else TOTAL_LIMIT_S
    end_s = begun_s + total_s
    results: dict[str, Result] = {}
    for check in sorted(shown, key=lambda one: one.time_limit_s >= total_s):
        started_s = time.monotonic()
        findings = _obstacle(check, patient, results) or _run(check, patient, end_s - started_s)
        results[check.id] = Result(check, findings, time.monotonic() - started_s)
    return Report(tuple(results[one.id] for one in shown), time.monotonic() - begun_s)


def _obstacle(check: Check, patient: Patient, results: dict[str, Result]) -> tuple[Finding, ...]:
    """Why the check cannot run; empty when it can."""
    if check.probe and not patient.probe:
        return (skipped("it sends messages to the broker: ask for it with --probe"),)
    if why := attempt(lambda: check.unless(patient)).value:
        return (unused(why),)
    for name in check.needs:
        if name in results and not results[name].usable:
            word = "was skipped" if results[name].status is Status.SKIPPED else "failed"
            return (skipped(f"because {name} {word}"),)
    return ()


def _run(check: Check, patient: Patient, left_s: float) -> tuple[Finding, ...]:
    """The check's findings, at least one. The work is abandoned when its time is over."""
    if left_s <= 0:
        return (replace(skipped("no time was left"), unfinished=True),)
    done: list[Attempt[tuple[Finding, ...]]] = []
    work = threading.Thread(
        target=lambda: done.append(attempt(lambda: _findings(check, patient))),
        name=CHECK,
        daemon=True,
    )
    work.start()
    limit_s = min(check.time_limit_s, left_s)
    work.join(limit_s)
    if not done:
        return (_overrun(check, limit_s),)
    return done[0].value or (_raised(check, patient, done[0].raised),)


def _findings(check: Check, patient: Patient) -> tuple[Finding, ...]:
    found = check.run(patient)
    return (found,) if isinstance(found, Finding) else tuple(found)


def _overrun(check: Check, limit_s: float) -> Finding:
    return error(
        f"it was not done after {limit_s:.1f} s",
        f"see what slows this machine with `top`, then `edge-agent doctor --only {check.id}`",
    )


def _raised(check: Check, patient: Patient, raised: Exception | None) -> Finding:
    closed = next((e for e in (raised, raised and raised.__cause__) if _is_closed(e)), None)
    if closed and not patient.is_root:
        return needs_root(str(closed.filename or "it"))
    if isinstance(raised, AgentError):
        return error(raised.problem, raised.fix, *_causes(raised))
    if raised is None:
        return Finding(Status.CRASHED, f"{check.id} found nothing to say", REPORT_IT)
    text = f"this check crashed: {type(raised).__name__}: {raised}"
    lines = "".join(traceback.format_exception(raised)).splitlines()
    return Finding(Status.CRASHED, text, REPORT_IT, tuple(lines))


def _is_closed(raised: BaseException | None) -> TypeGuard[PermissionError]:
    return isinstance(raised, PermissionError)


def _causes(raised: BaseException) -> list[str]:
    """The errors behind one, nearest first."""
    causes = []
    while cause := raised.__cause__:
        causes.append(f"caused by {type(cause).__name__}: {cause}")
        raised = cause
    return causes
