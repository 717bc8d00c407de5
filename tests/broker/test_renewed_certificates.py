"""Certificates that are replaced while messages flow: no session is lost, no message, no name."""

from __future__ import annotations

import os
import shutil
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_agent.transport.address import BrokerAddress
from edge_agent.transport.base import CredentialsSeen, Inbox, SessionEnded, SessionStarted
from edge_agent.transport.paho import PahoTransport
from tests.support.agent_process import AgentProcess
from tests.support.broker import Broker, Certificates, free_port, make_certificates, wait_for_log
from tests.support.mqtt_client import ClientOptions, MqttClient
from tests.support.waiting import PATIENCE_S, wait_until

MakeBroker = Callable[..., Broker]
MakeAgent = Callable[..., AgentProcess]
MESSAGES_A_STEP = 40


@dataclass
class Site:
    """A broker that asks for certificates, an agent with files of its own, and who watches both.

    The watcher and the sender use a second listener without TLS.
    """

    broker: Broker
    agent: AgentProcess
    client: MqttClient
    files: Certificates
    old: Certificates
    new: Certificates
    sent: int = 0

    def flow(self) -> None:
        """Messages are sent, without waiting for what becomes of them."""
        for _ in range(MESSAGES_A_STEP):
            self.client.send("site/a", f"pump {self.sent} leaking")
            self.sent += 1

    def write(self, target: Path, *sources: Path) -> None:
        """Replaces a file as a careful tool does: whole, by renaming."""
        fresh = target.with_suffix(".fresh")
        fresh.write_bytes(b"".join(source.read_bytes() for source in sources))
        fresh.replace(target)

    def said(self, words: str, count: int = 1) -> None:
        """Waits until the agent's log has it so often."""
        wait_until(
            lambda: self.agent.stderr.count(words) >= count,
            PATIENCE_S,
            lambda: f"{words} x {count}:\n{self.agent.stderr}",
        )

    def restart_broker(self, **files: Path) -> None:
        """With other files; both sides come back to it.

        The broker has acknowledged what the watcher sent: it would send the rest once more, and
        to the agent that would be another message.
        """
        self.client.wait_until_acknowledged(PATIENCE_S)
        connects = self.client.connects
        names = {**self.broker_files, **files}
        self.broker.certificates = Certificates(**names)
        self.broker.restart()
        self.client.wait_until_back(connects, PATIENCE_S)

    @property
    def broker_files(self) -> dict[str, Path]:
        assert self.broker.certificates is not None
        return dict(vars(self.broker.certificates))

    def events(self) -> dict[str, set[str]]:
        """Ids by text."""
        found: dict[str, set[str]] = defaultdict(set)
        for message in self.client.received:
            if "/event/" in message.topic:
                event = message.json
                found[event["data"]["text"]].add(event["id"])
        return found

    def require_all(self) -> None:
        """An event for each message sent, and never a second name for one."""
        wanted = {f"pump {i} leaking" for i in range(self.sent)}
        self.client.wait(lambda: self.events().keys() >= wanted, PATIENCE_S, "all events")
        assert self.events().keys() == wanted
        assert all(len(ids) == 1 for ids in self.events().values())

    def health(self) -> dict[str, Any]:
        documents = [m.json for m in self.client.received if m.topic == "edge/t/health"]
        assert documents, "no health yet"
        latest: dict[str, Any] = documents[-1]
        return latest


@pytest.fixture
def site(
    make_broker: MakeBroker, make_agent: MakeAgent, tiny: Path, tmp_path: Path
) -> Iterator[Site]:
    plain = free_port()
    broker = make_broker(
        tls=True,
        require_certificate=True,
        persistence=True,
        extra=f"listener {plain} 127.0.0.1\nmax_inflight_messages 20",
    )
    old, new = broker.certificates, make_certificates(tmp_path / "new", "New authority")
    assert old is not None
    (tmp_path / "files").mkdir()
    names = {"ca": "ca.pem", "client_cert": "client.pem", "client_key": "client.key"}
    mine = {name: tmp_path / "files" / path for name, path in names.items()}
    for name, path in mine.items():
        shutil.copy(getattr(old, name), path)
    files = Certificates(**mine, server_cert=old.server_cert, server_key=old.server_key)
    tls = {"ca_file": files.ca, "cert_file": files.client_cert, "key_file": files.client_key}
    agent = make_agent(
        broker,
        tiny,
        mqtt={"host": "localhost", "max_reconnect_wait_s": 1, "tls": {**tls, "watch_s": 1}},
        health={"interval_s": 1},
    )
    with MqttClient(plain, ClientOptions("watcher", persistent=True)) as client:
        client.subscribe("edge/#")
        agent.start()
        wait_until(lambda: "STATUS=subscribed" in agent.notify.lines, PATIENCE_S, "subscribed")
        yield Site(broker, agent, client, files, old, new)


def test_everything_is_replaced_while_messages_flow(site: Site) -> None:
    """CA, both pairs, in the order of the documents; the broker restarts twice; zero lost."""
    site.flow()
    site.write(site.files.ca, site.old.ca, site.new.ca)
    site.said("TLS files renewed")
    site.flow()
    both = site.files.ca.with_name("both.pem")
    site.write(both, site.old.ca, site.new.ca)
    server = {"server_cert": site.new.server_cert, "server_key": site.new.server_key}
    site.restart_broker(ca=both, **server)
    site.flow()
    site.write(site.files.client_cert, site.new.client_cert)
    site.said("TLS files not used")
    site.flow()
    site.write(site.files.client_key, site.new.client_key)
    site.said("TLS files renewed", 2)
    site.flow()
    site.restart_broker(ca=site.new.ca)
    site.write(site.files.ca, site.new.ca)
    site.said("TLS files renewed", 3)
    site.flow()
    site.require_all()
    assert site.agent.stderr.count("session=new") == 1
    assert site.agent.stop() == 0


def test_one_renewal_is_one_reconnect(site: Site) -> None:
    """Clean: no will is published, nothing counts as a lost connection, the session is resumed."""
    site.flow()
    site.write(site.files.ca, site.old.ca, site.new.ca)
    site.said("TLS files renewed")
    site.said("session=resumed")
    site.flow()
    site.require_all()
    site.client.wait(lambda: site.health()["counters"]["connects"] == 2, PATIENCE_S, "health")
    assert "disconnects" not in site.health()["counters"]
    assert site.agent.stderr.count("TLS files renewed") == 1
    states = [m.json["state"] for m in site.client.received if m.topic == "edge/t/state"]
    assert states == ["online", "online"]
    assert site.health()["tls"]["problem"] == ""
    assert site.health()["tls"]["expires_in_days"].keys() == {"ca", "client"}


@pytest.mark.parametrize("what", ["garbage", "foreign-key", "missing", "other-authority"])
def test_files_that_will_not_do_leave_the_connection_alone(site: Site, what: str) -> None:
    """Half written, of two pairs, gone, or not what the broker goes with: said once, kept on."""
    if what == "garbage":
        site.files.client_cert.write_text("-----BEGIN CERTIFICATE-----\nMIIB")
    elif what == "foreign-key":
        site.write(site.files.client_key, site.new.client_key)
    elif what == "missing":
        site.files.client_key.unlink()
    else:
        site.write(site.files.ca, site.new.ca)
    site.said("TLS files not used")
    site.flow()
    site.require_all()
    site.client.wait(lambda: site.health()["tls"]["problem"], PATIENCE_S, "the problem in health")
    site.write(site.files.ca, site.old.ca, site.new.ca)
    site.write(site.files.client_cert, site.old.client_cert)
    site.write(site.files.client_key, site.old.client_key)
    site.said("TLS files renewed")
    site.client.wait(lambda: not site.health()["tls"]["problem"], PATIENCE_S, "no problem")
    assert site.agent.stderr.count("TLS files not used") <= 3
    assert "disconnects" not in site.health()["counters"]


def test_a_pair_the_broker_turns_away(site: Site) -> None:
    """In TLS 1.3 that shows only after the handshake: still nothing is given up for it."""
    site.write(site.files.client_cert, site.new.client_cert)
    site.write(site.files.client_key, site.new.client_key)
    site.said("the broker does not go with them")
    site.said("openssl s_client")
    site.flow()
    site.require_all()
    assert "disconnects" not in site.health()["counters"]


def test_a_broken_file_does_not_stop_a_reconnect(site: Site) -> None:
    """Half written at the moment the connection breaks: what was good before is used."""
    site.files.client_cert.write_text("-----BEGIN CERTIFICATE-----\nMIIB")
    site.restart_broker()
    site.said("session=resumed")
    site.flow()
    site.require_all()


def test_a_broker_that_is_ahead(site: Site) -> None:
    """It has certificates of the new CA before we have that CA: we wait for the file, not for a
    person to start us again."""
    server = {"server_cert": site.new.server_cert, "server_key": site.new.server_key}
    site.restart_broker(ca=site.new.ca, **server)
    site.said("its certificate is not trusted")
    site.flow()
    site.write(site.files.ca, site.new.ca)
    site.write(site.files.client_cert, site.new.client_cert)
    site.write(site.files.client_key, site.new.client_key)
    site.require_all()
    assert site.agent.process.poll() is None
    wait_for_log(site.broker, "u'edge-agent'")


def test_certificates_that_end_soon(site: Site) -> None:
    """Made for one day: warned of at the start, with what to do, then once a day."""
    for name in ("ca", "client"):
        site.said(f"the {name} certificate")
    site.client.wait(lambda: site.client.count > 4, PATIENCE_S, "some health messages")
    assert site.agent.stderr.count("TLS certificate ends") == 2
    assert "mqtt.tls.cert_file" in site.agent.stderr
    days = site.health()["tls"]["expires_in_days"]
    assert 0 < days["ca"] <= 1
    assert 0 < days["client"] <= 1


def test_sighup_looks_at_once(make_broker: MakeBroker, make_agent: MakeAgent, tiny: Path) -> None:
    """Who has replaced the files need not wait for the next look."""
    broker = make_broker(tls=True)
    made = broker.certificates
    assert made is not None
    tls = {"ca_file": made.ca, "watch_s": 3600}
    agent = make_agent(broker, tiny, mqtt={"host": "localhost", "tls": tls}).start()
    wait_until(lambda: "STATUS=subscribed" in agent.notify.lines, PATIENCE_S, "subscribed")
    made.ca.write_bytes(made.ca.read_bytes() * 2)
    os.kill(agent.pid, signal.SIGHUP)
    wait_until(lambda: "session=resumed" in agent.stderr, PATIENCE_S, lambda: agent.stderr)
    assert "TLS files renewed" in agent.stderr


def test_looking_again_when_asked(make_broker: MakeBroker) -> None:
    """Long before it would be time: for who has just replaced the files."""
    broker = make_broker(tls=True)
    made = broker.certificates
    assert made is not None
    tls = {"tls": True, "ca_file": made.ca, "tls_watch_s": 3600.0}
    inbox = Inbox(1)
    transport = PahoTransport(BrokerAddress("localhost", broker.port, "me", **tls))

    def next_of(kind: type) -> Any:
        return wait_until(lambda: isinstance(s := inbox.get(0.1), kind) and s, PATIENCE_S, kind)

    transport.start(inbox)
    assert next_of(SessionStarted).epoch == 1
    next_of(CredentialsSeen)
    made.ca.write_bytes(made.ca.read_bytes() * 2)
    transport.look_again()
    assert next_of(SessionEnded).error is None
    assert next_of(CredentialsSeen).renewed
    assert next_of(SessionStarted).epoch == 2
    assert inbox.get(2.5) is None, "looks again without being asked"
    transport.stop(5)
