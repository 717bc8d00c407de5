"""Tells when a bundle has changed on disk and nothing in it moves any more."""

from __future__ import annotations

import os
from pathlib import Path

Sight = tuple[object, ...] | None


class BundleWatch:
    """Compares the folders behind ``paths`` (links are followed) with what was last loaded."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._paths = paths
        self.note()

    def note(self) -> None:
        """What is there now is being loaded."""
        self._loaded = self._seen = self._look()

    def has_changed(self) -> bool:
        """Whether it is another than was loaded, and the same as at the look before this one."""
        before, self._seen = self._seen, self._look()
        return self._seen == before != self._loaded

    def _look(self) -> tuple[Sight, ...]:
        return tuple(_sight(path) for path in self._paths)


def _sight(path: Path) -> Sight:
    """Where the folder really is, and name, inode, size and time of each file; None: not there."""
    try:
        folder = os.path.realpath(path, strict=True)  # pathlib's raises RuntimeError on a loop
        files = [(file.name, file.stat(follow_symlinks=False)) for file in os.scandir(folder)]
    except OSError:
        return None
    return (folder, *sorted((name, s.st_ino, s.st_size, s.st_mtime_ns) for name, s in files))
