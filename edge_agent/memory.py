"""How much memory may still be taken, and giving back what is no longer needed."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge_agent.host import meminfo

M_ARENA_MAX = -8
"""mallopt(3)."""
CGROUPS = "sys/fs/cgroup"


def available_bytes(root: Path = Path("/")) -> int | None:
    """What the machine and every control group (v2) we are in leave us now; None: nobody says."""
    return min(_rooms(root, "MemAvailable"), default=None)


def attainable_bytes(root: Path = Path("/")) -> int | None:
    """What they leave us when no other program takes any; None: nobody says."""
    return min(_rooms(root, "MemTotal"), default=None)


def use_one_heap() -> None:
    """Before the first thread: what one thread frees, all may use.

    glibc gives threads heaps of their own; each reload would leave its holes in another one.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(M_ARENA_MAX, 1)


def give_back() -> None:
    """Hands free pages of the heap to the system, which glibc by itself does only at its end."""
    if malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        malloc_trim(0)


@dataclass
class Churn:
    """Gives back each time so many bytes have come and gone.

    Large payloads leave holes of their size under what stays; a flood of them would leave tens of
    megabytes resident. Giving back takes less than a millisecond.
    """

    every_bytes: int = 1 << 20
    _passed_bytes: int = 0

    def add(self, size_bytes: int) -> None:
        """So many more."""
        self._passed_bytes += size_bytes
        if self._passed_bytes >= self.every_bytes:
            self._passed_bytes = 0
            give_back()


def _rooms(root: Path, of_the_machine: str) -> Iterator[int]:
    machine = meminfo(root)
    if of_the_machine in machine:
        yield machine[of_the_machine]
    for group in _groups(root):
        limits = [int(text) for name in ("max", "high") if (text := _value(group, name)).isdigit()]
        used = _value(group, "current")
        if limits and used.isdigit():
            yield min(limits) - int(used) + _evictable_bytes(group)


def _groups(root: Path) -> Iterator[Path]:
    """Our control group and those around it."""
    for line in _lines(root / "proc/self/cgroup"):
        if line.startswith("0::/"):
            own = PurePosixPath(line.removeprefix("0::/"))
            for name in (own, *own.parents):
                yield root / CGROUPS / name


def _evictable_bytes(group: Path) -> int:
    """File pages that the kernel drops when memory runs short; they count as used."""
    for line in _lines(group / "memory.stat"):
        if line.startswith("inactive_file "):
            return int(line.split()[1])
    return 0


def _value(group: Path, name: str) -> str:
    return "".join(_lines(group / f"memory.{name}"))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
