"""Ties a command to the life of its parent: run as a script, it becomes the command.

``tether.py PARENT_PID COMMAND…``: the kernel kills the command when its parent ends, however that
ends (prctl, PR_SET_PDEATHSIG; kept across exec).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Asks for the signal and becomes the command, unless the parent ended before."""
    parent_pid, command = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent_pid:
        os.execvp(command[0], command)  # noqa: S606 - that is what this script is for


if __name__ == "__main__":
    main()
