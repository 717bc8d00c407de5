"""sha256 of files too large to be read at once."""

from __future__ import annotations

import hashlib
from pathlib import Path

PART_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """sha256 of the file, in hex."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(PART_BYTES):
            found.update(part)
    return found.hexdigest()
