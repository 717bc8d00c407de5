"""What a person does about a disk that refuses."""

from __future__ import annotations

import errno
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agent.errors import SetupError

FULL = "make room on it: df -h {folder}"
READ_ONLY = "make it writable: sudo mount -o remount,rw $(findmnt -no TARGET --target {folder})"
FORBIDDEN = "say it again with sudo, or choose another folder"
LINK = "a link may not stand there: sudo rm {place}, then say it again"
FIXES = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.EROFS: READ_ONLY,
    errno.EACCES: FORBIDDEN,
    errno.EPERM: FORBIDDEN,
    errno.ELOOP: LINK,
}
OTHER = "see what lies there: ls -ld {folder}"


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turns the disk's refusals below into SetupError."""
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        named = {"folder": shlex.quote(str(folder)), "place": shlex.quote(str(place))}
        fix = FIXES.get(error.errno or 0, OTHER).format(**named)
        raise SetupError(f"{place}: {error.strerror or error}", fix) from error
