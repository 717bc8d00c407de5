"""The machine as /sys tells it, from trees written as the kernel writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_agent.host import Host, sensed

ZONE = "sys/class/thermal/thermal_zone{}/{}"
DEVICE = "sys/class/thermal/cooling_device{}/{}"
FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def zone(number: int, kind: str, temp: str) -> dict[str, str]:
    return {ZONE.format(number, "type"): kind, ZONE.format(number, "temp"): temp}


def device(number: int, kind: str, state: str) -> dict[str, str]:
    return {DEVICE.format(number, "type"): kind, DEVICE.format(number, "cur_state"): state}


def test_temperatures_by_zone(tmp_path: Path) -> None:
    """In degrees; equal names told apart; sensors that sleep or make no sense left out."""
    zones = (
        zone(0, "cpu-thermal", "61234") | zone(1, "acpitz", "27800") | zone(10, "acpitz", "-500")
    )
    zones |= zone(2, "gpu-thermal", "") | zone(3, "broken", "-256000") | zone(4, "odd", "n/a")
    found = sensed(write(tmp_path, **zones))
    assert found == {"temperatures_c": {"cpu-thermal": 61.2, "acpitz": 27.8, "acpitz-10": -0.5}}


def test_a_machine_without_sensors(tmp_path: Path) -> None:
    """A virtual machine: nothing is claimed."""
    assert sensed(tmp_path) == {"temperatures_c": {}}


@pytest.mark.parametrize(
    ("bits", "throttled"),
    [("0", False), ("50000", False), ("50005", True), ("0x8", True), ("deprecated", None)],
)
def test_raspberry_pi(tmp_path: Path, bits: str, throttled: bool | None) -> None:
    """Bits 0 to 3 are now, 16 to 19 were some time ago."""
    assert sensed(write(tmp_path, **{FIRMWARE: bits})).get("throttled") is throttled


@pytest.mark.parametrize(
    ("kind", "state", "throttled"),
    [
        ("cpufreq-cpu0", "0", False),
        ("thermal-cpufreq-0", "3", True),
        ("Processor", "1", True),
        ("cpu-throttle-alert", "1", True),
        ("pwm-fan", "2", None),
        ("intel_powerclamp", "-1", None),
    ],
)
def test_cooling_by_slowing(tmp_path: Path, kind: str, state: str, throttled: bool | None) -> None:
    """Whoever cools by working slower throttles; a fan does not."""
    assert sensed(write(tmp_path, **device(0, kind, state))).get("throttled") is throttled


def test_sensors_are_asked_once_an_interval(tmp_path: Path) -> None:
    """A sensor may take milliseconds; memory and processor time are always new."""
    write(tmp_path, **zone(0, "cpu", "40000"), **{"proc/self/statm": "900 250 1 1 0 1 0"})
    host = Host(tmp_path, sensor_interval_s=60)
    assert host.data(1000.0)["temperatures_c"] == {"cpu": 40.0}
    write(tmp_path, **zone(0, "cpu", "70000"), **{"proc/self/statm": "900 300 1 1 0 1 0"})
    later = host.data(1059.9)
    assert later["temperatures_c"] == {"cpu": 40.0}
    assert later["rss_bytes"] == 300 * os.sysconf("SC_PAGE_SIZE")
    assert host.data(1060.0)["temperatures_c"] == {"cpu": 70.0}


def test_this_machine() -> None:
    """The real thing: a process has memory and has used time."""
    data = Host().data(0.0)
    assert data["rss_bytes"] > 1 << 20
    assert data["cpu_s"] > 0
