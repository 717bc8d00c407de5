"""The clock: events bear its time, certificates depend on it. The group ``time``."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import Finding, error, ok, skipped, warning
from edge_agent.doctor.machine import properties
from edge_agent.doctor.patient import Patient

LARGE_OFFSET_S = 1.0
LARGE_RTC_OFFSET_S = 60
OFFSET = re.compile(r"Offset: ([+-]?[\d.]+)(us|ms|s|min|h|d)\b")
CHRONY_OFFSET = re.compile(r"System time\s*: ([\d.]+) seconds (slow|fast)")
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
TIMESYNCD = "/etc/systemd/timesyncd.conf"
SYNC_NOW = "`sudo timedatectl set-ntp true`"


def plausible(patient: Patient) -> Finding:
    """No clock shows a time before the program was built."""
    built_s, now_s = patient.built_s, patient.clock.unix()
    if now_s >= built_s - SECONDS["d"]:
        return ok(f"{_date(now_s)} UTC")
    return error(
        f"the clock says {_date(now_s)} UTC, before edge-agent was built ({_date(built_s)})",
        f"{SYNC_NOW}, or without a network `sudo date -u -s '{_date(built_s)}'` "
        "with the time of your watch",
    )


def _date(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, timezone.utc).strftime("%Y-%m-%d %H:%M")


def synchronised(patient: Patient) -> Finding:
    """Whether the kernel's clock follows a time server."""
    said = properties(patient, "timedatectl", "show")
    if "NTPSynchronized" not in said:
        return skipped("timedatectl does not answer")
    if said["NTPSynchronized"] == "yes":
        return ok("the clock follows a time server")
    if said.get("NTP") == "yes":
        return warning(
            "time synchronisation is on, but has reached no server",
            f"set `NTP=SERVER` below [Time] in {patient.path(TIMESYNCD)} to one in this network, "
            "then `sudo systemctl restart systemd-timesyncd`",
        )
    return warning("nothing sets the clock", SYNC_NOW)


def offset(patient: Patient) -> Finding:
    """How far the clock was from the time server at the last look."""
    found_s = _offset_s(patient)
    if found_s is None:
        return skipped("neither systemd-timesyncd nor chrony says")
    text = f"{found_s * 1000:+.1f} ms from the time server"
    if abs(found_s) < LARGE_OFFSET_S:
        return ok(text)
    return warning(text, "`sudo systemctl restart systemd-timesyncd`, or `sudo chronyc makestep`")


def _offset_s(patient: Patient) -> float | None:
    shown = patient.command("timedatectl", "timesync-status")
    if shown and (found := OFFSET.search(shown.text)):
        return float(found[1]) * SECONDS[found[2]]
    shown = patient.command("chronyc", "-n", "tracking")
    if shown and (found := CHRONY_OFFSET.search(shown.text)):
        return float(found[1]) * (-1 if found[2] == "slow" else 1)
    return None


def rtc(patient: Patient) -> Finding:
    """The clock that runs while the machine is off."""
    seconds = patient.number("/sys/class/rtc/rtc0/since_epoch")
    if seconds is None:
        return ok("none: after a power cut the time is wrong until a time server is reached")
    apart_s = seconds - patient.clock.unix()
    text = f"{apart_s:+.0f} s from the system's clock"
    if abs(apart_s) < LARGE_RTC_OFFSET_S:
        return ok(text)
    return warning(
        f"{text}: after a power cut the time would be wrong",
        "`sudo hwclock --systohc --utc`; if it is wrong again after a power cut, renew its battery",
    )


CHECKS = (
    Check(
        "time.plausible",
        "clock not before the build of edge-agent",
        plausible,
        mends="`timedatectl set-ntp true`, or `date -u -s`",
    ),
    Check(
        "time.synchronised",
        "whether the clock follows a time server",
        synchronised,
        mends="`timedatectl set-ntp true`; a server in reach",
    ),
    Check(
        "time.offset",
        "distance from the time server",
        offset,
        mends="restart systemd-timesyncd, or `chronyc makestep`",
    ),
    Check(
        "time.rtc",
        "the clock that runs while the machine is off",
        rtc,
        mends="`hwclock --systohc --utc`; its battery",
    ),
)
