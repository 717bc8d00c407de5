"""What makes figures worse than they could be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.bench.conditions import ProcessorTime, doubts, others_share, processor_time
from edge_agent.doctor.finding import Status
from edge_agent.doctor.patient import Patient
from tests.support.machines import machine

AGENT = "/usr/bin/python3\0/usr/bin/edge-agent\0run\0"


@pytest.fixture
def pi5(tmp_path: Path) -> Patient:
    return machine("pi5", tmp_path)


def names(patient: Patient, share: float = 0.0) -> list[str]:
    return [name for name, _ in doubts(patient, share)]


def test_a_quiet_cool_machine(pi5: Patient) -> None:
    """Nothing to say; a little work of others is always there."""
    assert names(pi5, 0.05) == []


def test_a_hot_and_badly_powered_one(tmp_path: Path) -> None:
    """What the doctor says of it, with its fix."""
    found = doubts(machine("pi4", tmp_path), 0.0)
    assert {"throttled", "voltage", "temperature"} <= {name for name, _ in found}
    assert all(finding.fix for _, finding in found)
    assert {finding.status for _, finding in found} <= {Status.WARNING, Status.ERROR}


def hold_back(patient: Patient) -> None:
    device = patient.root / "sys/class/thermal/cooling_device0"
    device.mkdir(parents=True)
    (device / "type").write_text("cpufreq-cpu0")
    (device / "cur_state").write_text("2")


def test_held_back_by_the_kernel(pi5: Patient, tmp_path: Path) -> None:
    """Said where only a cooling device says so; the doctor says it better."""
    hold_back(pi5)
    assert names(pi5) == ["throttled"]
    hot = machine("pi4", tmp_path)
    hold_back(hot)
    assert names(hot).count("throttled") == 1


def test_the_agent_runs(pi5: Patient) -> None:
    """It takes its share while we measure, and we take ours from it."""
    folder = pi5.root / "proc/4711"
    folder.mkdir()
    (folder / "cmdline").write_text(AGENT)
    (folder / "stat").write_text(f"4711 (edge-agent) S {'0 ' * 18}90000 0")
    ((name, finding),) = doubts(pi5, 0.0)
    assert (name, finding.status) == ("agent", Status.WARNING)
    assert "process 4711" in finding.text
    assert "`sudo systemctl stop edge-agent`" in (finding.fix or "")


def test_other_programs_at_work(pi5: Patient) -> None:
    """From a tenth of the processor on."""
    ((name, finding),) = doubts(pi5, 0.43)
    assert name == "busy"
    assert "43%" in finding.text


def test_a_hidden_processor(tmp_path: Path) -> None:
    """A virtual machine that could be several times faster says so."""
    assert "cpu" in names(machine("vm", tmp_path))


def test_processor_time_is_read_from_the_machine(pi5: Patient) -> None:
    """Idle and waiting for a disk are not busy; guests are counted in user already."""
    (pi5.root / "proc/stat").write_text("cpu  100 20 80 1000 50 5 5 40 100 0\ncpu0 1 1 1 1\n")
    found = processor_time(pi5)
    assert (found.passed_s, found.busy_s) == (13.0, 2.5)
    assert found.own_s > 0


@pytest.mark.parametrize(
    ("busy_s", "own_s", "share"), [(30, 10, 0.5), (10, 10, 0.0), (9, 10, 0.0), (90, 10, 1.0)]
)
def test_share_of_others(busy_s: float, own_s: float, share: float) -> None:
    """All that was busy but us; counters that tick at different moments make no nonsense of it."""
    before = ProcessorTime(100.0, 50.0, 5.0)
    after = ProcessorTime(140.0, 50.0 + busy_s, 5.0 + own_s)
    assert others_share(before, after) == share


def test_a_machine_that_counts_nothing() -> None:
    """No share is made up."""
    nothing = ProcessorTime(0.0, 0.0, 0.0)
    assert others_share(nothing, replace(nothing, own_s=3.0)) == 0.0
