"""Waiting for something to become true, with a deadline instead of a fixed pause."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.01
PATIENCE_S = 60.0
"""Longer than any wait on a machine many times slower: who waits ends as soon as it is true."""


def wait_until(
    probe: Callable[[], T],
    timeout_s: float = PATIENCE_S,
    what: str | Callable[[], str] = "condition",
) -> T:
    """The first true value of ``probe``. AssertionError, naming ``what``, after ``timeout_s``."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline_s:
            text = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {timeout_s} s: {text}")
        time.sleep(POLL_S)
