"""Recorded machines, and a broker with TLS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.doctor.patient import Patient
from tests.support.authority import Authority, Secured
from tests.support.broker import Broker
from tests.support.clinic import Clinic
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


@pytest.fixture
def make_secured(make_broker: Callable[..., Broker], tmp_path: Path) -> Callable[..., Secured]:
    """``require_certificate``: the broker lets only those in who show one."""

    def make(**options: bool) -> Secured:
        broker = make_broker(tls=True, **options)
        authority = Authority(tmp_path / "authority").begin()
        clinic = Clinic.open(
            tmp_path / "gateway", broker.port, mqtt={"tls": {"ca_file": authority.ca}}
        )
        secured = Secured(authority, broker, clinic)
        secured.serve()
        secured.show()
        return secured

    return make


@pytest.fixture
def secured(make_secured: Callable[..., Secured]) -> Secured:
    return make_secured(require_certificate=True)
