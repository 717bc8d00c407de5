"""Where downloads and what was made of them stay from one run to the next."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str = "edge-agent") -> Path:
    """``$XDG_CACHE_HOME/NAME``, or the same below ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / name
