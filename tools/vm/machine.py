"""Boots the machine with work on its second disk, and reads what came of it from its third."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from tools.errors import ToolError

HERE = Path(__file__).parent
LIMIT_S = 3600
"""A run takes some ten minutes on two idle cores."""
OUT_BYTES = 64 << 20
NEEDED = {
    "qemu-system-aarch64": "qemu-system-arm",
    "mmdebstrap": "mmdebstrap",
    "update-binfmts": "binfmt-support",
    "arch-test": "arch-test",
    "qemu-aarch64": "qemu-user-static",
    "mke2fs": "e2fsprogs",
    "dpkg-deb": "dpkg",
}


def cache() -> Path:
    """Where the root file system and the disk stay from one run to the next."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "edge-agent-vm"


def prepare() -> None:
    """Builds root file system and disk where they are missing or old."""
    if os.geteuid() != 0:
        raise ToolError("the machine's disk can only be made by root", "sudo make vm-test")
    found = {tool for tool in NEEDED if shutil.which(tool) or shutil.which(f"{tool}-static")}
    if missing := sorted(package for tool, package in NEEDED.items() if tool not in found):
        raise ToolError(
            f"missing: {', '.join(missing)}",
            f"sudo apt-get install --no-install-recommends {' '.join(missing)}",
        )
    for script in ("root.sh", "disk.sh"):
        done = subprocess.run([str(HERE / script), str(cache())], check=False)
        if done.returncode:
            raise ToolError(f"tools/vm/{script} failed", f"see above, then remove {cache()}")


def boot(cpu: str, work: Path, out: Path) -> None:
    """One run from power-on to power-off. The disk keeps nothing of it."""
    out.mkdir(parents=True, exist_ok=True)
    given, taken = out / "work.tar", out / "out.tar"
    with tarfile.open(given, "w", dereference=True) as archive:
        archive.add(work, ".")
    taken.write_bytes(b"")
    os.truncate(taken, OUT_BYTES)
    with (out / "console.log").open("wb") as console:
        try:
            subprocess.run(
                qemu(cpu, given, taken), stdout=console, stderr=console, timeout=LIMIT_S, check=True
            )
        except subprocess.SubprocessError as error:
            raise ToolError(f"the machine with {cpu}: {error}", f"see {out}/console.log") from error
    with tarfile.open(taken) as archive:
        archive.extractall(out, filter="data")
    given.unlink()
    taken.unlink()


def qemu(cpu: str, given: Path, taken: Path) -> list[str]:
    """No network: what it needs it is given. Its clock counts instructions and skips idle time, so
    that its time limits mean the same on a busy machine as on an idle one."""
    disk = "format=raw,if=virtio"
    return [
        *("qemu-system-aarch64", "-M", "virt", "-cpu", cpu, "-m", "2048"),
        *("-icount", "shift=0,sleep=off", "-rtc", "clock=vm"),
        *("-nographic", "-no-reboot", "-nic", "none"),
        *("-kernel", str(cache() / "kernel"), "-initrd", str(cache() / "initrd")),
        *("-append", "root=/dev/vda rw console=ttyAMA0 quiet"),
        *("-drive", f"file={cache() / 'disk.img'},snapshot=on,{disk}"),
        *("-drive", f"file={given},readonly=on,{disk}"),
        *("-drive", f"file={taken},{disk}"),
    ]
