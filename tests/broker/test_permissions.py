"""What the broker forbids is a person's to mend: said clearly, nothing lost, exit 78."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.broker.conftest import observer
from tests.support.agent_process import AgentProcess
from tests.support.broker import Broker
from tests.support.mqtt_client import ClientOptions
from tests.support.site import Site, unique_topic
from tests.support.waiting import wait_until

EXIT_SETUP = 78
OWN_TOPICS = """
topic readwrite site/#
topic read edge/t/request/#
topic write edge/t/state
topic write edge/t/health
topic write edge/t/error
topic write edge/t/reply/#
"""
TESTER = """
user tester
topic readwrite #
"""
MAY_NOT_PUBLISH = OWN_TOPICS + TESTER
MAY_PUBLISH = f"{OWN_TOPICS}topic write edge/t/event/#\n{TESTER}"
MAY_PUBLISH_NOTHING = f"topic read site/#\n{TESTER}"
COUNT = 40
DYNAMIC_SECURITY = next(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"), None)


@pytest.fixture
def make_fenced(
    make_broker: Callable[..., Broker], make_agent: Callable[..., AgentProcess], tiny: Path
) -> Iterator[Callable[[str], Site]]:
    """A site whose broker has this access list; the observer may do everything."""
    opened = []

    def make(acl: str) -> Site:
        broker = make_broker(acl=acl)
        watching = observer(broker, ClientOptions("observer", "tester"))
        opened.append(watching)
        return Site(broker, make_agent(broker, tiny), watching.__enter__())

    yield make
    for watching in opened:
        watching.__exit__(None, None, None)


def require_said(stderr: str, *words: str) -> None:
    """Problem and fix at the end of standard error, and no traceback."""
    problem, found, fix = stderr.rpartition("edge-agent: ")[2].partition("\n  fix: ")
    assert found, stderr
    assert "Traceback" not in stderr
    for word in words:
        assert word in f"{problem}\n{fix}", stderr


def test_a_refused_event_loses_nothing(make_fenced: Callable[[str], Site]) -> None:
    """Exit 78 with topic and fix, nothing acknowledged; with the right mended, all events come."""
    site = make_fenced(MAY_NOT_PUBLISH)
    site.agent.start()
    assert site.agent.stop() == 0
    topics = [unique_topic() for _ in range(COUNT)]
    for topic in topics:
        site.send(topic, "pump 7 is leaking")
    for _ in range(2):
        site.agent.start(wait=False)
        assert site.agent.wait_exit() == EXIT_SETUP
        require_said(site.agent.stderr, "edge/t/event/fault", "Not authorized", "ACL")
        assert not [m for m in site.client.received if "/event/" in m.topic]
    site.broker.set_acl(MAY_PUBLISH)
    site.agent.start()
    seen = [site.results(topic)[0].topic for topic in topics]
    assert seen == ["edge/t/event/fault"] * COUNT
    site.require_well()


def test_a_right_withdrawn_while_at_work(make_fenced: Callable[[str], Site]) -> None:
    """Told at the next message; it and those after it wait at the broker."""
    site = make_fenced(MAY_PUBLISH)
    site.agent.start()
    site.require_well()
    site.broker.set_acl(MAY_NOT_PUBLISH)
    topics = [unique_topic() for _ in range(5)]
    for topic in topics:
        site.send(topic, "pump 7 is leaking")
    assert site.agent.wait_exit() == EXIT_SETUP
    site.broker.set_acl(MAY_PUBLISH)
    site.agent.start()
    for topic in topics:
        site.results(topic)
    site.require_well()


def test_a_refused_birth(make_fenced: Callable[[str], Site]) -> None:
    """Not even the state may be published: said before any message is touched."""
    site = make_fenced(MAY_PUBLISH_NOTHING)
    site.agent.start(wait=False)
    assert site.agent.wait_exit() == EXIT_SETUP
    require_said(site.agent.stderr, "edge/t/state", "Not authorized", "edge/t/#")
    require_said(site.agent.stderr, "let clients without a user name write")


@pytest.mark.skipif(DYNAMIC_SECURITY is None, reason="Mosquitto without its security plugin")
def test_a_refused_subscription(
    make_broker: Callable[..., Broker],
    make_agent: Callable[..., AgentProcess],
    tiny: Path,
    tmp_path: Path,
) -> None:
    """A broker that says no in its SUBACK: exit 78, with the filter and the fix."""
    rights = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False}
    rules = tmp_path / "dynamic-security.json"
    rules.write_text(json.dumps({"defaultACLAccess": {**rights, "unsubscribe": True}}))
    rules.chmod(0o600)
    plugin = f"plugin {DYNAMIC_SECURITY}\nplugin_opt_config_file {rules}"
    agent = make_agent(make_broker(extra=plugin), tiny).start(wait=False)
    assert agent.wait_exit() == EXIT_SETUP
    require_said(agent.stderr, "subscription to site/#", "Not authorized", "read site/#")
    require_said(agent.stderr, "let clients without a user name read")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_wrong_password(
    make_broker: Callable[..., Broker],
    make_agent: Callable[..., AgentProcess],
    tiny: Path,
    tmp_path: Path,
    protocol: str,
) -> None:
    """Exit 78 naming user and settings, never the password; the right one is let in."""
    broker = make_broker(passwords={"gateway": "right horse"})
    secret = tmp_path / "password"
    secret.write_text("wrong battery\n")
    login = {"username": "gateway", "password_file": secret, "protocol": protocol}
    agent = make_agent(broker, tiny, mqtt=login).start(wait=False)
    assert agent.wait_exit() == EXIT_SETUP
    require_said(agent.stderr, "'gateway'", "mqtt.password_file", f"127.0.0.1:{broker.port}")
    assert "battery" not in agent.stderr
    secret.write_text("right horse\n")
    agent.start()
    assert agent.stop() == 0


@pytest.mark.parametrize("at_broker_first", [True, False])
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_password_that_is_replaced(
    make_broker: Callable[..., Broker],
    make_agent: Callable[..., AgentProcess],
    tiny: Path,
    tmp_path: Path,
    protocol: str,
    at_broker_first: bool,
) -> None:
    """Who was let in before waits, says why, and comes back with the new one: nobody may be there
    to start it again. On either side first; while the file is away too."""
    broker = make_broker(passwords={"gateway": "old horse"})
    secret = tmp_path / "password"
    secret.write_text("old horse\n")
    login = {"username": "gateway", "password_file": secret, "protocol": protocol}
    agent = make_agent(broker, tiny, mqtt={**login, "max_reconnect_wait_s": 1}).start()
    wait_until(lambda: "session=" in agent.stderr, what="the first session")
    if at_broker_first:
        broker.set_password("gateway", "new horse")
        broker.restart()
        wait_until(lambda: "refused client" in agent.stderr, what="the refusal")
    secret.unlink()
    broker.restart()
    wait_until(lambda: f"mqtt.password_file {secret}" in agent.stderr, what="the missing file")
    broker.set_password("gateway", "new horse")
    broker.restart()
    secret.write_text("new horse\n")
    wait_until(lambda: agent.stderr.count("session=") == 2, what="the second session")
    assert "horse" not in agent.stderr
    assert agent.stop() == 0


def test_no_credentials_where_they_are_needed(
    make_broker: Callable[..., Broker], make_agent: Callable[..., AgentProcess], tiny: Path
) -> None:
    """Exit 78: the broker will not change its mind."""
    agent = make_agent(make_broker(passwords={"gateway": "x"}), tiny).start(wait=False)
    assert agent.wait_exit() == EXIT_SETUP
    require_said(agent.stderr, "refused client 'edge-agent-t'", "mqtt.username")


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_password_file_that_cannot_be_read(
    broker: Broker,
    make_agent: Callable[..., AgentProcess],
    tiny: Path,
    tmp_path: Path,
    content: bytes | None,
) -> None:
    """Missing or no text: exit 78 with its path."""
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    agent = make_agent(broker, tiny, mqtt={"username": "x", "password_file": path})
    agent.start(wait=False)
    assert agent.wait_exit() == EXIT_SETUP
    require_said(agent.stderr, str(path), f"write the password into {path}")


def test_a_credential_that_the_unit_does_not_hand_over(
    broker: Broker,
    make_agent: Callable[..., AgentProcess],
    tiny: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The line that the unit lacks is named, and no folder with a dollar in its name."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    path = "$CREDENTIALS_DIRECTORY/mqtt-password"
    agent = make_agent(broker, tiny, mqtt={"username": "x", "password_file": path})
    agent.start(wait=False)
    assert agent.wait_exit() == EXIT_SETUP
    line = "LoadCredential=mqtt-password:/etc/edge-agent/mqtt-password"
    require_said(agent.stderr, "$CREDENTIALS_DIRECTORY is not set", line)
