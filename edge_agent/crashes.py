"""Which messages were in the model when the process crashed, and how often. Kept in RAM.

Before each run of the model the ids of its batch go into a memory-mapped file, which the kernel
keeps when the process dies; that costs no system call. The next start reads them, and counts
them only on evidence of a crash: a dump of Python's faulthandler (a fatal signal, and the abort
that systemd's watchdog sends), an exception noted here, or an out-of-memory kill since. A plain
``kill -9`` is nobody's fault and counts for nothing.
"""

from __future__ import annotations

import errno
import faulthandler
import json
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from edge_agent.errors import ConfigError

DEADLY_CRASHES = 2
ID_BYTES = 32
MAX_IDS = 1024
MAX_COUNTS = 1000
VMSTAT = Path("/proc/vmstat")


class CrashRecord:
    """See the module. ``folder`` should be on a RAM file system.

    Raises ConfigError when it cannot be used, OSError when a link stands where a file should.
    """

    def __init__(self, folder: Path) -> None:
        self._counts_file = folder / "crash-counts.json"
        dump = folder / "crash.txt"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._working = _map(folder / "working", MAX_IDS * ID_BYTES)
            evidence = _read(dump)
            self.counts = self._read_counts()
            self._last_oom_kills = _read(folder / "oom-kills")
            self._take_stock(evidence)
            _write(folder / "oom-kills", oom_kills())
            self._dump: TextIO = _emptied(dump)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise  # the folder is well: a link stands in it
            raise ConfigError(
                f"paths.runtime_dir {folder}: {error.strerror}",
                f"make {folder} writable for this user, or set paths.runtime_dir",
            ) from error
        self.evidence = evidence
        faulthandler.enable(self._dump)

    def is_suspect(self, message_id: str) -> bool:
        """Whether it was there at a crash; it should run alone."""
        return message_id in self.counts

    def is_poison(self, message_id: str) -> bool:
        """Whether it was there at two crashes; it should not run again."""
        return self.counts.get(message_id, 0) >= DEADLY_CRASHES

    def forgive(self, message_id: str) -> None:
        """It went through, or was dead-lettered: its count is over."""
        if self.counts.pop(message_id, None) is not None:
            self._write_counts()

    @contextmanager
    def working_on(self, message_ids: list[str]) -> Iterator[None]:
        """Notes the messages for as long as the body runs; an exception leaves them noted."""
        noted = "".join(message_ids[:MAX_IDS]).encode()
        self._working[: len(noted)] = noted
        try:
            yield
        except BaseException as error:
            self._dump.write(f"{type(error).__name__}: {error}\n")
            self._dump.flush()
            raise
        self._working[: len(noted)] = bytes(len(noted))

    def close(self) -> None:
        """A clean end."""
        faulthandler.disable()
        self._dump.close()
        self._working.close()

    def _take_stock(self, evidence: str) -> None:
        crashed = bool(evidence) or self._last_oom_kills not in {"", oom_kills()}
        noted = self._working[:].rstrip(b"\0").decode("ascii", "replace")
        self._working[:] = bytes(len(self._working))
        if crashed and noted:
            for start in range(0, len(noted), ID_BYTES):
                name = noted[start : start + ID_BYTES]
                self.counts[name] = self.counts.get(name, 0) + 1
            self._write_counts()

    def _read_counts(self) -> dict[str, int]:
        try:
            kept = json.loads(_read(self._counts_file) or "{}")
            return {str(name): int(count) for name, count in kept.items()}
        except (ValueError, AttributeError, TypeError):
            return {}

    def _write_counts(self) -> None:
        newest = dict(list(self.counts.items())[-MAX_COUNTS:])
        with suppress(OSError):  # a full disk ends no agent: this run remembers them all the same
            _write(self._counts_file, json.dumps(newest))


def oom_kills() -> str:
    """The kernel's count of out-of-memory kills since boot, empty where it has none."""
    lines = _read(VMSTAT).splitlines()
    return next((line.split()[1] for line in lines if line.startswith("oom_kill ")), "")


def _map(path: Path, size: int) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, size)
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


def _emptied(path: Path) -> TextIO:
    """For writing, and never through a link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o666), "w", encoding="utf-8")


def _write(path: Path, text: str) -> None:
    with _emptied(path) as file:
        file.write(text)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
