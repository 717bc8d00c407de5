"""The running agent as other processes see it: who it is, and what its last reload came to.

Kept in the runtime directory, in RAM. The process is known by a lock that the kernel drops when it
ends: the kernel names its holder, so there is no stale or forged process id to send a signal to.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
from pathlib import Path

from edge_agent.log import LOGGER
from edge_agent.types import JsonObject

FLOCK = "hhqqi0q"
"""struct flock of 64-bit Linux: type, whence, start, length, process id."""


class Presence:
    """Held by the agent from its start to its end. ``folder`` is the runtime directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._lock = os.open(_lock_file(folder), flags, 0o600)
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # another agent has the same folder: the signals are for that one
        _reload_file(folder).unlink(missing_ok=True)  # of another process, perhaps of another boot

    def tell(self, reload: JsonObject, began_s: float) -> None:
        """Leaves word of a reload that began at ``began_s`` of the machine's monotonic clock."""
        draft = self._folder / "reload.json.new"
        try:
            draft.write_text(json.dumps({"began_s": began_s, "reload": reload}), encoding="utf-8")
            draft.replace(_reload_file(self._folder))
        except OSError as error:
            LOGGER("edge_agent").warning("reload not told", problem=f"{draft}: {error.strerror}")

    def close(self) -> None:
        """Drops the lock."""
        os.close(self._lock)


def running_pid(folder: Path) -> int | None:
    """The process that has this runtime directory, None when there is none to be seen. OSError.

    A lock can be held by an open file instead of a process (-1), or from another PID namespace (0).
    To kill(2) both numbers mean many processes.
    """
    try:
        descriptor = os.open(_lock_file(folder), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    return pid if kind != fcntl.F_UNLCK and pid > 0 else None


def reload_since(folder: Path, moment_s: float) -> JsonObject | None:
    """What a reload that began after a moment of the monotonic clock came to, None until then."""
    try:
        kept = json.loads(_reload_file(folder).read_text(encoding="utf-8"))
        reload: JsonObject = kept["reload"]
        return reload if kept["began_s"] >= moment_s else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _lock_file(folder: Path) -> Path:
    return folder / "agent.lock"


def _reload_file(folder: Path) -> Path:
    return folder / "reload.json"
