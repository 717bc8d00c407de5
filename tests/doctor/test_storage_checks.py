"""Checks of the group storage."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.doctor.finding import Status
from edge_agent.doctor.groups import storage
from edge_agent.doctor.patient import Patient
from tests.support.machines import Room, again, assert_mended, finding

ERROR, WARNING, OK, SKIPPED = Status.ERROR, Status.WARNING, Status.OK, Status.SKIPPED


def room(patient: Patient, **changes: Any) -> None:
    patient.space = lambda _: Room(**changes)  # type: ignore[assignment, return-value]


@pytest.mark.parametrize(("blocks", "status"), [(100_000, OK), (60_000, WARNING), (4_000, ERROR)])
def test_little_room(pi5: Patient, blocks: int, status: Status) -> None:
    """Less than 256 MiB is a warning, less than 16 MiB an error; both say how to make room."""
    room(pi5, f_bavail=blocks)
    found = finding(pi5, "storage.space")
    assert found.status is status
    assert status is OK or "journalctl --vacuum-size" in (found.fix or "")


def test_a_small_file_system_with_room_is_well(pi5: Patient) -> None:
    """Half of a small one free is enough."""
    room(pi5, f_blocks=20_000, f_bavail=12_000)
    assert finding(pi5, "storage.space").status is OK


@pytest.mark.parametrize(("free", "status"), [(200_000, OK), (50_000, WARNING), (5_000, ERROR)])
def test_few_inodes(pi5: Patient, free: int, status: Status) -> None:
    """A disk with room, on which no file can be made."""
    room(pi5, f_favail=free)
    assert finding(pi5, "storage.inodes").status is status


def test_a_file_system_without_inodes(pi5: Patient) -> None:
    """btrfs has no limit."""
    room(pi5, f_files=0)
    assert finding(pi5, "storage.inodes").status is SKIPPED


def remount(patient: Patient, options: str) -> None:
    file = patient.path("/proc/mounts")
    file.write_text(file.read_text().replace("/ ext4 rw", f"/ ext4 {options}"))


def test_a_file_system_that_became_read_only(pi5: Patient) -> None:
    """The kernel's answer to a damaged card; mounted again it is well."""
    remount(pi5, "ro")
    found = finding(pi5, "storage.readonly")
    assert found.status is ERROR
    assert "`sudo mount -o remount,rw /`" in (found.fix or "")
    pi5.path("/proc/mounts").write_text("/dev/mmcblk0p2 / ext4 rw,noatime 0 0\n")
    assert finding(pi5, "storage.readonly").status is OK


def test_a_file_system_that_is_meant_to_be_read_only(pi5: Patient) -> None:
    """By /etc/fstab: then our folder is in the wrong place."""
    remount(pi5, "ro")
    pi5.path("/etc/fstab").write_text("/dev/mmcblk0p2 / ext4 ro,noatime 0 1\n")
    found = finding(pi5, "storage.readonly")
    assert found.status is WARNING
    assert "state_dir" in (found.fix or "")


def test_writing_leaves_nothing_behind(pi5: Patient) -> None:
    """The doctor changes nothing."""
    folder = pi5.path("/var/lib/edge-agent")
    before = sorted(folder.iterdir())
    assert finding(pi5, "storage.write").status is OK
    assert sorted(folder.iterdir()) == before


def test_slow_writes(pi5: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worn card."""
    monkeypatch.setattr(storage, "SLOW_WRITE_S", 0.0)
    found = finding(pi5, "storage.write")
    assert found.status is WARNING
    assert "replace" in (found.fix or "")


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A real file system without a free byte."""
    folder = tmp_path / "full"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    with pytest.raises(OSError, match="No space"):
        (folder / "filler").write_bytes(bytes(1 << 20))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(pi5: Patient, full: Path) -> None:
    """No room, and no write; with room it is well again."""
    text = pi5.config_file.read_text() + f'\n[paths]\nstate_dir = "{full}"\n'
    pi5.config_file.write_text(text)
    pi5.space = os.statvfs
    assert storage.space(pi5).__next__().status is ERROR
    found = finding(pi5, "storage.write")
    assert found.status is ERROR
    assert "No space left on device" in found.text
    (full / "filler").unlink()
    assert finding(again(pi5), "storage.write").status is OK


def test_a_journal_without_a_cap(pi5: Patient) -> None:
    """On a card of 29 GiB it may take a tenth; the edit caps it."""
    pi5.path("/etc/systemd/journald.conf").write_text("[Journal]\n#SystemMaxUse=\n")
    assert_mended(pi5, "storage.journal", WARNING, "journald may take 2.9 GiB")


def test_a_journal_in_memory(pi5: Patient) -> None:
    """Takes no disk."""
    (pi5.path("/var/log/journal") / ".keep").unlink()
    pi5.path("/var/log/journal").rmdir()
    assert "memory only" in finding(pi5, "storage.journal").text


def test_the_small_write_takes_time() -> None:
    """The clock is the real one: what is measured passed."""
    begun_s = time.monotonic()
    assert 0 < storage._timed_write(Path("/tmp")) <= time.monotonic() - begun_s
