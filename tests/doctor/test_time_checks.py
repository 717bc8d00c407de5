"""Checks of the group time."""

from __future__ import annotations

import pytest

from edge_agent.doctor.finding import Status
from edge_agent.doctor.patient import Patient
from edge_agent.surroundings import Clock
from tests.support.machines import NOW_S, finding

ERROR, WARNING, OK, SKIPPED = Status.ERROR, Status.WARNING, Status.OK, Status.SKIPPED
SHOW, STATUS = ".commands/timedatectl show", ".commands/timedatectl timesync-status"


def set_clock(patient: Patient, unix_s: float) -> None:
    patient.clock = Clock(lambda: 0.0, lambda: unix_s)


def test_a_clock_that_begins_in_1970(pi5: Patient) -> None:
    """No program runs before it was built; the right time mends it."""
    set_clock(pi5, 3600.0)
    found = finding(pi5, "time.plausible")
    assert found.status is ERROR
    assert "1970-01-01 01:00 UTC, before edge-agent was built (2026-01-31" in found.text
    assert "`sudo timedatectl set-ntp true`" in (found.fix or "")
    set_clock(pi5, NOW_S)
    assert finding(pi5, "time.plausible").status is OK


def test_a_clock_that_nothing_sets(pi4: Patient) -> None:
    """`set-ntp true` does; then a server must be reached."""
    found = finding(pi4, "time.synchronised")
    assert found.status is WARNING
    assert found.fix == "`sudo timedatectl set-ntp true`"
    file = pi4.path(SHOW)
    file.write_text(file.read_text().replace("NTP=no", "NTP=yes"))
    assert "has reached no server" in finding(pi4, "time.synchronised").text
    file.write_text(file.read_text().replace("NTPSynchronized=no", "NTPSynchronized=yes"))
    assert finding(pi4, "time.synchronised").status is OK


def test_without_timedatectl(vm: Patient) -> None:
    """Skipped: a container has none."""
    assert finding(vm, "time.synchronised").status is SKIPPED


@pytest.mark.parametrize(
    ("said", "text", "status"),
    [
        ("-412us", "-0.4 ms", OK),
        ("+3.2s", "+3200.0 ms", WARNING),
        ("-2min", "-120000.0 ms", WARNING),
    ],
)
def test_the_offset_of_timesyncd(pi5: Patient, said: str, text: str, status: Status) -> None:
    """In any of its units."""
    pi5.path(STATUS).write_text(f"       Offset: {said}\n")
    found = finding(pi5, "time.offset")
    assert (found.status, found.text) == (status, f"{text} from the time server")


def test_the_offset_of_chrony(vm: Patient) -> None:
    """Slow is minus."""
    assert finding(vm, "time.offset").text == "-0.1 ms from the time server"


def test_no_offset(pi4: Patient) -> None:
    """Nobody says."""
    assert finding(pi4, "time.offset").status is SKIPPED


def test_a_hardware_clock_that_is_wrong(pi5: Patient) -> None:
    """hwclock sets it from the system's."""
    rtc = pi5.path("/sys/class/rtc/rtc0/since_epoch")
    rtc.write_text(f"{NOW_S - 86400:.0f}\n")
    found = finding(pi5, "time.rtc")
    assert found.status is WARNING
    assert "-86400 s" in found.text
    assert "`sudo hwclock --systohc --utc`" in (found.fix or "")
    rtc.write_text(f"{NOW_S:.0f}\n")
    assert finding(pi5, "time.rtc").status is OK


def test_no_hardware_clock(pi4: Patient) -> None:
    """A Raspberry Pi 4 has none: it says what that means."""
    assert "after a power cut the time is wrong" in finding(pi4, "time.rtc").text
