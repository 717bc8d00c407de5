"""The machine: processor, memory, temperature, clock speed."""

from __future__ import annotations

from pathlib import Path

from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import Finding, ok, skipped, warning
from edge_agent.doctor.groups import power
from edge_agent.doctor.machine import board, counters, is_raspberry_pi, memory, size
from edge_agent.doctor.patient import Patient

LOW_MEMORY_BYTES = 128 << 20
BUSY_SWAP = 0.5
NEAR_LIMIT_MC = 5000
DEFAULT_LIMIT_MC = 85_000
PI_LIMIT_MC = 80_000
"""Where a Raspberry Pi's firmware begins to slow the processor down, unseen by the kernel."""
SLOW_GOVERNORS = {"powersave", "conservative"}
SELF_SCALING_DRIVERS = {"intel_pstate", "amd-pstate-epp"}
"""With these, ``powersave`` does scale up under load."""
ARM_PARTS = {
    "0xd03": "Cortex-A53",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd42": "Cortex-A78AE",
    "0xd0c": "Neoverse-N1",
}
FAST_PATHS = {
    "asimddp": "dotprod",
    "i8mm": "i8mm",
    "avx2": "AVX2",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX512-VNNI",
}
"""Processor features that INT4 arithmetic uses, by the kernel's names."""


def what_board(patient: Patient) -> Finding:
    """The maker's name of the machine."""
    return ok(board(patient)) if board(patient) else skipped("the machine does not say what it is")


def cpu(patient: Patient) -> Finding:
    """What INT4 arithmetic can use."""
    info = _cpu_info(patient)
    features = set(info.get("flags", info.get("Features", "")).split())
    if not features:
        return skipped("/proc/cpuinfo names no features")
    name = ARM_PARTS.get(info.get("CPU part", "")) or info.get("model name", "processor")
    if found := [FAST_PATHS[f] for f in FAST_PATHS if f in features]:
        return ok(f"{name}: {', '.join(found)}")
    if "hypervisor" in features:
        return warning(
            f"{name}: the virtual machine hides AVX2, INT4 arithmetic is several times slower",
            "give the virtual machine its host's processor: `-cpu host` of QEMU, "
            "`host-passthrough` of libvirt",
        )
    wanted = "dotprod" if "asimd" in features else "AVX2"
    return ok(f"{name}: no {wanted}, so INT4 arithmetic takes its slower path")


def _cpu_info(patient: Patient) -> dict[str, str]:
    """The first processor of /proc/cpuinfo."""
    first = (patient.read("/proc/cpuinfo") or "").split("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def ram(patient: Patient) -> Finding:
    """What is free for the model."""
    found = memory(patient)
    if "MemAvailable" not in found:
        return skipped("/proc/meminfo does not say")
    text = f"{size(found['MemAvailable'])} of {size(found.get('MemTotal', 0))} free"
    if found["MemAvailable"] >= LOW_MEMORY_BYTES:
        return ok(text)
    return warning(
        f"{text}; the agent wants {size(LOW_MEMORY_BYTES)}",
        "see what takes it with `ps -eo rss,comm --sort=-rss | head`, and stop what is not needed",
    )


def swap(patient: Patient) -> Finding:
    """Whether the machine lives on its swap."""
    found = memory(patient)
    total = found.get("SwapTotal", 0)
    if not total:
        return ok("none, so memory that runs out ends a process")
    used = total - found.get("SwapFree", 0)
    text = f"{size(used)} of {size(total)} used"
    if used < BUSY_SWAP * total:
        return ok(text)
    return warning(
        f"{text}: the machine has too little memory for what it runs",
        "see what takes it with `ps -eo rss,comm --sort=-rss | head`, and stop what is not needed",
    )


def oom(patient: Patient) -> Finding:
    """Processes that the kernel killed for want of memory since it booted."""
    killed = counters(patient.read("/proc/vmstat")).get("oom_kill")
    if killed is None:
        return skipped("this kernel does not count them")
    ours = _own_kills(patient)
    if not killed:
        return ok("no process killed for want of memory")
    whose = f", {ours} of them ours" if ours else ""
    return warning(
        f"{killed} killed for want of memory since boot{whose}",
        "see which with `journalctl -k -b -g 'Out of memory'`, give it less to do or more memory, "
        "then `sudo reboot` to count anew",
    )


def _own_kills(patient: Patient) -> int:
    group = "/sys/fs/cgroup/system.slice/edge-agent.service/memory.events"
    return counters(patient.read(group)).get("oom_kill", 0)


def temperature(patient: Patient) -> Finding:
    """The zone that is nearest to being slowed down."""
    found = [(temp - limit, zone, temp, limit) for zone, temp, limit in _zones(patient)]
    if not found:
        return skipped("no sensor that can be read")
    margin, zone, temp, limit = max(found)
    text = f"{zone} {temp / 1000:.0f} °C, slows down at {limit / 1000:.0f} °C"
    details = [f"{z}: {t / 1000:.1f} °C of {limit_mc / 1000:.0f} °C" for _, z, t, limit_mc in found]
    if margin < -NEAR_LIMIT_MC:
        return ok(text, *details)
    return warning(
        text,
        "give it air, a heat sink or a fan, and keep it out of the sun; "
        "then `edge-agent doctor --only hardware.temperature`",
        *details,
    )


def _zones(patient: Patient) -> list[tuple[str, int, int]]:
    """Name, temperature and the limit of each, in thousandths of a degree."""
    found = []
    for folder in patient.glob("/sys/class/thermal/thermal_zone*"):
        temp = patient.number(folder / "temp")
        if temp is not None:
            name = patient.read(folder / "type") or folder.name
            found.append((name, temp, _limit(patient, folder)))
    return found


def _limit(patient: Patient, zone: Path) -> int:
    """The first trip point at which the kernel, or a Raspberry Pi's firmware, slows down."""
    limits = [PI_LIMIT_MC] if is_raspberry_pi(patient) else []
    for kind in sorted(zone.glob("trip_point_*_type")):
        trip = patient.number(kind.with_name(kind.name.replace("_type", "_temp")))
        if patient.read(kind) in {"passive", "hot", "critical"} and trip and trip > 0:
            limits.append(trip)
    return min(limits, default=DEFAULT_LIMIT_MC)


def governor(patient: Patient) -> Finding:
    """Whether the processor speeds up when there is work."""
    pattern = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"
    found = {patient.read(f) or "unreadable": f for f in reversed(patient.glob(pattern))}
    if not found:
        return skipped("the processor's speed is not ours to set")
    drivers = {patient.read(f.with_name("scaling_driver")) for f in found.values()}
    slow = SLOW_GOVERNORS & set(found) if not drivers & SELF_SCALING_DRIVERS else set()
    if not slow:
        return ok(", ".join(sorted(found)))
    offered = (
        patient.read(next(iter(found.values())).with_name("scaling_available_governors")) or ""
    ).split()
    better = next((g for g in ("schedutil", "ondemand", "performance") if g in offered), "ondemand")
    return warning(
        f"{', '.join(sorted(slow))}: the processor stays slow under load",
        f"`echo {better} | sudo tee {patient.path(pattern)}`",
    )


CHECKS = (
    Check("hardware.board", "what machine it is", what_board),
    Check(
        "hardware.cpu",
        "processor features that INT4 arithmetic uses",
        cpu,
        mends="`-cpu host` for a virtual machine",
    ),
    Check(
        "hardware.cores",
        "cores that run, power mode of a Jetson",
        power.cores,
        mends="model.threads, at most the cores that run",
    ),
    Check("hardware.memory", "memory that is free", ram, mends="stop what is not needed"),
    Check(
        "hardware.swap", "whether the machine lives on swap", swap, mends="stop what is not needed"
    ),
    Check(
        "hardware.oom",
        "processes killed for want of memory",
        oom,
        mends="more memory, or less to do",
    ),
    Check(
        "hardware.temperature",
        "hottest sensor against its limit",
        temperature,
        mends="air, a heat sink, a fan",
    ),
    Check(
        "hardware.throttled",
        "slowed down by heat or power (Raspberry Pi)",
        power.throttled,
        mends="air; the right power supply",
    ),
    Check(
        "hardware.voltage",
        "under-voltage and over-current",
        power.voltage,
        mends="the right power supply and cable",
    ),
    Check(
        "hardware.governor",
        "whether the processor speeds up under load",
        governor,
        mends="`schedutil` or `ondemand`",
    ),
    Check("hardware.gpu", "graphics processor, and access to it", power.gpu),
)
