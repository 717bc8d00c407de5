"""Where this machine says what power it takes. Reads only what the patient shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_agent.bench.energy import Meter, Reading, counted_j, integrated_j
from edge_agent.doctor.machine import Rail, board, is_raspberry_pi, rails
from edge_agent.doctor.patient import Patient

PMIC = ("vcgencmd", "pmic_read_adc")
PMIC_LINE = re.compile(r"(\w+)_([AV]) [^=\n]*=([\d.]+)[AV]")
WHOLE_INPUT = re.compile(r".*_IN$")
"""A Jetson's rail that feeds the others, such as ``VDD_IN``: what they take is in it."""
PART_OF_ANOTHER = {"NC", "VDDQ_VDD2_1V8AO"}
"""Rails of an AGX Orin: not connected, and fed by another one that is measured."""
RAPL = "/sys/class/powercap/intel-rapl:[0-9]*"


@dataclass(frozen=True)
class PowerMeter:
    """A sensor that says watts."""

    what: str
    sense: Callable[[], float | None]

    def read(self) -> tuple[float, ...] | None:
        """Watts now."""
        found = self.sense()
        return None if found is None else (found,)

    def joules(self, readings: Sequence[Reading]) -> float:
        """The integral."""
        return integrated_j(readings)


@dataclass(frozen=True)
class EnergyCounter:
    """Counters that say joules since some moment, and where each begins again."""

    what: str
    sense: Callable[[], tuple[float, ...] | None]
    wraps_at_j: tuple[float, ...]

    def read(self) -> tuple[float, ...] | None:
        """Joules of each counter."""
        return self.sense()

    def joules(self, readings: Sequence[Reading]) -> float:
        """The differences."""
        return counted_j(readings, self.wraps_at_j)


@dataclass(frozen=True)
class NoMeter:
    """Why energy is not measured."""

    why: str


def find_meter(patient: Patient) -> Meter | NoMeter:
    """The sensor of this machine that covers most."""
    if _input_rails(patient):
        names = ", ".join(rail.name for rail in _input_rails(patient))
        return PowerMeter(f"board, {names} (INA3221)", lambda: _board_w(patient))
    if is_raspberry_pi(patient):
        if _pmic_w(patient) is not None:
            what = "rails of the power chip (pmic_read_adc), without USB devices and losses"
            return PowerMeter(what, lambda: _pmic_w(patient))
        return NoMeter(_no_pmic(patient))
    return _rapl(patient)


def _input_rails(patient: Patient) -> list[Rail]:
    """Those that together feed the board, each watt in one of them only."""
    found = rails(patient)
    whole = [rail for rail in found if WHOLE_INPUT.match(rail.name)]
    return whole or [rail for rail in found if rail.name not in PART_OF_ANOTHER]


def _board_w(patient: Patient) -> float | None:
    found = _input_rails(patient)
    return sum(rail.watts for rail in found) if found else None


def _pmic_w(patient: Patient) -> float | None:
    """Watts of all rails whose volts and amperes are both given."""
    shown = patient.command(*PMIC)
    values = {(m[1], m[2]): float(m[3]) for m in PMIC_LINE.finditer(shown.text if shown else "")}
    powers = [
        amperes * values[name, "V"]
        for (name, unit), amperes in values.items()
        if unit == "A" and (name, "V") in values
    ]
    return sum(powers) if powers else None


def _no_pmic(patient: Patient) -> str:
    name = board(patient)
    if not name.startswith("Raspberry Pi 5"):
        return f"{name} has no sensor of its own power"
    if patient.is_root:
        return "vcgencmd says nothing: install it with apt-get install raspi-utils"
    return "vcgencmd says nothing to this user: run with sudo, or join the group video"


def _rapl(patient: Patient) -> Meter | NoMeter:
    """The processor packages of an x86 machine; AMD's are under the same name."""
    zones = [zone for zone in patient.glob(RAPL) if zone.name.count(":") == 1]
    if not zones:
        return NoMeter("this machine has no sensor of its power that we know")
    full = tuple((patient.number(zone / "max_energy_range_uj") or 0) / 1e6 for zone in zones)
    meter = EnergyCounter(
        "processor packages (RAPL), without memory and board",
        lambda: _counted(patient, zones),
        full,
    )
    if meter.read() is None:
        return NoMeter("only root can read the processor's counters (RAPL): run with sudo")
    return meter


def _counted(patient: Patient, zones: Sequence[Path]) -> tuple[float, ...] | None:
    counts = [patient.number(zone / "energy_uj") for zone in zones]
    return None if None in counts else tuple((count or 0) / 1e6 for count in counts)
