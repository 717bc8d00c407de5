"""The command ``openssl``."""

from __future__ import annotations

import subprocess


def openssl(*words: object) -> bytes:
    """What it prints. Raises when it fails."""
    command = ["openssl", *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True).stdout
