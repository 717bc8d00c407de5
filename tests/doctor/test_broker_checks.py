"""The broker, broken in each way that technicians meet, and mended as the doctor says."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.doctor.finding import Status
from edge_agent.doctor.patient import Patient
from tests.support.broker import Broker, make_certificates
from tests.support.clinic import Clinic, commands_in
from tests.support.mqtt_client import ClientOptions, MqttClient
from tests.support.stub_broker import (
    MAXIMUM_PACKET_SIZE,
    MAXIMUM_QOS,
    NO,
    RETAIN_AVAILABLE,
    SHARED_AVAILABLE,
    UNSUPPORTED_VERSION,
    WILDCARDS_AVAILABLE,
    StubBroker,
)
from tests.support.waiting import PATIENCE_S

MakeBroker = Callable[..., Broker]
ALL = ("broker.connect", "broker.protocol", "broker.limits", "broker.software", "broker.dropped")


@pytest.fixture
def clinic(broker: Broker, tmp_path: Path) -> Clinic:
    return Clinic.open(tmp_path / "gateway", broker.port)


def for_broker(broker: Broker | StubBroker, folder: Path, **more: object) -> Clinic:
    return Clinic.open(folder / "gateway", broker.port, **more)  # type: ignore[arg-type]


def test_a_good_broker(clinic: Clinic) -> None:
    """It lets us in, speaks MQTT 5, grants enough, says what it is, has dropped nothing."""
    clinic.require_well(*ALL)
    clinic.require("broker.software", Status.OK, "mosquitto version 2")


def test_the_running_agent_is_not_disturbed(broker: Broker, clinic: Clinic) -> None:
    """The doctor comes under another client id, and leaves no session behind."""
    with MqttClient(broker.port, ClientOptions("edge-agent-t")) as agent:
        clinic.require_well(*ALL)
        clinic.require_well(*ALL)
        assert agent.connects == 1
    assert "edge-agent-t-doctor" in broker.log
    assert "already connected" not in broker.log
    with MqttClient(broker.port, ClientOptions("edge-agent-t-doctor", persistent=True)) as same:
        assert same.refused is None
    assert broker.log.count("as edge-agent-t-doctor (p5, c0, k") == 1  # kept only for this last one


def test_a_broker_that_takes_the_user_for_the_client(
    make_broker: MakeBroker, tmp_path: Path
) -> None:
    """There a visit would throw the agent off, so there is none."""
    broker = make_broker(extra="use_username_as_clientid true")
    clinic = for_broker(broker, tmp_path, mqtt={"username": "gateway"})
    clinic.require("broker.connect", Status.SKIPPED, "would end our session")
    assert {r.status for r in clinic.examine("broker").results[:5]} == {Status.SKIPPED}
    assert "gateway" not in broker.log


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_wrong_password(make_broker: MakeBroker, tmp_path: Path, protocol: str) -> None:
    """The user is named, the password never; the right one mends it."""
    broker = make_broker(passwords={"gateway": "right horse"})
    password = tmp_path / "password"
    password.write_text("wrong battery\n")
    login = {"username": "gateway", "password_file": password, "protocol": protocol}
    clinic = for_broker(broker, tmp_path, mqtt=login)
    found = clinic.require("broker.connect", Status.ERROR, "'gateway'")
    assert "mqtt.password_file" in (found.fix or "")
    assert "battery" not in str(found)
    password.write_text("right horse\n")
    clinic.require("broker.connect", Status.OK, "as gateway")


def test_no_password_where_one_is_needed(make_broker: MakeBroker, tmp_path: Path) -> None:
    """The settings that are missing are named."""
    clinic = for_broker(make_broker(passwords={"gateway": "x"}), tmp_path)
    found = clinic.require("broker.connect", Status.ERROR)
    assert "mqtt.username" in (found.fix or "")


def test_a_password_file_that_is_not_there(broker: Broker, tmp_path: Path) -> None:
    """Written, as the fix says, it is well again."""
    password = tmp_path / "password"
    clinic = for_broker(broker, tmp_path, mqtt={"username": "x", "password_file": password})
    found = clinic.require("broker.connect", Status.ERROR, str(password))
    assert f"write the password into {password}" in (found.fix or "")
    password.write_text("x")
    clinic.require_well("broker.connect")


def test_a_broker_that_wants_tls(make_broker: MakeBroker, tmp_path: Path) -> None:
    """Seen by shaking hands with it; the table that the fix names mends it."""
    broker = make_broker(tls=True)
    clinic = for_broker(broker, tmp_path)
    found = clinic.require("broker.connect", Status.ERROR, "speaks TLS")
    assert "[mqtt.tls] with `ca_file`" in (found.fix or "")
    assert broker.certificates is not None
    clinic.settings["mqtt"]["tls"] = {"ca_file": broker.certificates.ca}
    clinic.write()
    clinic.require_well("broker.connect")


def test_a_broker_that_hangs(broker: Broker, clinic: Clinic) -> None:
    """Waited for only so long, and what needs it is skipped."""
    broker.pause()
    report = clinic.examine("network", "tls", "broker", "runtime")
    statuses = {result.check.id: result.status for result in report.results}
    assert statuses["broker.connect"] is Status.ERROR
    assert statuses["broker.limits"] is Status.SKIPPED
    assert statuses["runtime.health"] is Status.SKIPPED
    broker.resume()
    clinic.require_well("broker.connect")


def test_only_mqtt_3_by_choice(clinic: Clinic) -> None:
    """A warning that says what is missing; the setting mends it."""
    clinic.settings["mqtt"]["protocol"] = "3.1.1"
    clinic.write()
    found = clinic.require("broker.protocol", Status.WARNING, "3.1.1")
    clinic.require("broker.limits", Status.SKIPPED)
    clinic.follow(found.fix or "")
    clinic.require_well("broker.protocol", "broker.limits")


def test_a_broker_that_refuses_mqtt_5(tmp_path: Path) -> None:
    """And 3.1.1 as well: the reason it gave first is told."""
    with StubBroker(reason=UNSUPPORTED_VERSION) as stub:
        for_broker(stub, tmp_path).require("broker.connect", Status.ERROR, "version")


@pytest.mark.parametrize(
    ("properties", "word", "option"),
    [
        (MAXIMUM_QOS + NO, "QoS 1", "max_qos 1"),
        (RETAIN_AVAILABLE + NO, "retained messages", "retain_available true"),
        (WILDCARDS_AVAILABLE + NO, "wildcards", ""),
        (SHARED_AVAILABLE + NO, "shared subscriptions", ""),
    ],
)
def test_what_is_not_granted(tmp_path: Path, properties: bytes, word: str, option: str) -> None:
    """An error where we cannot do without; Mosquitto's option where it has one."""
    source = [{"filter": "$share/group/site/#"}]
    with StubBroker(properties) as stub:
        clinic = for_broker(stub, tmp_path, source=source)
        found = clinic.require("broker.limits", Status.ERROR, word)
        assert option in (found.fix or "")
        stub.properties = b""
        clinic.require_well("broker.limits")


def test_shared_subscriptions_that_nobody_wants(tmp_path: Path) -> None:
    """Their absence matters only to who has one."""
    with StubBroker(SHARED_AVAILABLE + NO) as stub:
        for_broker(stub, tmp_path).require_well("broker.limits")


@pytest.mark.parametrize("option", ["max_qos 0", "retain_available false"])
def test_limits_of_mosquitto(make_broker: MakeBroker, tmp_path: Path, option: str) -> None:
    """The option that the fix names, in the place of the other, mends it."""
    broker = make_broker(extra=option)
    clinic = for_broker(broker, tmp_path)
    found = clinic.require("broker.limits", Status.ERROR)
    config(broker, option, commands_in(found.fix or "")[0])
    clinic.require_well("broker.limits")


def config(broker: Broker, old: str, new: str) -> None:
    """Restarts it with one line changed."""
    broker.options = broker.options.__class__(extra=broker.options.extra.replace(old, new))
    broker.restart()


def test_small_packets(make_broker: MakeBroker, tmp_path: Path) -> None:
    """Larger events would become dead letters; Mosquitto's option mends it."""
    broker = make_broker(extra="max_packet_size 2000")
    clinic = for_broker(broker, tmp_path)
    found = clinic.require("broker.limits", Status.WARNING, "2000 bytes")
    config(broker, "max_packet_size 2000", commands_in(found.fix or "")[0])
    clinic.require_well("broker.limits")
    with StubBroker(MAXIMUM_PACKET_SIZE + b"\x00\x00\x10\x00") as stub:
        for_broker(stub, tmp_path).require("broker.limits", Status.WARNING, "4096 bytes")


def test_dropped_messages(make_broker: MakeBroker, tmp_path: Path) -> None:
    """A full queue loses them silently; our settings, copied as the fix says, mend it."""
    conf_d = tmp_path / "conf.d"
    conf_d.mkdir()
    broker = make_broker(max_queued_messages=10, extra=f"sys_interval 1\ninclude_dir {conf_d}")
    clinic = for_broker(broker, tmp_path)
    away = ClientOptions("away", persistent=True)
    flood(broker, away)
    found = clinic.require("broker.dropped", Status.WARNING, "dropped")
    copy, restart = commands_in(found.fix or "")
    assert restart == "systemctl restart mosquitto"
    subprocess.run(copy, shell=True, check=True)
    broker.restart()
    flood(broker, away)
    clinic.require_well("broker.dropped", "broker.mosquitto")


def flood(broker: Broker, away: ClientOptions) -> None:
    """200 messages for a client that is away; the broker has counted them when this returns."""
    with MqttClient(broker.port, away) as client:
        client.subscribe("flood/#")
    with MqttClient(broker.port) as client:
        for _ in range(200):
            client.send("flood/x", b"x")
        client.wait_until_acknowledged(PATIENCE_S)
        client.subscribe("$SYS/broker/uptime")
        client.wait(lambda: client.count >= 3, PATIENCE_S, "two rounds of $SYS")


def test_a_broker_that_says_nothing_of_itself(tmp_path: Path) -> None:
    """Skipped, not warned of; likewise one that hangs up on who asks."""
    with StubBroker() as stub:
        clinic = for_broker(stub, tmp_path)
        for check in ("broker.software", "broker.dropped"):
            clinic.require(check, Status.SKIPPED, "$SYS")
        stub.suback = None
        clinic.require_well("broker.connect", "broker.limits")
        clinic.require("broker.software", Status.SKIPPED, "$SYS")


def test_mosquitto_as_it_comes(make_broker: MakeBroker, tmp_path: Path) -> None:
    """Without persistence, with its short queue: our settings, written as the fix says, mend it."""
    broker = make_broker(max_queued_messages=None)
    clinic = for_broker(broker, tmp_path)
    found = clinic.require("broker.mosquitto", Status.WARNING, "loses", "1000 waiting messages")
    append, restart = commands_in(found.fix or "")
    assert restart == "systemctl restart mosquitto"
    subprocess.run(append, shell=True, check=True)
    clinic.require_well("broker.mosquitto")


def test_mosquitto_that_writes_too_seldom(make_broker: MakeBroker, tmp_path: Path) -> None:
    """Its default of half an hour."""
    broker = make_broker(persistence=True)
    clinic = for_broker(broker, tmp_path)
    found = clinic.require("broker.mosquitto", Status.WARNING, "every 1800 s")
    subprocess.run(commands_in(found.fix or "")[0], shell=True, check=True)
    clinic.require_well("broker.mosquitto")


def test_a_window_of_less_than_two_batches(make_broker: MakeBroker, tmp_path: Path) -> None:
    """On MQTT 3.1.1 alone, where max_inflight_messages is the window."""
    broker = make_broker(persistence=True, autosave_changes=100)
    clinic = for_broker(broker, tmp_path)
    clinic.require_well("broker.mosquitto")
    clinic.settings["mqtt"]["protocol"] = "3.1.1"
    clinic.write()
    found = clinic.require("broker.mosquitto", Status.WARNING, "window of 20")
    subprocess.run(commands_in(found.fix or "")[0], shell=True, check=True)
    clinic.require_well("broker.mosquitto")


def test_a_mosquitto_of_another_port(make_broker: MakeBroker, tmp_path: Path) -> None:
    """Only the one that serves us counts; a broker without configuration here is skipped."""
    make_broker()
    with StubBroker() as stub:
        clinic = for_broker(stub, tmp_path)
        clinic.require("broker.mosquitto", Status.SKIPPED, f"port {stub.port}")


def test_an_installed_mosquitto_that_does_not_run(tmp_path: Path, broker: Broker) -> None:
    """Its configuration is read where Debian has it; without our snippet the lines are named."""
    clinic = for_broker(broker, tmp_path)
    broker.stop()
    root = tmp_path / "root"
    installed(clinic, root, "persistence true")
    found = clinic.require("broker.mosquitto", Status.WARNING, "every 1800 s")
    subprocess.run(commands_in(found.fix or "")[0], shell=True, check=True)
    assert (root / "etc/mosquitto/conf.d/edge-agent.conf").exists()
    clinic.require_well("broker.mosquitto")


def installed(clinic: Clinic, root: Path, *lines: str) -> Path:
    """The file of an installed Mosquitto on the clinic's port, which does not run."""
    file = root / "etc/mosquitto/mosquitto.conf"
    (root / "etc/mosquitto/conf.d").mkdir(parents=True)
    port = clinic.settings["mqtt"]["port"]
    include = "include_dir /etc/mosquitto/conf.d"
    file.write_text("\n".join([f"listener {port}", *lines, include, ""]))
    clinic.patient = Patient(clinic.file, root=root)
    return file


def test_a_mosquitto_that_keeps_sessions_by_its_plugin(clinic: Clinic, tmp_path: Path) -> None:
    """It does not start with snapshots beside the plugin, so our file for them is not for it."""
    plugin = "global_plugin /usr/lib/aarch64-linux-gnu/mosquitto_persist_sqlite.so"
    other = "plugin /usr/lib/aarch64-linux-gnu/mosquitto_dynamic_security.so"
    file = installed(clinic, tmp_path / "root", plugin, other, "max_queued_messages 500")
    found = clinic.require("broker.mosquitto", Status.WARNING, "500 waiting messages")
    line, restart = commands_in(found.fix or "")
    assert (line, restart) == ("max_queued_messages 100000", "systemctl restart mosquitto")
    file.write_text(f"{file.read_text()}{line}\n")
    clinic.require_well("broker.mosquitto")


def test_later_lines_of_mosquitto_count(clinic: Clinic, tmp_path: Path) -> None:
    """Also those after an include_dir; one within an included file is passed over."""
    good = ("persistence true", "autosave_on_changes true", "autosave_interval 100")
    file = installed(clinic, tmp_path / "root", *good, "max_queued_messages 20000")
    folder = file.parent / "conf.d"
    (folder / "site.conf").write_text(f"max_queued_messages 10\ninclude_dir {file.parent}\n")
    clinic.require("broker.mosquitto", Status.WARNING, "10 waiting messages")
    file.write_text(f"{file.read_text()}max_queued_messages 20000\n")
    clinic.require_well("broker.mosquitto")


def test_mosquitto_takes_1_for_true(clinic: Clinic, tmp_path: Path) -> None:
    """As its own reader does."""
    lines = ("persistence 1", "autosave_on_changes 1", "autosave_interval 100")
    installed(clinic, tmp_path / "root", *lines, "max_queued_messages 0")
    clinic.require_well("broker.mosquitto")


def test_certificates_are_not_needed_to_see_tls(make_broker: MakeBroker, tmp_path: Path) -> None:
    """A broker that asks for ours is recognised by its alert as well."""
    make_certificates(tmp_path)
    clinic = for_broker(make_broker(tls=True, require_certificate=True), tmp_path)
    clinic.require("broker.connect", Status.ERROR, "speaks TLS")
