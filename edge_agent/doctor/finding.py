"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """How a finding is; the order is that of urgency."""

    SKIPPED = "skipped"
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    CRASHED = "crashed"

    @property
    def urgency(self) -> int:
        """0 for what can wait for ever."""
        return list(Status).index(self)

    @property
    def usable(self) -> bool:
        """Whether checks that build on this one can run."""
        return self in {Status.OK, Status.WARNING}


@dataclass(frozen=True)
class Finding:
    """``text`` names the thing; ``fix`` is a command or an edit; ``details`` is for --verbose.

    Commands in a fix stand between backticks. ``wants_root``: root would have found out more.
    ``unused``: there is nothing here to examine, which stops no other check. ``unfinished``: there
    was no time left to look.
    """

    status: Status
    text: str
    fix: str | None = None
    details: tuple[str, ...] = ()
    wants_root: bool = False
    unused: bool = False
    unfinished: bool = False


def ok(text: str, *details: str) -> Finding:
    """As it should be."""
    return Finding(Status.OK, text, details=details)


def warning(text: str, fix: str, *details: str) -> Finding:
    """It works, but not well, or not for long."""
    return Finding(Status.WARNING, text, fix, details)


def error(text: str, fix: str, *details: str) -> Finding:
    """It does not work until a person acts."""
    return Finding(Status.ERROR, text, fix, details)


def skipped(why: str, *details: str) -> Finding:
    """Not examined here, and why."""
    return Finding(Status.SKIPPED, why, details=details)


def unused(why: str) -> Finding:
    """Nothing to examine: the configuration makes no use of it."""
    return Finding(Status.SKIPPED, why, unused=True)


def needs_root(what: str) -> Finding:
    """Not examined because only root may look; ``what`` names what root would add."""
    return Finding(Status.SKIPPED, f"only root can see {what}", wants_root=True)
