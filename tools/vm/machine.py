"""Boots a machine with work on its second disk, and reads what came of it from its third."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tools.cache import cache_folder
from tools.errors import ToolError
from tools.vm.process import carry_out

HERE = Path(__file__).parent
BUILD_LIMIT_S = LIMIT_S = 4 * 3600
"""Emulated, a run takes some ten minutes on an idle core, building a disk somewhat more."""
OUT_BYTES = 64 << 20
ARCHITECTURE, PROGRAM = "arm64", "qemu-system-aarch64"
NEEDED = {
    "mmdebstrap": "mmdebstrap",
    "update-binfmts": "binfmt-support",
    "arch-test": "arch-test",
    "qemu-aarch64": "qemu-user-static",
    PROGRAM: "qemu-system-arm",
    "mke2fs": "e2fsprogs",
    "dpkg-deb": "dpkg",
}
EMULATED = ("-icount", "shift=0,sleep=off", "-rtc", "clock=vm")
"""The clock counts instructions and skips idle time, so that time limits mean the same on a busy
machine as on an idle one."""


@dataclass(frozen=True)
class Machine:
    """One emulated core, and the board that it is found on."""

    core: str
    board: str

    @property
    def folder(self) -> Path:
        """Root file system, disk and kernel, some 5 GB; of all cores, kept for the next run."""
        return cache_folder("edge-agent-vm") / ARCHITECTURE

    @property
    def out(self) -> Path:
        """Where a run leaves its results."""
        return self.folder / self.core


MACHINES = {
    machine.core: machine
    for machine in (
        Machine("cortex-a76", "Raspberry Pi 5"),
        Machine("cortex-a72", "Raspberry Pi 4"),
    )
}


def prepare(machine: Machine) -> None:
    """Builds root file system and disk where they are missing or old."""
    if os.geteuid() != 0:
        raise ToolError("the machine's disk can only be made by root", "sudo make vm-test")
    missing = sorted(package for tool, package in NEEDED.items() if not is_here(tool))
    if missing:
        raise ToolError(
            f"missing: {', '.join(missing)}",
            f"sudo apt-get install --no-install-recommends {' '.join(missing)}",
        )
    script("root.sh", machine, ARCHITECTURE)
    script("disk.sh", machine)


def script(name: str, machine: Machine, *words: str) -> None:
    """One of the scripts beside this file, on the machine's folder."""
    try:
        carry_out([str(HERE / name), str(machine.folder), *words], BUILD_LIMIT_S)
    except subprocess.SubprocessError as error:
        fix = f"see above; if in doubt, rm -r {machine.folder}"
        raise ToolError(f"tools/vm/{name} failed: {error}", fix) from error


def is_here(tool: str) -> bool:
    """On PATH, or in root's part of it."""
    names = (tool, f"{tool}-static")
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return any(shutil.which(name, path=path) for name in names)


def boot(machine: Machine, work: Path) -> None:
    """One run from power-on to power-off. The disk keeps nothing of it."""
    shutil.rmtree(machine.out, ignore_errors=True)
    machine.out.mkdir()
    given, taken = machine.out / "work.tar", machine.out / "out.tar"
    with tarfile.open(given, "w") as archive:
        archive.add(work, ".")
    taken.write_bytes(b"")
    os.truncate(taken, OUT_BYTES)
    with (machine.out / "console.log").open("wb") as console:
        try:
            carry_out(qemu(machine, given, taken), LIMIT_S, console)
        except subprocess.SubprocessError as error:
            fix = f"see {machine.out}/console.log"
            raise ToolError(f"the machine {machine.core}: {error}", fix) from error
    with tarfile.open(taken) as archive:
        archive.extractall(machine.out, filter="data")
    given.unlink()
    taken.unlink()


def qemu(machine: Machine, given: Path, taken: Path) -> list[str]:
    """No network: what the machine needs it is given."""
    disk = "format=raw,if=virtio"
    return [
        *(PROGRAM, "-M", "virt", "-cpu", machine.core, *EMULATED, "-m", "2048"),
        *("-nographic", "-no-reboot", "-nic", "none"),
        *("-kernel", str(machine.folder / "kernel"), "-initrd", str(machine.folder / "initrd")),
        *("-append", "root=/dev/vda rw console=ttyAMA0 quiet"),
        *("-drive", f"file={machine.folder / 'disk.img'},snapshot=on,{disk}"),
        *("-drive", f"file={given},readonly=on,{disk}"),
        *("-drive", f"file={taken},{disk}"),
    ]
