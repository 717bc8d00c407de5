"""Energy: what sensors say, and what becomes of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge_agent.bench.energy import Energy, Reading, counted_j, integrated_j, watched, watts
from edge_agent.bench.sensors import NoMeter, PowerMeter, find_meter
from edge_agent.doctor.patient import Output, Patient
from tests.support.machines import machine

PMIC = """\
   3V7_WL_SW_A current(0)=0.10000000A
      3V3_SYS_A current(1)=0.20000000A
     VDD_CORE_A current(7)=2.50000000A
         HDMI_A current(23)=0.50000000A
   3V7_WL_SW_V volt(8)=3.70000000V
      3V3_SYS_V volt(9)=3.30000000V
     VDD_CORE_V volt(15)=0.80000000V
        EXT5V_V volt(24)=5.10000000V
         BATT_V volt(25)=0.00000000V
"""


def readings(*rows: tuple[float, ...]) -> list[Reading]:
    """The moment, then what was read."""
    return [Reading(at_s, tuple(values)) for at_s, *values in rows]


@pytest.mark.parametrize(
    ("rows", "joules"),
    [
        ([(0, 5), (2, 5), (10, 5)], 50),
        ([(0, 2), (1, 4), (3, 4)], 3 + 8),
        ([(0, 1, 2), (2, 3, 4)], 10),
        ([(7, 5)], 0),
    ],
)
def test_watts_are_integrated(rows: Sequence[tuple[float, ...]], joules: float) -> None:
    """Trapezoids between readings that need not be evenly spaced; sensors side by side add up."""
    assert integrated_j(readings(*rows)) == joules


def test_counters_begin_again() -> None:
    """What was used is the difference, also where a counter was full meanwhile."""
    rows = readings((0, 10, 95), (1, 30, 99), (2, 60, 4))
    assert counted_j(rows, (1000, 100)) == 20 + 4 + 30 + 5


def test_too_few_readings_give_no_power() -> None:
    """One reading says nothing of the time around it."""
    meter = PowerMeter("board", lambda: 5.0)
    assert watts(meter, readings((0, 5))) is None
    assert watts(meter, readings((1, 5), (1, 5))) is None
    assert watts(meter, readings((1, 4), (3, 6))) == 5


def test_idle_power_is_not_charged_to_messages() -> None:
    """2 W more than idle for 10 s, by 400 messages: 50 mJ each."""
    assert Energy(idle_w=3, work_w=5, messages=400, work_s=10).message_j == pytest.approx(0.05)


@dataclass
class Sensor:
    """Says 5 W; every third time nothing. ``enough`` is set once it has been asked for a while."""

    asked: int = 0
    enough: threading.Event = field(default_factory=threading.Event)

    def sense(self) -> float | None:
        self.asked += 1
        if self.asked >= 9:
            self.enough.set()
        return None if self.asked % 3 == 0 else 5.0


def test_the_sensor_is_read_while_work_is_done() -> None:
    """From its beginning to its end and no longer; what a sensor fails to say is left out."""
    sensor = Sensor()
    meter = PowerMeter("board", sensor.sense)
    times, before = iter(range(100_000)), set(threading.enumerate())
    found = watched(meter, lambda: _wait(sensor), lambda: float(next(times)), 0.0)
    asked = sensor.asked
    assert len(found) == asked - asked // 3
    assert {reading.values for reading in found} == {(5.0,)}
    assert set(threading.enumerate()) <= before
    assert sensor.asked == asked


def test_work_lies_between_two_readings() -> None:
    """However short it is and however seldom the sensor is read: counters then tell all of it."""
    now_s = 5.0

    def work() -> None:
        nonlocal now_s
        now_s = 7.0

    meter = PowerMeter("board", lambda: 2.0)
    found = watched(meter, work, lambda: now_s, 3600.0)
    assert [reading.at_s for reading in found] == [5.0, 7.0]
    assert watts(meter, found) == 2.0


def _wait(sensor: Sensor) -> None:
    assert sensor.enough.wait(60)


def test_a_raspberry_pi_5(tmp_path: Path) -> None:
    """The rails whose volts and amperes the power chip gives; its input has no amperes."""
    patient = machine("pi5", tmp_path)
    (patient.root / ".commands/vcgencmd pmic_read_adc").write_text(PMIC)
    meter = find_meter(patient)
    assert not isinstance(meter, NoMeter)
    assert "pmic_read_adc" in meter.what
    assert meter.read() == (pytest.approx(0.37 + 0.66 + 2.0),)


def test_a_raspberry_pi_without_a_sensor(tmp_path: Path) -> None:
    """Before the 5 there is none; on a 5 the firmware may be closed to this user."""
    old = find_meter(machine("pi4", tmp_path))
    assert old == NoMeter("Raspberry Pi 4 Model B Rev 1.4 has no sensor of its own power")
    closed = find_meter(machine("pi5", tmp_path, is_root=False))
    assert isinstance(closed, NoMeter)
    assert "run with sudo" in closed.why
    bare = find_meter(machine("pi5", tmp_path / "bare"))
    assert isinstance(bare, NoMeter)
    assert "apt-get install" in bare.why


def test_a_jetson(tmp_path: Path) -> None:
    """The rail that feeds the others, and not these again."""
    patient = machine("jetson", tmp_path)
    meter = find_meter(patient)
    assert not isinstance(meter, NoMeter)
    assert meter.what == "board, VDD_IN (INA3221)"
    assert meter.read() == (pytest.approx(4.984 * 1.144),)


def test_a_jetson_without_one_input_rail(tmp_path: Path) -> None:
    """An AGX Orin is fed by several: their sum, without what one of them feeds."""
    patient = machine("jetson", tmp_path)
    (sensor,) = (patient.root / "sys/class/hwmon").glob("*/in1_label")
    for channel, name in enumerate(("VDD_GPU_SOC", "VDDQ_VDD2_1V8AO", "VIN_SYS_5V0"), 1):
        sensor.with_name(f"in{channel}_label").write_text(name)
    meter = find_meter(patient)
    assert not isinstance(meter, NoMeter)
    assert meter.what == "board, VDD_GPU_SOC, VIN_SYS_5V0 (INA3221)"
    assert meter.read() == (pytest.approx(4.984 * 1.144 + 4.976 * 0.304),)


def rapl(root: Path, **files: str) -> Patient:
    """A machine with two packages, one of which has a part of its own."""
    for zone in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"):
        folder = root / "sys/class/powercap" / zone
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text)
    return Patient(root=root, commands=_nothing)


def _nothing(_words: Sequence[str], _limit_s: float) -> Output | None:
    return None


def test_an_x86_machine(tmp_path: Path) -> None:
    """The counters of its packages; their parts are in them."""
    patient = rapl(tmp_path, energy_uj="2500000\n", max_energy_range_uj="262143328850\n")
    meter = find_meter(patient)
    assert not isinstance(meter, NoMeter)
    assert meter.read() == (2.5, 2.5)
    assert meter.joules(readings((0, 262143, 1), (1, 1, 2))) == pytest.approx(2.32885)


def test_counters_that_only_root_may_read(tmp_path: Path) -> None:
    """As Linux has them since 2020: sudo is what helps."""
    meter = find_meter(rapl(tmp_path, max_energy_range_uj="262143328850"))
    assert isinstance(meter, NoMeter)
    assert "run with sudo" in meter.why


def test_a_machine_that_says_nothing(tmp_path: Path) -> None:
    """No sensor, and that is said."""
    meter = find_meter(machine("vm", tmp_path))
    assert meter == NoMeter("this machine has no sensor of its power that we know")
