"""Fixtures of the agent's unit tests."""

from __future__ import annotations

import faulthandler
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.unit.site import Site


@pytest.fixture(autouse=True)
def own_log_and_signals() -> Iterator[None]:
    """A command run in this process leaves neither a log on a closed stream nor its handlers."""
    handler = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, handler)
    structlog.reset_defaults()


@pytest.fixture
def make_site(tmp_path: Path, tiny: Path) -> Iterator[Callable[..., Site]]:
    """Settings by section: ``make_site(batch={"max_messages": 2})``."""

    def make(**sections: Any) -> Site:
        return Site(tmp_path, tiny, **sections)

    yield make
    faulthandler.enable(sys.__stderr__ or sys.stderr)


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """With the defaults."""
    return make_site()
