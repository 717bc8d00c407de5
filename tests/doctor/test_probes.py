"""Trials with real messages: what they find broken, and that they disturb nobody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.doctor.finding import Status
from edge_agent.doctor.groups.probes import PROBE_TYPE
from edge_agent.transport.address import BrokerAddress
from edge_agent.transport.paho import PahoTransport
from tests.broker.test_permissions import DYNAMIC_SECURITY
from tests.support.agent_process import AgentProcess
from tests.support.broker import Broker
from tests.support.clinic import Clinic, commands_in
from tests.support.mqtt_client import ClientOptions, MqttClient
from tests.support.stub_broker import SESSION_EXPIRY, StubBroker
from tests.support.tiny_bundle import tiny_bundle
from tests.unit.worlds import Agent

MakeBroker = Callable[..., Broker]
MakeAgent = Callable[..., AgentProcess]
ALL = ("probes.echo", "probes.session", "probes.window", "probes.read", "probes.write")
RIGHTS = """
topic read $SYS/#
topic read site/#
topic readwrite edge/t/#
user tester
topic readwrite #
"""


def probing(clinic: Clinic) -> Clinic:
    clinic.patient = replace(clinic.patient, probe=True)
    return clinic


def for_broker(broker: Broker | StubBroker, folder: Path, **more: Any) -> Clinic:
    return probing(Clinic.open(folder / "gateway", broker.port, tiny_bundle(folder / "b"), **more))


@pytest.fixture
def agent(broker: Broker, make_agent: MakeAgent, tiny: Path) -> AgentProcess:
    return make_agent(broker, tiny).start()


@pytest.fixture
def watching(broker: Broker) -> Iterator[MqttClient]:
    """A consumer of all that the gateway says."""
    with MqttClient(broker.port, ClientOptions("consumer")) as client:
        client.subscribe("edge/#")
        yield client


def of_agent(agent: AgentProcess) -> Clinic:
    """The doctor, with the configuration of a running agent."""
    clinic = Clinic.open(agent.config.parent / "unused", 1)
    clinic.patient = replace(clinic.patient, config_path=agent.config)
    return probing(clinic)


def test_only_on_request(make_broker: MakeBroker, tmp_path: Path) -> None:
    """Without --probe no message is sent."""
    broker = make_broker(extra="log_type all")
    clinic = for_broker(broker, tmp_path)
    clinic.patient = replace(clinic.patient, probe=False)
    for result in clinic.examine("probes").results:
        assert result.status is Status.SKIPPED
        assert "--probe" in result.findings[0].text
    assert "Received PUBLISH" not in broker.log
    probing(clinic).examine("probes.echo")
    assert "Received PUBLISH" in broker.log


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_all_is_well(broker: Broker, tmp_path: Path, protocol: str) -> None:
    """On 3.1.1 what has no words is skipped."""
    clinic = for_broker(broker, tmp_path, mqtt={"protocol": protocol})
    statuses = {r.check.id: r.status for r in clinic.examine("probes").results}
    assert statuses.pop("probes.answer") is Status.SKIPPED
    unsaid = {"probes.window", "probes.write"} if protocol == "3.1.1" else set()
    assert {name for name, status in statuses.items() if status is Status.SKIPPED} == unsaid
    assert set(statuses.values()) <= {Status.OK, Status.SKIPPED}


def test_nothing_is_left_behind(broker: Broker, tmp_path: Path) -> None:
    """No session that the broker would queue for, and nothing retained."""
    for protocol in ("5", "3.1.1"):
        for_broker(broker, tmp_path, mqtt={"protocol": protocol}).examine("probes")
    with MqttClient(broker.port) as client:
        client.subscribe("edge/#", "site/#")
        client.publish("edge/last", "")
        client.wait_for_topic("edge/last")
        assert client.count == 1
    for name in ("doctor", "doctor-away", "doctor-sender"):
        client_id = f"edge-agent-t-{name}"
        same = Agent(PahoTransport(BrokerAddress("127.0.0.1", broker.port, client_id)))
        same.transport.stop(5)
        assert not same.session.resumed


def test_consumers_are_not_disturbed(agent: AgentProcess, watching: MqttClient) -> None:
    """On topics of events they see probes alone, by type; state and health stay as they were."""
    clinic = of_agent(agent)
    watching.wait_for_topic("edge/t/health")
    state = watching.wait_for_topic("edge/t/state").json
    begin = watching.count
    clinic.require_well(*ALL, "probes.answer")
    watching.catch_up()
    seen = watching.since(begin)
    events = [m for m in seen if "/event/" in m.topic or m.topic.endswith("/error")]
    assert events
    assert {m.json["type"] for m in events} == {PROBE_TYPE}
    assert all(m.json["specversion"] == "1.0" for m in events)
    assert {json.dumps(m.json) for m in seen if m.topic == "edge/t/state"} == {json.dumps(state)}
    others = {m.topic for m in seen} - {m.topic for m in events} - {"edge/t/state", "edge/t/health"}
    assert others == {
        "edge/t/request/classify",
        *(f"edge/t/reply/doctor/{name}" for name in ("echo", "answer", "session", "window")),
    }
    assert not any(m.retain for m in seen)
    assert agent.process.poll() is None
    assert "not connected" not in agent.stderr


def test_no_event_comes_of_a_probe(agent: AgentProcess, watching: MqttClient) -> None:
    """The agent answers the doctor's request, and counts no event."""
    found = of_agent(agent).require("probes.answer", Status.OK, "the agent answered")
    assert "fault" in found.text
    watching.catch_up()
    assert not [m for m in watching.received if "/event/" in m.topic]


def test_an_agent_that_does_not_answer(agent: AgentProcess) -> None:
    """It hangs: the journal is named."""
    clinic = of_agent(agent)
    agent.process.send_signal(19)
    try:
        found = clinic.require("probes.answer", Status.ERROR, "has not answered")
    finally:
        agent.process.send_signal(18)
    assert "journalctl -u edge-agent" in (found.fix or "")
    clinic.require_well("probes.answer")


@pytest.mark.parametrize(
    ("check", "topic", "right"),
    [
        ("probes.echo", "edge/t/reply/doctor/echo", "readwrite edge/t/reply/doctor/#"),
        ("probes.write", "edge/t/event/fault", "write edge/t/event/fault"),
        ("probes.write", "edge/t/error", "write edge/t/error"),
    ],
)
def test_a_right_that_is_missing(
    make_broker: MakeBroker, tmp_path: Path, check: str, topic: str, right: str
) -> None:
    """The topic is named, and the line of the access list that permits it mends it."""
    denied = f"topic deny {right.partition(' ')[2]}"
    broker = make_broker(acl=RIGHTS.replace("user tester", f"{denied}\nuser tester"))
    clinic = for_broker(broker, tmp_path)
    found = clinic.require(check, Status.ERROR, topic)
    (line,) = commands_in(found.fix or "")
    assert line == f"topic {right}"
    acl = broker.folder / "acl"
    acl.write_text(acl.read_text().replace(denied, line))
    broker.restart()
    clinic.require_well(check)


def test_the_rights_of_the_agent_alone(make_broker: MakeBroker, tmp_path: Path) -> None:
    """They do not let an echo come back: the line that the fix names does."""
    rights = "topic read site/#\ntopic read edge/t/request/+\ntopic write edge/t/#\n"
    broker = make_broker(acl=rights)
    clinic = for_broker(broker, tmp_path)
    found = clinic.require("probes.echo", Status.ERROR, "no echo came")
    clinic.require_well("probes.read", "probes.write")
    (broker.folder / "acl").write_text(f"{commands_in(found.fix or '')[0]}\n{rights}")
    broker.restart()
    clinic.require_well(*ALL)


def test_rights_that_are_missing_together(make_broker: MakeBroker, tmp_path: Path) -> None:
    """One line for all of them."""
    clinic_rights = "topic read edge/t/#\ntopic write edge/t/reply/#\n"
    broker = make_broker(acl=clinic_rights)
    clinic = for_broker(broker, tmp_path)
    found = clinic.require("probes.write", Status.ERROR, "edge/t/event/fault", "edge/t/error")
    (line,) = commands_in(found.fix or "")
    (broker.folder / "acl").write_text(f"{line}\n{clinic_rights}")
    broker.restart()
    clinic.require_well("probes.write")


@pytest.mark.skipif(DYNAMIC_SECURITY is None, reason="Mosquitto without its security plugin")
def test_a_filter_that_we_may_not_read(make_broker: MakeBroker, tmp_path: Path) -> None:
    """Said by the SUBACK, each filter by its name; with the right it is well."""
    rules = tmp_path / "dynamic-security.json"
    rules.write_text(access(subscribe=False))
    rules.chmod(0o600)
    broker = make_broker(extra=f"plugin {DYNAMIC_SECURITY}\nplugin_opt_config_file {rules}")
    clinic = for_broker(broker, tmp_path, source=[{"filter": "a/#"}, {"filter": "b/+"}])
    (result,) = clinic.examine("probes.read").results
    said = [found.text for found in result.findings]
    for name, text in zip(("a/#", "b/+", "edge/t/request/+"), said, strict=True):
        assert f"subscribe to {name}: Not authorized" in text
    broker.stop()
    rules.write_text(access(subscribe=True))
    broker.start()
    clinic.require_well("probes.read")


def access(*, subscribe: bool) -> str:
    rights = {"publishClientSend": True, "publishClientReceive": True, "unsubscribe": True}
    return json.dumps({"defaultACLAccess": {**rights, "subscribe": subscribe}})


def test_a_shared_group_loses_nothing(make_broker: MakeBroker, tmp_path: Path) -> None:
    """The doctor subscribes in a group of its own."""
    broker = make_broker(extra="log_type all")
    clinic = for_broker(broker, tmp_path, source=[{"filter": "$share/workers/site/#"}])
    clinic.require_well("probes.read")
    assert "$share/workers/" not in broker.log
    assert "$share/edge-agent-doctor/site/#" in broker.log


def test_a_session_that_is_forgotten(tmp_path: Path) -> None:
    """What is sent while the agent is away would be lost: an error."""
    with StubBroker() as stub:
        clinic = for_broker(stub, tmp_path)
        clinic.require_well("probes.echo")
        clinic.require("probes.session", Status.ERROR, "forgets a session")


def test_a_queue_that_is_too_small(make_broker: MakeBroker, tmp_path: Path) -> None:
    """The session is there, its messages are not: the fix's lines mend it."""
    with StubBroker(session_present=True) as stub:
        found = for_broker(stub, tmp_path).require("probes.session", Status.ERROR, "not what was")
    extra = "\n".join(commands_in(found.fix or ""))
    assert "max_queued_messages" in extra
    broker = make_broker(extra=extra, max_queued_messages=None)
    for_broker(broker, tmp_path).require_well("probes.session")


def test_a_session_that_is_kept_too_short(broker: Broker, tmp_path: Path) -> None:
    """The broker grants less than asked for."""
    with StubBroker(SESSION_EXPIRY + (3600).to_bytes(4, "big"), session_present=True) as stub:
        stub.keeps = True
        clinic = for_broker(stub, tmp_path)
        found = clinic.require("probes.session", Status.WARNING, "3600 s only", "604800 s")
        assert found.fix
        stub.properties = b""
        clinic.require_well("probes.session")


def test_a_broker_that_ignores_our_window(tmp_path: Path) -> None:
    """It sends all at once, although two were announced as the most."""
    with StubBroker() as stub:
        clinic = for_broker(stub, tmp_path)
        found = clinic.require("probes.window", Status.WARNING, "where 2 were announced")
        assert "2.0.13" in (found.fix or "")
        stub.echoes = False
        clinic.require("probes.window", Status.SKIPPED, "no echo")
