"""The agent at work: what its process and its last words tell, and what mends what they tell."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.doctor.finding import Status
from edge_agent.doctor.patient import Output
from edge_agent.surroundings import Clock
from edge_agent.wire.outbound import iso_time
from tests.support.agent_process import AgentProcess
from tests.support.broker import Broker
from tests.support.clinic import Clinic, commands_in
from tests.support.machines import ROOT, UNIT
from tests.support.mqtt_client import MqttClient
from tests.support.waiting import wait_until

MakeAgent = Callable[..., AgentProcess]
NUMBERS = tuple(
    f"runtime.{name}" for name in ("traffic", "backlog", "dropped", "rejected", "reconnects")
)


@pytest.fixture
def agent(broker: Broker, make_agent: MakeAgent, tiny: Path) -> AgentProcess:
    """At work, and telling of its health every second."""
    return make_agent(broker, tiny, health={"interval_s": 1}).start()


@pytest.fixture
def clinic(agent: AgentProcess) -> Clinic:
    """The doctor, with the configuration of the agent at work."""
    return of(agent)


def of(agent: AgentProcess) -> Clinic:
    clinic = Clinic.open(agent.config.parent / "unused", 1)
    clinic.patient = replace(clinic.patient, config_path=agent.config)
    return clinic


def told(clinic: Clinic, check: str, status: Status) -> None:
    """The next health messages come to be found so."""
    wait_until(lambda: clinic.finding(check).status is status, what=f"{check} {status}")


@pytest.fixture
def outside(broker: Broker) -> Iterator[MqttClient]:
    with MqttClient(broker.port) as client:
        yield client


def test_an_agent_that_works(clinic: Clinic, agent: AgentProcess) -> None:
    """All is well, with its process by number."""
    told(clinic, "runtime.health", Status.OK)
    clinic.require_well("runtime.state", *NUMBERS)
    clinic.require("runtime.process", Status.OK, str(agent.pid))


def test_no_agent_here(broker: Broker, tmp_path: Path) -> None:
    """Nothing is said that nobody knows; nothing is an error."""
    clinic = Clinic.open(tmp_path / "gateway", broker.port)
    statuses = {result.status for result in clinic.examine("runtime").results}
    assert statuses == {Status.SKIPPED}


def test_an_agent_of_another_configuration_does_not_count(clinic: Clinic, broker: Broker) -> None:
    """By the file it was started with."""
    other = Clinic.open(clinic.file.parent / "other", broker.port)
    assert other.finding("runtime.process").status is Status.SKIPPED


def serviced(clinic: Clinic, tmp_path: Path, **shown: object) -> None:
    """A machine with the service installed, of which systemctl says this."""
    root = tmp_path / "root"
    (root / UNIT).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "systemd/edge-agent.service", root / UNIT)
    text = "".join(f"{name}={value}\n" for name, value in shown.items())
    clinic.patient = replace(clinic.patient, root=root, commands=lambda *_: Output(0, text))


def test_a_service_that_does_not_run(clinic: Clinic, tmp_path: Path) -> None:
    """The command that starts it mends it."""
    real = clinic.patient
    serviced(clinic, tmp_path, ExecMainStatus=0)
    found = clinic.require("runtime.process", Status.WARNING, "does not run")
    assert commands_in(found.fix or "") == ["systemctl start edge-agent"]
    clinic.patient = real
    clinic.require_well("runtime.process")


def test_a_service_that_waits_for_a_person(clinic: Clinic, tmp_path: Path) -> None:
    """Exit status 78: the journal names what to mend, then it is started."""
    serviced(clinic, tmp_path, ExecMainStatus=78)
    found = clinic.require("runtime.process", Status.ERROR, "78")
    journal, start = commands_in(found.fix or "")
    assert journal.startswith("journalctl -u edge-agent")
    assert start == "systemctl start edge-agent"


def test_the_broker_has_lost_it(clinic: Clinic, outside: MqttClient) -> None:
    """The last will stands, and the process runs: told apart from a stopped agent."""
    outside.publish("edge/t/state", json.dumps({"state": "offline"}), retain=True)
    clinic.require("runtime.state", Status.ERROR, "offline")


def test_another_agent_of_our_name(broker: Broker, tmp_path: Path, outside: MqttClient) -> None:
    """Online somewhere, and no process here: a name of its own mends it."""
    clinic = Clinic.open(tmp_path / "gateway", broker.port)
    outside.publish("edge/t/state", json.dumps({"state": "online"}), retain=True)
    found = clinic.require("runtime.state", Status.WARNING, "another one")
    clinic.follow(found.fix or "")
    assert clinic.finding("runtime.state").status is Status.SKIPPED


def test_an_agent_that_hangs(clinic: Clinic, agent: AgentProcess) -> None:
    """Its last health message grows old; restarted, as the fix says, it is well."""
    told(clinic, "runtime.health", Status.OK)
    agent.process.send_signal(signal.SIGSTOP)
    later(clinic, 605)
    found = clinic.require("runtime.health", Status.ERROR, "10 min old")
    assert "systemctl restart edge-agent" in commands_in(found.fix or "")
    results = {result.check.id: result for result in clinic.examine("runtime").results}
    assert results["runtime.backlog"].status is Status.SKIPPED
    agent.kill()
    later(clinic, 0)
    agent.start()
    told(clinic, "runtime.health", Status.OK)


def later(clinic: Clinic, by_s: float) -> None:
    real = Clock()
    clock = Clock(real.monotonic, lambda: real.unix() + by_s)
    clinic.patient = replace(clinic.patient, clock=clock)


def test_a_stopped_agent(clinic: Clinic, agent: AgentProcess) -> None:
    """Its last words are shown as such, and not taken for the present."""
    told(clinic, "runtime.health", Status.OK)
    agent.stop()
    clinic.require("runtime.state", Status.OK, "stopped")
    clinic.require("runtime.health", Status.SKIPPED, "no agent runs here")


def test_dead_letters(clinic: Clinic, agent: AgentProcess, outside: MqttClient) -> None:
    """Counted by reason; the fix's command shows them."""
    outside.publish("site/x", b"\xff\xfe")
    told(clinic, "runtime.rejected", Status.WARNING)
    found = clinic.require("runtime.rejected", Status.WARNING, "1 undecodable")
    (command,) = commands_in(found.fix or "")
    with subprocess.Popen([*command.split(), "-C", "1"], stdout=subprocess.PIPE) as shown:
        wait_until(lambda: outside.publish("site/x", b"\xff\xfe") and shown.poll() is not None)
        assert shown.stdout is not None
        assert json.loads(shown.stdout.read())["code"] == "undecodable"
    agent.stop()
    agent.start()
    told(clinic, "runtime.rejected", Status.OK)


def lying(clinic: Clinic, agent: AgentProcess, outside: MqttClient, **health: Any) -> None:
    """Health as an agent would tell it in hours that a test does not have."""
    agent.process.send_signal(signal.SIGSTOP)
    body = {
        "time": iso_time(Clock().unix()),
        "uptime_s": 7200.0,
        "ledger": 0,
        **health,
        "counters": {"received": 5, "events": 5, **health.get("counters", {})},
    }
    outside.publish("edge/t/health", json.dumps(body), retain=True)


@pytest.fixture
def lie(clinic: Clinic, agent: AgentProcess, outside: MqttClient) -> Callable[..., None]:
    told(clinic, "runtime.health", Status.OK)
    return lambda **health: lying(clinic, agent, outside, **health)


def test_nothing_comes_in(clinic: Clinic, lie: Callable[..., None], outside: MqttClient) -> None:
    """For hours: the fix's command shows whether anybody publishes."""
    lie(counters={"received": 0})
    found = clinic.require("runtime.traffic", Status.WARNING, "nothing has come in", "2 h ago")
    (command,) = commands_in(found.fix or "")
    with subprocess.Popen(command, shell=True, stdout=subprocess.PIPE) as shown:
        wait_until(lambda: outside.publish("site/x", "seen") and shown.poll() is not None)
        assert shown.stdout is not None
        assert shown.stdout.read() == b"seen\n"
    lie()
    clinic.require_well("runtime.traffic")


def test_last_in_and_last_out(clinic: Clinic, lie: Callable[..., None]) -> None:
    """Both ages are shown."""
    lie(age_s={"received": 3, "delivered": 150})
    clinic.require("runtime.traffic", Status.OK, "last in 3 s", "last out 2 min")


def test_a_backlog(clinic: Clinic, lie: Callable[..., None]) -> None:
    """The oldest waits for more than half of its deadline. Threads that are set help no more."""
    file, cores = clinic.patient.config_file, os.cpu_count() or 1
    text = file.read_text()
    file.write_text(text.replace("threads = 1", f"threads = {cores + 1}"))
    lie(ledger=32, age_s={"oldest_unacked": 200.0})
    found = clinic.require("runtime.backlog", Status.WARNING, "32 messages", "3 min", "300 s")
    assert "threads = " in (found.fix or "")
    file.write_text(text.replace("threads = 1", f"threads = {cores}"))
    found = clinic.require("runtime.backlog", Status.WARNING, "32 messages")
    assert found.fix == "`edge-agent doctor --only model hardware` says what slows it"
    lie(ledger=32, age_s={"oldest_unacked": 20.0})
    clinic.require("runtime.backlog", Status.OK, "32 messages", "20 s")


def test_dropped_messages(clinic: Clinic, lie: Callable[..., None]) -> None:
    """At QoS 0: the senders' QoS is what to change."""
    lie(counters={"dropped_qos0": 7})
    found = clinic.require("runtime.dropped", Status.WARNING, "7 messages at QoS 0")
    assert "QoS 1" in (found.fix or "")
    lie()
    clinic.require_well("runtime.dropped")


@pytest.mark.parametrize(
    ("count", "uptime_s", "status", "word"),
    [
        (3, 7200, Status.OK, "3 times in 2 h"),
        (20, 7200, Status.WARNING, "20 times in 2 h"),
        (7, 60, Status.WARNING, "7 times"),
        (500, 7200, Status.ERROR, "another client named edge-agent-t"),
    ],
)
def test_lost_connections(
    clinic: Clinic, lie: Callable[..., None], count: int, uptime_s: int, status: Status, word: str
) -> None:
    """Now and then is well, often is a warning, without end is a second client of our name."""
    lie(uptime_s=uptime_s, counters={"disconnects": count})
    clinic.require("runtime.reconnects", status, word)


def test_a_broker_that_names_the_second_client(clinic: Clinic, lie: Callable[..., None]) -> None:
    """Once is enough."""
    lie(counters={"disconnects": 1, "takeovers": 1})
    clinic.require("runtime.reconnects", Status.ERROR, "was taken over by another client named")


def test_a_second_client_of_our_name(agent: AgentProcess, clinic: Clinic, broker: Broker) -> None:
    """Two agents of one name throw each other out; a name of its own for one mends it."""
    second = AgentProcess(agent.config.with_name("second.toml"))
    second.config.write_text(agent.config.read_text())
    try:
        second.start(wait=False)
        wait_until(lambda: agent.stderr.count("not connected") >= 6, what=lambda: agent.stderr)
        told(clinic, "runtime.reconnects", Status.WARNING)
    finally:
        second.close()
    agent.stop()
    agent.start()
    told(clinic, "runtime.reconnects", Status.OK)


@pytest.mark.parametrize("payload", [b"", b"[1]", b"{", b'{"time": 5}', b"\xff"])
def test_health_that_cannot_be_read(
    clinic: Clinic, agent: AgentProcess, outside: MqttClient, payload: bytes
) -> None:
    """Somebody else's message on the topic is no reason to crash."""
    told(clinic, "runtime.health", Status.OK)
    agent.process.send_signal(signal.SIGSTOP)
    outside.publish("edge/t/health", payload, retain=True)
    assert Status.CRASHED not in {r.status for r in clinic.examine("runtime").results}
