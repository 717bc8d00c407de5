"""How the machine and our process are: temperatures, throttling, memory, processor time.

Everything is read below ``root``, so that it can be a recorded tree. What a machine does not tell
is left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import hexdigits

from edge_agent.types import JsonObject

THERMAL = "sys/class/thermal"
FIRMWARE = "sys/devices/platform/*/*firmware/get_throttled"
FIRMWARE_NOW = 0xF
"""Raspberry Pi: under-voltage, capped, throttled, soft limit at this moment; above: ever."""
SLOWING = ("cpufreq", "devfreq", "thermal-cpufreq", "thermal-devfreq", "Processor", "cpu-", "gpu-")
"""Cooling devices that cool by working slower; the others are fans and the like."""
PLAUSIBLE_C = (-60.0, 200.0)


@dataclass
class Host:
    """See the module. The sensors are asked at most once in ``sensor_interval_s``."""

    root: Path = Path("/")
    sensor_interval_s: float = 60.0
    _sensed: JsonObject | None = None
    _sensed_s: float = 0.0

    def data(self, now_s: float) -> JsonObject:
        """For health. ``now_s`` is monotonic."""
        if self._sensed is None or now_s - self._sensed_s >= self.sensor_interval_s:
            self._sensed, self._sensed_s = sensed(self.root), now_s
        return {**process(self.root), **self._sensed}


def process(root: Path) -> JsonObject:
    """Resident memory in bytes and processor seconds of this process."""
    times = os.times()
    return {"rss_bytes": rss_bytes(root), "cpu_s": round(times.user + times.system, 2)}


def rss_bytes(root: Path = Path("/")) -> int:
    """Resident memory of this process. Pages are 4 KiB on most machines, 16 KiB on some."""
    pages = (_read(root / "proc/self/statm").split() or ["0", "0"])[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def meminfo(root: Path = Path("/")) -> dict[str, int]:
    """/proc/meminfo, in bytes; empty where it cannot be read."""
    lines = (line.split() for line in _read(root / "proc/meminfo").splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) > 1}


def sensed(root: Path) -> JsonObject:
    """``temperatures_c`` by zone, and ``throttled`` where the machine can tell."""
    found: JsonObject = {"temperatures_c": dict(_temperatures(root))}
    bits = firmware_bits(root)
    signs = [*([] if bits is None else [bool(bits & FIRMWARE_NOW)]), *_slowed(root)]
    if signs:
        found["throttled"] = any(signs)
    return found


def _temperatures(root: Path) -> Iterator[tuple[str, float]]:
    """Zones of one type are told apart by their number."""
    seen = set()
    for zone in sorted((root / THERMAL).glob("thermal_zone*"), key=_number):
        name, value = _read(zone / "type"), _read(zone / "temp")
        celsius = int(value) / 1000 if value.lstrip("-").isdigit() else None
        if celsius is None or not PLAUSIBLE_C[0] <= celsius <= PLAUSIBLE_C[1]:
            continue
        label = name or "zone"
        label = f"{label}-{_number(zone)}" if label in seen else label
        seen.add(label)
        yield label, round(celsius, 1)


def firmware_bits(root: Path) -> int | None:
    """What a Raspberry Pi's firmware says of heat and power; None where nothing is said."""
    found = (hexadecimal(_read(path)) for path in root.glob(FIRMWARE))
    return next((bits for bits in found if bits is not None), None)


def hexadecimal(text: str) -> int | None:
    """The number, with 0x or without; None when it is none."""
    digits = text.removeprefix("0x")
    return int(digits, 16) if digits and set(digits) <= set(hexdigits) else None


def _slowed(root: Path) -> Iterator[bool]:
    for device in (root / THERMAL).glob("cooling_device*"):
        state = _read(device / "cur_state")
        if _read(device / "type").startswith(SLOWING) and state.isdigit():
            yield int(state) > 0


def _number(zone: Path) -> int:
    digits = "".join(c for c in zone.name if c.isdigit())
    return int(digits or 0)


def _read(path: Path) -> str:
    """Empty when it cannot be read: sensors that sleep answer with an error."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
