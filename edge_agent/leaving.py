"""The end of a process in which a thread is left at work that nobody waits for any longer.

It may be in the model's library, which aborts the process where the interpreter ends below it: so
the process then ends before the interpreter does.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import suppress

CHECK, LOADER = "check", "loader"
"""Names of the threads that work with the model's library."""


def exit_code(code: int) -> int:
    """This, for the process too when such a thread is still at work."""
    if _at_work():
        atexit.register(_end_at_once, code)
    return code


def _end_at_once(code: int) -> None:
    if _at_work():
        with suppress(OSError):  # whoever read it has left
            sys.stdout.flush()
        os._exit(code)


def _at_work() -> bool:
    return any(thread.name in (CHECK, LOADER) for thread in threading.enumerate())
