"""Recorded machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.doctor.patient import Patient
from tests.support.machines import machine


@pytest.fixture
def pi5(tmp_path: Path) -> Patient:
    """A healthy Raspberry Pi 5."""
    return machine("pi5", tmp_path)


@pytest.fixture
def pi4(tmp_path: Path) -> Patient:
    """A Raspberry Pi 4 that is hot, short of memory and badly powered."""
    return machine("pi4", tmp_path)


@pytest.fixture
def jetson(tmp_path: Path) -> Patient:
    """A Jetson Orin Nano in its 7 W mode."""
    return machine("jetson", tmp_path)


@pytest.fixture
def vm(tmp_path: Path) -> Patient:
    """A virtual machine that hides its processor."""
    return machine("vm", tmp_path)
