"""Files of a bundle's folder: plain ones that lie inside it. Whatever else they are is refused."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from edge_agent.errors import BundleError

SHUT = (
    "say it again with sudo; the service reads a copy of its own: sudo edge-agent bundle install "
    "{path}, then set what it prints"
)
BROKEN = "copy the bundle again from where it came; `sudo dmesg` shows whether the disk is at fault"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what the disk refuses below into BundleError: to try again would change nothing."""
    try:
        yield
    except OSError as error:
        fix = SHUT if isinstance(error, PermissionError) else BROKEN
        raise BundleError(
            f"bundle {path}: cannot be read: {error.strerror} ({error.filename or path})",
            fix.format(path=shlex.quote(str(path))),
        ) from error


def read_plain(path: Path, name: str, limit_bytes: int) -> bytes:
    """At most ``limit_bytes + 1`` bytes of a plain file inside the bundle. Raises BundleError."""
    with plain_file(path, name).open("rb") as file:
        return file.read(limit_bytes + 1)


def plain_file(path: Path, name: str) -> Path:
    """A file of the bundle, if it lies inside and is no link or device. Raises BundleError."""
    parts = PurePosixPath(name).parts
    if (
        set("\\\0") & set(name)
        or not parts
        or name.startswith("/")
        or {"..", "."} & set(name.split("/"))
    ):
        raise BundleError(
            f"bundle {path}: file name {name!r} leads outside the bundle",
            "use a bundle from a source you trust; names in it are plain and relative",
        )
    current = path
    for part in parts:
        current = current / part
        _refuse_links(path, current, name)
    if not current.is_file():
        raise BundleError(
            f"bundle {path}: {name} is not a plain file",
            f"copy {name} again from where the bundle came",
        )
    return current


def _refuse_links(path: Path, current: Path, name: str) -> None:
    try:
        status = current.lstat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleError(
            f"bundle {path}: {name} is missing ({error.strerror})",
            f"copy {name} again from where the bundle came",
        ) from error
    hard_linked = stat.S_ISREG(status.st_mode) and status.st_nlink > 1
    if stat.S_ISLNK(status.st_mode) or hard_linked:
        link, copy = shlex.quote(str(current)), shlex.quote(f"{current}.copy")
        raise BundleError(
            f"bundle {path}: {name} is a link",
            f"replace it by a copy: `cp -rL {link} {copy} && rm {link} && mv {copy} {link}`",
        )
