"""Commands that end with whoever waits for them, and all that they started too."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import BinaryIO

CLEAN_UP_LIMIT_S = 60
"""What a script gets to remove its own half-made files."""


def interrupt_when_told() -> None:
    """SIGTERM counts as Ctrl-C, and so does a closed terminal, unless nohup says otherwise."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def carry_out(command: list[str], limit_s: float, output: BinaryIO | None = None) -> None:
    """Runs a command in a process group of its own, without a terminal to read from.

    Raises CalledProcessError and TimeoutExpired. Whatever ends the wait ends the whole group.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        preexec_fn=os.setpgrp,  # noqa: PLW1509 - no new session: the caller's CPU share holds
    )
    try:
        status = process.wait(limit_s)
    finally:
        if process.poll() is None:
            end_group(process)
    if status:
        raise subprocess.CalledProcessError(status, command)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Asks the group to end; after the limit it is killed."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(CLEAN_UP_LIMIT_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
