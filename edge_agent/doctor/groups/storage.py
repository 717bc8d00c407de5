"""Storage: room, whether it can be written, how fast."""

from __future__ import annotations

import os
import shlex
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import Finding, error, needs_root, ok, skipped, warning
from edge_agent.doctor.machine import existing, mount_of, mounts, size
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.unit import state_dir

LOW_SPACE_BYTES, NO_SPACE_BYTES = 256 << 20, 16 << 20
LOW_INODES, NO_INODES = 0.05, 0.005
WRITES, WRITE_BYTES = 5, 4096
SLOW_WRITE_S = 0.5
FREE_SOME = (
    "see what is large with `sudo du -xhd1 / | sort -h`; "
    "`sudo journalctl --vacuum-size=50M` empties the journal"
)
JOURNALD = "/etc/systemd/journald.conf"
JOURNAL_SHARE, JOURNAL_MOST_BYTES = 0.1, 4 << 30
"""What journald takes when it is told nothing (journald.conf, SystemMaxUse)."""
LARGE_JOURNAL_BYTES, LARGE_JOURNAL_SHARE = 1 << 30, 0.05


def places(patient: Patient) -> list[Path]:
    """The folders that the agent lives in, one for each file system."""
    wanted = [state_dir(patient), patient.config_file.parent.absolute(), patient.path("/var/log")]
    found: dict[int, Path] = {}
    for path in (existing(folder) for folder in wanted):
        found.setdefault(path.stat().st_dev, path)
    return list(found.values())


def space(patient: Patient) -> Iterator[Finding]:
    """Bytes that are free for us."""
    for folder in places(patient):
        status = patient.space(folder)
        free, total = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
        text = f"{folder}: {size(free)} of {size(total)} free"
        if free < NO_SPACE_BYTES:
            yield error(text, FREE_SOME)
        elif free < LOW_SPACE_BYTES and free < total / 2:
            yield warning(text, FREE_SOME)
        else:
            yield ok(text)


def inodes(patient: Patient) -> Iterator[Finding]:
    """Files that can still be made."""
    fix = "see where the files are with `sudo du --inodes -xd2 / | sort -n | tail`, and delete some"
    for folder in places(patient):
        status = patient.space(folder)
        if not status.f_files:
            yield skipped(f"{folder}: a file system without a limit")
            continue
        share = status.f_favail / status.f_files
        text = f"{folder}: {share:.0%} of {status.f_files:,} free"
        if share < LOW_INODES:
            yield (error if share < NO_INODES else warning)(text, fix)
        else:
            yield ok(text)


def read_only(patient: Patient) -> Iterator[Finding]:
    """A kernel that meets a damaged file system mounts it read-only."""
    if not mounts(patient):
        yield skipped("/proc/mounts cannot be read")
        return
    meant = _meant_read_only(patient)
    for folder in places(patient):
        mount = mount_of(patient, folder)
        if mount is None or "ro" not in mount.options:
            yield ok(f"{mount.point if mount else folder} can be written")
        elif mount.point in meant:
            yield warning(
                f"{mount.point} is mounted read-only, as /etc/fstab says: {folder} is on it",
                f"move it: set `state_dir` below [paths] in {patient.config_file} "
                "to a folder that can be written",
            )
        else:
            yield error(
                f"{mount.point} ({mount.device}) is mounted read-only, often by a damaged card",
                "read `sudo dmesg -l err,warn`, save what you need, then "
                f"`sudo mount -o remount,rw {shlex.quote(mount.point)}`; if it happens again, "
                "replace the card",
            )


def _meant_read_only(patient: Patient) -> set[str]:
    rows = (line.split() for line in (patient.read("/etc/fstab") or "").splitlines())
    return {r[1] for r in rows if len(r) > 3 and r[0][0] != "#" and "ro" in r[3].split(",")}


def write(patient: Patient) -> Finding:
    """Small writes with fsync where our state is; removed again."""
    folder = existing(state_dir(patient))
    if not os.access(folder, os.W_OK):
        return needs_root(f"how fast {folder} writes")
    try:
        slowest_s = max(_timed_write(folder) for _ in range(WRITES))
    except OSError as failed:
        return error(f"{folder} cannot be written: {failed.strerror}", FREE_SOME)
    text = f"{folder}: slowest of {WRITES} small writes {slowest_s * 1000:.0f} ms"
    if slowest_s < SLOW_WRITE_S:
        return ok(text)
    return warning(
        text,
        "see who else writes with `sudo iotop -obn1`; if nobody does, the card is worn: replace it",
    )


def _timed_write(folder: Path) -> float:
    begun_s = time.monotonic()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(WRITE_BYTES))
        file.flush()
        os.fsync(file.fileno())
    return time.monotonic() - begun_s


def journal(patient: Patient) -> Finding:
    """How much of the disk the journal may take."""
    folder = patient.path("/var/log/journal")
    if not folder.is_dir():
        return ok("the journal is in memory only; it is gone after a reboot")
    said = _journal_cap(patient)
    if said:
        return ok(f"SystemMaxUse={said}")
    status = patient.space(folder)
    most = min(status.f_blocks * status.f_frsize * JOURNAL_SHARE, JOURNAL_MOST_BYTES)
    text = f"no cap is set: journald may take {size(most)}"
    if most < max(LARGE_JOURNAL_BYTES, LARGE_JOURNAL_SHARE * status.f_blocks * status.f_frsize):
        return ok(text)
    return warning(
        text,
        f"set `SystemMaxUse=200M` below [Journal] in {patient.path(JOURNALD)}, "
        "then `sudo systemctl restart systemd-journald`",
    )


def _journal_cap(patient: Patient) -> str:
    files = [patient.path(JOURNALD)]
    for place in ("/usr/lib", "/run", "/etc"):
        files += patient.glob(f"{place}/systemd/journald.conf.d/*.conf")
    lines = [line.strip() for file in files for line in (patient.read(file) or "").splitlines()]
    caps = [line.partition("=")[2] for line in lines if line.startswith("SystemMaxUse=")]
    return caps[-1] if caps else ""


CHECKS = (
    Check(
        "storage.space",
        "free space where the agent lives",
        space,
        mends="`journalctl --vacuum-size`, delete files",
    ),
    Check("storage.inodes", "files that can still be made there", inodes, mends="delete files"),
    Check(
        "storage.readonly",
        "whether the kernel mounted it read-only",
        read_only,
        mends="`mount -o remount,rw`; replace the card",
    ),
    Check("storage.write", "how long a small write takes", write, mends="replace the card"),
    Check(
        "storage.journal",
        "how much of the disk the journal may take",
        journal,
        mends="SystemMaxUse in journald.conf",
    ),
)
