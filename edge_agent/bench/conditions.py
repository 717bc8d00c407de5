"""Whether the machine was fit to be measured: what else ran on it, what slowed it down."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from edge_agent.doctor.examine import examine
from edge_agent.doctor.finding import Finding, Status, warning
from edge_agent.doctor.machine import running_agents
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.table import matching
from edge_agent.host import sensed

CLOCK_TICKS = 100
"""USER_HZ: the unit of /proc/stat, the same on every Linux of today."""
IDLE_FIELDS = (3, 4)
"""Of the line ``cpu``: idle, and waiting for a disk."""
COUNTED_FIELDS = 8
"""Up to ``steal``; what follows is counted in the others."""
BUSY_SHARE = 0.1
PHYSICAL = (
    "hardware.cpu",
    "hardware.throttled",
    "hardware.voltage",
    "hardware.temperature",
    "hardware.governor",
)
"""Checks of the doctor that say why a machine is slow."""

Notes = list[tuple[str, Finding]]
"""What makes the figures worse than they could be, by a word for it."""


@dataclass(frozen=True)
class ProcessorTime:
    """Seconds since boot, summed over the cores: passed, not idle, and ours among these."""

    passed_s: float
    busy_s: float
    own_s: float


def processor_time(patient: Patient) -> ProcessorTime:
    """As it is now."""
    first = (patient.read("/proc/stat") or "").partition("\n")[0].split()
    ticks = [int(word) for word in first[1 : 1 + COUNTED_FIELDS] if word.isdigit()]
    idle = sum(ticks[i] for i in IDLE_FIELDS if i < len(ticks))
    own = os.times()
    own_s = own.user + own.system + own.children_user + own.children_system
    return ProcessorTime(sum(ticks) / CLOCK_TICKS, (sum(ticks) - idle) / CLOCK_TICKS, own_s)


def others_share(before: ProcessorTime, after: ProcessorTime) -> float:
    """Share of all cores' time (0 to 1) that others used between two looks."""
    passed_s = after.passed_s - before.passed_s
    others_s = (after.busy_s - before.busy_s) - (after.own_s - before.own_s)
    return min(max(others_s / passed_s, 0.0), 1.0) if passed_s > 0 else 0.0


def what_machine(patient: Patient) -> str:
    """Board and processor, as far as the machine says."""
    checks = [*matching("hardware.board"), *matching("hardware.cpu")]
    found = [result.findings[0] for result in examine(checks, patient).results]
    return ", ".join(f.text for f in found if f.status.usable) or patient.platform.machine


def doubts(patient: Patient, share: float) -> Notes:
    """Why the figures are not the best of this machine; empty on a quiet, cool one."""
    return [*_company(patient, share), *_slowness(patient)]


def _company(patient: Patient, share: float) -> Iterator[tuple[str, Finding]]:
    """What else runs here."""
    if agents := running_agents(patient):
        text = f"the agent runs here (process {agents[0].pid}) and shares the machine"
        fix = (
            "measure in a quiet hour, or `sudo systemctl stop edge-agent` before "
            "and `sudo systemctl start edge-agent` after"
        )
        yield "agent", warning(text, fix)
    if share > BUSY_SHARE:
        text = f"other programs used {share:.0%} of the processor meanwhile"
        yield "busy", warning(text, "see which with `top`, stop what is not needed, measure again")


def _slowness(patient: Patient) -> Notes:
    """What the doctor finds of heat and power, and what the kernel does about it."""
    checks = [check for name in PHYSICAL for check in matching(name)]
    found = [
        (result.check.name, finding)
        for result in examine(checks, patient).results
        for finding in result.findings
        if finding.status in {Status.WARNING, Status.ERROR}
    ]
    if not found and sensed(patient.root).get("throttled"):
        text = "the kernel holds the processor back: too hot, or too little power"
        found.append(("throttled", warning(text, "give it air, a heat sink or a fan")))
    return found
