"""The machine's power: throttling, voltage, power mode, graphics. Checks of the group hardware."""

from __future__ import annotations

from collections.abc import Iterator

from edge_agent import host
from edge_agent.doctor.finding import Finding, error, needs_root, ok, skipped, warning
from edge_agent.doctor.machine import is_jetson, is_raspberry_pi, rails, sensors, users
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.unit import service_unit

UNDER_VOLTAGE, CAPPED, SLOWED, SOFT_LIMIT = 1 << 0, 1 << 1, 1 << 2, 1 << 3
SINCE_BOOT = 16
"""Raspberry Pi firmware, ``vcgencmd get_throttled``: bits 0 to 3 are now, 16 to 19 since boot."""
HEAT_BITS = {
    CAPPED: "clock capped",
    SLOWED: "throttled",
    SOFT_LIMIT: "above the soft temperature limit",
}
JETSON_EVENTS = {
    "oc1": "under-voltage",
    "oc2": "average over-current",
    "oc3": "momentary over-current",
}
COOL_IT = "give it air, a heat sink or a fan, and the power supply its maker names"
SUPPLY = "use the power supply its maker names, with a short thick cable, and fewer USB devices"
GPU_DEVICES = ("/dev/nvhost-gpu", "/dev/nvgpu", "/dev/nvidia0", "/dev/nvmap")


def firmware_bits(patient: Patient) -> int | None:
    """What a Raspberry Pi's firmware says of its power; None when it does not."""
    bits = host.firmware_bits(patient.root)
    if bits is not None:
        return bits
    shown = patient.command("vcgencmd", "get_throttled")
    return host.hexadecimal(shown.text.strip().partition("throttled=")[2]) if shown else None


def throttled(patient: Patient) -> Finding:
    """Slowed down by a Raspberry Pi's firmware, now or since boot."""
    if not is_raspberry_pi(patient):
        return skipped("not a Raspberry Pi")
    bits = firmware_bits(patient)
    if bits is None:
        return _no_firmware(patient)
    now = [text for bit, text in HEAT_BITS.items() if bits & bit]
    before = [text for bit, text in HEAT_BITS.items() if bits >> SINCE_BOOT & bit]
    if now:
        return error(f"now: {', '.join(now)} ({bits:#x})", COOL_IT)
    if before:
        return warning(
            f"since boot: {', '.join(before)} ({bits:#x})",
            f"{COOL_IT}; `sudo reboot` clears the record",
        )
    return ok("never since boot")


def _no_firmware(patient: Patient) -> Finding:
    if patient.is_root:
        return skipped("the firmware cannot be asked: vcgencmd is not installed")
    return needs_root("what the firmware says (or a member of the group video)")


def voltage(patient: Patient) -> Iterator[Finding]:
    """Every source that the machine has: firmware, hwmon alarms, Jetson's event counters."""
    found = [*_pi_voltage(patient), *_alarms(patient), *_jetson_events(patient)]
    readings = tuple(f"{r.name} {r.volts:.2f} V, {r.watts:.1f} W" for r in rails(patient))
    if found:
        yield from found
    elif firmware_bits(patient) is not None or sensors(patient, "rpi_volt"):
        yield ok("no under-voltage since boot")
    elif sensors(patient, "soctherm_oc"):
        yield ok("no under-voltage or over-current since boot", *readings)
    elif readings:
        yield ok(", ".join(readings))
    else:
        yield skipped("no voltage sensor")


def _pi_voltage(patient: Patient) -> Iterator[Finding]:
    bits = firmware_bits(patient) or 0
    alarm = any(patient.number(s / "in0_lcrit_alarm") for s in sensors(patient, "rpi_volt"))
    if bits & UNDER_VOLTAGE or alarm:
        yield error("under-voltage now: memory and SD card may be damaged", SUPPLY)
    elif bits >> SINCE_BOOT & UNDER_VOLTAGE:
        yield warning(
            f"under-voltage since boot ({bits:#x})", f"{SUPPLY}; `sudo reboot` clears the record"
        )


def _alarms(patient: Patient) -> Iterator[Finding]:
    """INA3221 current monitors, such as those of a Jetson."""
    for sensor in sensors(patient, "ina3221"):
        for file in sorted(sensor.glob("curr*_crit_alarm")):
            if patient.number(file):
                label = file.name.replace("curr", "in").replace("_crit_alarm", "_label")
                rail = patient.read(sensor / label) or file.name
                yield error(f"{rail}: current above its critical limit", SUPPLY)


def _jetson_events(patient: Patient) -> Iterator[Finding]:
    for sensor in sensors(patient, "soctherm_oc"):
        for name, meaning in JETSON_EVENTS.items():
            if count := patient.number(sensor / f"{name}_event_cnt"):
                yield warning(
                    f"{meaning}: slowed down {count} times since boot",
                    f"{SUPPLY}, or a smaller power mode (`sudo nvpmodel -p --verbose` lists them); "
                    "`sudo reboot` clears the record",
                )


def cores(patient: Patient) -> Finding:
    """Cores that run against threads asked for; a Jetson's power mode switches cores off."""
    online = _count(patient.read("/sys/devices/system/cpu/online") or "")
    if not online:
        return skipped("the kernel does not say")
    present = _count(patient.read("/sys/devices/system/cpu/present") or "")
    text = f"{online} of {max(present, online)} run{_power_mode(patient)}"
    threads = patient.config.model.threads or 1
    if threads <= online:
        return ok(text)
    return warning(
        f"{text}, but model.threads is {threads}",
        f"set `threads = {online}` below [model] in {patient.config_file}",
    )


def _power_mode(patient: Patient) -> str:
    if not is_jetson(patient):
        return ""
    shown = patient.command("nvpmodel", "-q")
    _, found, mode = (shown.text if shown else "").partition("NV Power Mode: ")
    return f", power mode {mode.splitlines()[0]}" if found and mode else ""


def _count(ranges: str) -> int:
    """How many numbers ``0-3,6`` names."""
    spans = [part.split("-") for part in ranges.split(",") if part]
    return sum(int(span[-1]) - int(span[0]) + 1 for span in spans)


def gpu(patient: Patient) -> Finding:
    """Whether there is one, and whether the agent's user may open it."""
    device = next((patient.path(d) for d in GPU_DEVICES if patient.path(d).exists()), None)
    if device is None:
        return skipped("no NVIDIA device; the model runs on the processor")
    unit, name = service_unit(patient), device
    user = users(patient).get(unit.last("User")) if unit else None
    if user is None or user.may(device.stat(), 4 | 2):
        return ok(f"{name} is there; this bundle runs on the processor")
    return ok(f"{name} is closed to {user.name}; this bundle runs on the processor, without it")
