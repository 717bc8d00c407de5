"""The few bytes that outlive a restart of the agent: which broker session we hold.

Written when a session begins or the filters change, never on the message path. Lost, it costs
nothing but this: copies of messages then in flight bear another id.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

SYSTEM_RUNTIME_DIR = Path("/run/edge-agent")
"""Where the unit's ``RuntimeDirectory`` lies."""


@dataclass(frozen=True)
class SessionState:
    """``name`` goes into every event id; ``filters`` are those the broker has for us."""

    name: str
    filters: tuple[str, ...]


def read_session(folder: Path) -> SessionState | None:
    """What was kept, or None when there is nothing readable."""
    try:
        kept = json.loads(_file(folder).read_text(encoding="utf-8"))
        return SessionState(str(kept["name"]), tuple(str(name) for name in kept["filters"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_session(folder: Path, state: SessionState) -> None:
    """Keeps it, atomically. OSError when the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / "session.json.new"
    with draft.open("w", encoding="utf-8") as file:
        json.dump(asdict(state), file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(_file(folder))


def default_state_dir() -> Path:
    """systemd's, else the user's (XDG base directory specification)."""
    if given := os.environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(base) / "edge-agent"


def default_runtime_dir() -> Path:
    """systemd's, else the user's, else shared memory: all of them RAM."""
    if given := os.environ.get("RUNTIME_DIRECTORY"):
        return Path(given.split(":")[0])
    if given := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(given) / "edge-agent"
    return Path("/dev/shm") / f"edge-agent-{os.getuid()}"  # noqa: S108 - our folder in it is made 0700


def _file(folder: Path) -> Path:
    return folder / "session.json"
