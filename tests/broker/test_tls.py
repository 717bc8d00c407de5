"""TLS with an authority of one's own: whom the agent trusts, and who is let in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.broker.test_permissions import EXIT_SETUP, require_said
from tests.support.agent_process import AgentProcess
from tests.support.broker import Broker, Certificates, make_certificates
from tests.support.waiting import wait_until

Make = Callable[..., AgentProcess]
MakeBroker = Callable[..., Broker]


def settings(tls: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"host": "localhost", **more, "tls": tls}


def certificates(broker: Broker) -> Certificates:
    assert broker.certificates is not None
    return broker.certificates


def wait_subscribed(agent: AgentProcess) -> None:
    wait_until(lambda: "STATUS=subscribed" in agent.notify.lines, what=lambda: agent.stderr)


def require_refused(agent: AgentProcess, *words: str) -> None:
    agent.start(wait=False)
    assert agent.wait_exit() == EXIT_SETUP
    require_said(agent.stderr, *words)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_the_right_authority(
    make_broker: MakeBroker, make_agent: Make, tiny: Path, protocol: str
) -> None:
    """Connects, whatever name of the certificate it goes by."""
    broker = make_broker(tls=True)
    tls = {"ca_file": certificates(broker).ca}
    for host in ("localhost", "127.0.0.1"):
        agent = make_agent(broker, tiny, mqtt=settings(tls, host=host, protocol=protocol))
        agent.start()
        wait_subscribed(agent)
        assert agent.stop() == 0


def test_the_wrong_authority(
    make_broker: MakeBroker, make_agent: Make, tiny: Path, tmp_path: Path
) -> None:
    """Not trusted: exit 78, with the setting to mend."""
    broker = make_broker(tls=True)
    (tmp_path / "other").mkdir()
    other = make_certificates(tmp_path / "other")
    require_refused(
        make_agent(broker, tiny, mqtt=settings({"ca_file": other.ca})),
        "its certificate is not trusted",
        "mqtt.tls.ca_file",
    )


def test_no_authority(make_broker: MakeBroker, make_agent: Make, tiny: Path) -> None:
    """The system's authorities do not know ours."""
    agent = make_agent(make_broker(tls=True), tiny)
    agent.environment["EDGE_AGENT__MQTT__TLS"] = "{}"
    require_refused(agent, "its certificate is not trusted", "mqtt.tls.ca_file")


def test_another_name(make_broker: MakeBroker, make_agent: Make, tiny: Path) -> None:
    """A good certificate of somebody else: exit 78, with the setting to mend."""
    broker = make_broker(tls=True)
    tls = {"ca_file": certificates(broker).ca}
    require_refused(
        make_agent(broker, tiny, mqtt=settings(tls, host="127.1")),
        "its certificate is not trusted",
        "127.1",
        "mqtt.host",
    )


def test_a_client_certificate(make_broker: MakeBroker, make_agent: Make, tiny: Path) -> None:
    """Shown where the broker asks for one, and its name is our user."""
    broker = make_broker(tls=True, require_certificate=True)
    made = certificates(broker)
    tls = {"ca_file": made.ca, "cert_file": made.client_cert, "key_file": made.client_key}
    agent = make_agent(broker, tiny, mqtt=settings(tls)).start()
    wait_subscribed(agent)
    assert "u'edge-agent'" in broker.log
    assert agent.stop() == 0


def test_no_client_certificate(make_broker: MakeBroker, make_agent: Make, tiny: Path) -> None:
    """The broker hangs up after the handshake without a reason: said, and tried again."""
    broker = make_broker(tls=True, require_certificate=True)
    tls = {"ca_file": certificates(broker).ca}
    agent = make_agent(broker, tiny, mqtt=settings(tls)).start()
    wait_until(lambda: agent.stderr.count("not connected") >= 2, what=lambda: agent.stderr)
    assert "Traceback" not in agent.stderr
    assert "STATUS=subscribed" not in agent.notify.lines


@pytest.mark.parametrize("broken", ["missing", "garbage", "foreign-key"])
def test_unusable_files(
    make_broker: MakeBroker, make_agent: Make, tiny: Path, tmp_path: Path, broken: str
) -> None:
    """Exit 78 with the files' names."""
    broker = make_broker(tls=True)
    made = certificates(broker)
    files = {"ca_file": made.ca, "cert_file": made.client_cert, "key_file": made.client_key}
    if broken == "missing":
        files["ca_file"] = tmp_path / "missing.pem"
    elif broken == "garbage":
        files["ca_file"] = tmp_path / "garbage.pem"
        files["ca_file"].write_text("no certificate")
    else:
        files["key_file"] = made.server_key
    require_refused(
        make_agent(broker, tiny, mqtt=settings(files)), "mqtt.tls", *map(str, files.values())
    )


def test_tls_towards_a_broker_without(broker: Broker, make_agent: Make, tiny: Path) -> None:
    """No handshake to be had: said, and tried again, for the broker may change."""
    agent = make_agent(broker, tiny)
    agent.environment["EDGE_AGENT__MQTT__TLS"] = "{}"
    agent.environment["EDGE_AGENT__MQTT__CONNECT_TIMEOUT_S"] = "2"
    agent.start()
    wait_until(lambda: agent.stderr.count("not connected") >= 2, what=lambda: agent.stderr)
    assert "Traceback" not in agent.stderr


def test_a_broker_with_tls_and_an_agent_without(
    make_broker: MakeBroker, make_agent: Make, tiny: Path
) -> None:
    """Told that TLS may be what is missing."""
    agent = make_agent(make_broker(tls=True), tiny, mqtt={"connect_timeout_s": 2}).start()
    wait_until(lambda: agent.stderr.count("not connected") >= 1, what=lambda: agent.stderr)
    assert "TLS" in agent.stderr
