"""What is installed beside the program: the systemd unit, the broker's settings, the Makefile."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.broker import Broker
from tests.support.mqtt_client import ClientOptions, MqttClient

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "systemd/edge-agent.service"
SNIPPET = ROOT / "config/mosquitto.d/edge-agent.conf"
SNIPPET_2_1 = ROOT / "config/mosquitto.d/edge-agent-2.1.conf"
PLUGIN = "mosquitto_persist_sqlite.so"
LIBRARIES = (Path("/usr/lib"), Path("/usr/local/lib"))


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT)
    return parser


def test_the_unit_restarts_after_a_crash_and_not_after_exit_78() -> None:
    """systemd brings the agent back after kill, crash and watchdog, not when a person must act."""
    service = unit()["Service"]
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == "78"
    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert unit()["Unit"]["StartLimitIntervalSec"] == "0"


def test_a_reload_by_systemd_waits_for_its_outcome() -> None:
    """`systemctl reload` fails when the new bundle is not used: a bare signal could not tell."""
    command = unit()["Service"]["ExecReload"].split()
    assert command[:2] == ["/usr/bin/edge-agent", "reload"]
    assert unit()["Service"]["ExecStart"].split()[2:] == command[2:4]
    assert float(command[command.index("--wait-s") + 1]) < 90


def test_crash_counts_outlive_restarts() -> None:
    """The runtime directory is kept while systemd restarts the agent."""
    service = unit()["Service"]
    assert service["RuntimeDirectory"] == "edge-agent"
    assert service["RuntimeDirectoryPreserve"] == "restart"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` says nothing, once the program is where the unit expects it."""
    installed = tmp_path / "edge-agent.service"
    text = UNIT.read_text().replace("/usr/bin/edge-agent", shutil.which("true") or "/bin/true")
    installed.write_text(text)
    shown = subprocess.run(
        ["systemd-analyze", "verify", str(installed)], capture_output=True, text=True, check=False
    )
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "", "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_the_unit_is_hardened(tmp_path: Path) -> None:
    """systemd itself reckons how exposed the service is: at most 1.5 of 10."""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15"]
    shown = subprocess.run([*command, str(UNIT)], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stdout[-200:]


def test_the_service_reaches_only_this_machine() -> None:
    """What it may reach beyond is written by `edge-agent allow-broker`, address by address."""
    service = unit()["Service"]
    assert service["IPAddressDeny"] == "any"
    assert service["IPAddressAllow"] == "localhost"


def test_mosquitto_accepts_the_settings(make_broker: Callable[..., Broker], tmp_path: Path) -> None:
    """The shipped settings start a broker that keeps a client's messages over `kill -9`."""
    broker = make_broker(
        extra=f"persistence_location {tmp_path}/\n{SNIPPET.read_text()}",
        max_queued_messages=None,
    )
    asleep = ClientOptions("asleep", persistent=True)
    with MqttClient(broker.port, asleep) as client:
        client.subscribe("a/#")
    with MqttClient(broker.port) as sender:
        for number in range(1200):
            assert sender.publish("a/b", str(number)) in {"Success", "No matching subscribers"}
    broker.restart(kill=True)
    with MqttClient(broker.port, asleep) as client:
        client.wait(lambda: client.count >= 1100, what="queued messages")
        assert [m.payload for m in client.received][:1100] == [b"%d" % n for n in range(1100)]


def settings(profile: Path) -> dict[str, str]:
    lines = [line for line in profile.read_text().splitlines() if line and line[0] != "#"]
    return dict(line.split(" ", 1) for line in lines)


def test_both_profiles_hold_as_much_for_an_agent_that_is_away() -> None:
    """They differ in how the broker keeps things on disk, not in how many."""
    old, new = settings(SNIPPET), settings(SNIPPET_2_1)
    for name in ("max_queued_messages", "max_queued_bytes", "max_inflight_messages"):
        assert old[name] == new[name]
    assert (old["persistence"], new["persistence"]) == ("true", "false")
    assert new["global_plugin"].endswith(PLUGIN)


def sqlite_plugin() -> Path | None:
    """Of the installed Mosquitto, when that is new enough to have one."""
    given = os.environ.get("MOSQUITTO_PLUGINS")
    folders = (Path(given),) if given else LIBRARIES
    return next((p for folder in folders for p in folder.rglob(PLUGIN)), None)


@pytest.mark.skipif(sqlite_plugin() is None, reason="no Mosquitto 2.1 with its SQLite plugin here")
def test_mosquitto_2_1_keeps_messages_over_a_kill(
    make_broker: Callable[..., Broker], tmp_path: Path
) -> None:
    """Below Debian's own settings, and killed right after its last PUBACK."""
    debian = f"persistence true\npersistence_location {tmp_path}/\n"
    shipped = settings(SNIPPET_2_1)["global_plugin"]
    profile = SNIPPET_2_1.read_text().replace(shipped, str(sqlite_plugin()))
    broker = make_broker(extra=debian + profile, max_queued_messages=None)
    asleep = ClientOptions("asleep", persistent=True)
    with MqttClient(broker.port, asleep) as client:
        client.subscribe("a/#")
    with MqttClient(broker.port) as sender:
        for number in range(200):
            sender.publish("a/b", str(number))
        broker.restart(kill=True)
    with MqttClient(broker.port, asleep) as client:
        client.wait(lambda: client.count >= 200, what="queued messages")
        assert [m.payload for m in client.received][:200] == [b"%d" % n for n in range(200)]


@pytest.mark.parametrize(
    "target", ["demo", "test", "setup", "soak", "bench", "train", "lint", "deb", "vm-test"]
)
def test_make_help_names_the_targets(target: str) -> None:
    """`make` alone tells what can be done."""
    shown = subprocess.run(["make"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert any(line.split()[0] == target for line in shown.stdout.splitlines())
