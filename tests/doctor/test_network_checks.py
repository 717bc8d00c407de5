"""The way to the broker, broken at each of its places, and mended as the doctor says."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge_agent.doctor.finding import Status
from edge_agent.doctor.groups import network
from tests.support.broker import Broker, free_port
from tests.support.clinic import Clinic, commands_in
from tests.support.ipv6 import IPV6

ALL = ("network.resolve", "network.route", "network.tcp")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def clinic(broker: Broker, tmp_path: Path) -> Clinic:
    return Clinic.open(tmp_path / "gateway", broker.port)


def test_a_good_way(clinic: Clinic) -> None:
    """All is well, and there is no IPv6 to try."""
    clinic.require_well(*ALL)
    clinic.require("network.route", Status.OK, "on this machine")
    clinic.require("network.ipv6", Status.SKIPPED)


@pytest.mark.parametrize("host", ["broker.invalid", "a" * 70 + ".x", "\u0080.x"])
def test_a_name_without_address(clinic: Clinic, host: str) -> None:
    """Named, with the setting; an address in its place mends it. The rest is skipped for it."""
    clinic.settings["mqtt"]["host"] = host
    clinic.write()
    found = clinic.require("network.resolve", Status.ERROR, host)
    for result in clinic.examine("network").results:
        if result.check.needs:
            assert result.status is Status.SKIPPED
            assert result.findings[0].text.startswith("because network.")
    clinic.choose(found.fix or "", "mqtt", "host", "localhost")
    clinic.require_well(*ALL)


def test_a_name_of_the_local_network(clinic: Clinic) -> None:
    """These need a service of their own, which the fix installs."""
    clinic.settings["mqtt"]["host"] = "broker-that-is-not-there.local"
    clinic.write()
    assert "avahi" in (clinic.require("network.resolve", Status.ERROR).fix or "")


def test_a_closed_port(clinic: Clinic, broker: Broker) -> None:
    """Nothing listens: the broker started, or the right port set, mends it."""
    broker.stop()
    found = clinic.require("network.tcp", Status.ERROR, "nothing listens there")
    assert "systemctl start mosquitto" in commands_in(found.fix or "")
    broker.start()
    clinic.require_well("network.tcp")
    right, clinic.settings["mqtt"]["port"] = broker.port, free_port()
    clinic.write()
    found = clinic.require("network.tcp", Status.ERROR)
    clinic.choose(found.fix or "", "mqtt", "port", right)
    clinic.require_well("network.tcp")


def test_another_usual_port_answers(
    clinic: Clinic, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the fix is that port, and whether it takes TLS."""
    monkeypatch.setattr(network, "USUAL_PORTS", (broker.port, 1))
    clinic.settings["mqtt"]["port"] = free_port()
    clinic.write()
    fix = clinic.require("network.tcp", Status.ERROR).fix or ""
    assert "[mqtt.tls]" not in fix
    clinic.follow(fix)
    clinic.require_well("network.tcp")


def test_the_usual_port_of_tls_answers(
    clinic: Clinic, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fix says that it needs TLS."""
    monkeypatch.setattr(network, "USUAL_PORTS", (1, broker.port))
    clinic.settings["mqtt"]["port"] = free_port()
    clinic.write()
    assert "[mqtt.tls]" in (clinic.require("network.tcp", Status.ERROR).fix or "")


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A port on ::1 whose queue is full: connects to it are not answered."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_STREAM))
        try:
            listener.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_STREAM))
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener


def resolves_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """What the system's resolver would say of a name with several addresses."""
    found = [
        (
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET,
            socket.SOCK_STREAM,
            6,
            "",
            address,
        )
        for address in addresses
    ]
    real = socket.getaddrinfo

    def answer(host: str, *rest: object, **more: object) -> object:
        return found if host == "broker.site" else real(host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def test_a_dead_ipv6_address_is_tried_first(
    clinic: Clinic, broker: Broker, silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every connect would wait: the address that answers, set as host, mends it."""
    dead = ("::1", int(silent.getsockname()[1]))
    resolves_to(monkeypatch, dead, ("127.0.0.1", broker.port))
    clinic.settings["mqtt"]["host"] = "broker.site"
    clinic.write()
    clinic.require("network.tcp", Status.OK, "127.0.0.1")
    found = clinic.require("network.ipv6", Status.WARNING, "::1", "127.0.0.1")
    clinic.follow(found.fix or "")
    clinic.require("network.ipv6", Status.SKIPPED, "no IPv6 address")
    clinic.require_well("network.tcp")


def test_no_answer(clinic: Clinic, silent: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall's silence is told from a closed port, and waited for only so long."""
    resolves_to(monkeypatch, ("::1", int(silent.getsockname()[1])))
    clinic.settings["mqtt"]["host"] = "broker.site"
    clinic.write()
    found = clinic.require("network.tcp", Status.ERROR, "no answer within")
    assert "firewall" in (found.fix or "")


def test_ipv6_that_turns_away_at_once_harms_nobody(
    clinic: Clinic, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a broker does that listens on IPv4 alone."""
    resolves_to(monkeypatch, ("::1", free_port()), ("127.0.0.1", broker.port))
    clinic.settings["mqtt"]["host"] = "broker.site"
    clinic.write()
    clinic.require("network.ipv6", Status.OK, "turns us away at once")


def test_no_route(tmp_path: Path) -> None:
    """In a network whose interface is down: the fix's command brings it up."""
    if subprocess.run(["unshare", "--net", "--mount", "true"], check=False).returncode != 0:
        pytest.skip("a network of its own cannot be had here")
    clinic = Clinic.open(tmp_path / "gateway", 1883)
    doctor = f"{sys.executable} -m edge_agent doctor --config {clinic.file} --only network --json"
    reader = tmp_path / "first_command.py"
    reader.write_text(FIRST_COMMAND)
    fix = f"{doctor} | {sys.executable} {reader}"
    script = f'mount -t sysfs none /sys; {doctor}; echo ======; eval "$({fix})"; {doctor}'
    shown = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    before, _, after = shown.stdout.partition("======")
    assert statuses(before)["network.route"] == "error", shown.stderr
    assert statuses(before)["network.tcp"] == "skipped"
    assert statuses(after)["network.route"] == "ok"


FIRST_COMMAND = """
import json, re, sys
checks = json.load(sys.stdin)["checks"]
fix = next(f["fix"] for check in checks for f in check["findings"] if f["fix"])
print(re.search("`sudo (.+?)`", fix)[1])
"""


def statuses(report: str) -> dict[str, str]:
    return {check["id"]: check["status"] for check in json.loads(report)["checks"]}


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7", "page.invalid"])
def test_a_page_at_an_address_of_another(clinic: Clinic, host: str) -> None:
    """The agent takes it, for the network may come later; nobody could read the page there."""
    clinic.require("network.metrics", Status.SKIPPED, "metrics.port")
    clinic.settings["metrics"] = {"host": host, "port": free_port()}
    clinic.write()
    found = clinic.require("network.metrics", Status.WARNING, host)
    clinic.follow(found.fix or "")
    clinic.require_well("network.metrics")


@pytest.mark.parametrize("host", ["0.0.0.0", pytest.param("::1", marks=IPV6), "localhost"])
def test_a_page_at_an_address_of_ours(clinic: Clinic, host: str) -> None:
    """Whether or not the agent runs and has the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        clinic.settings["metrics"] = {"host": host, "port": taken.getsockname()[1]}
        clinic.write()
        clinic.require_well("network.metrics")
