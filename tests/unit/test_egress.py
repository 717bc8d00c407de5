"""What the hardened service is let out to: the broker's addresses and name servers, no more."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.cli import main
from edge_agent.egress import DROP_IN, Egress, beyond, drop_in, egress, name_servers
from edge_agent.errors import ConfigError
from edge_agent.transport.address import BrokerAddress, unreachable
from tests.support.agent_process import ROOT, write_config

HOST_ADDRESS = "192.0.2.7"
RESOLV_CONF = """\
# a comment
search plant.example
nameserver 127.0.0.53
nameserver 192.0.2.53
nameserver fe80::1%eth0
nameserver
options edns0
"""


@pytest.fixture
def resolvers(tmp_path: Path) -> Path:
    path = tmp_path / "resolv.conf"
    path.write_text(RESOLV_CONF)
    return path


def test_this_machine_needs_no_drop_in(resolvers: Path) -> None:
    """`localhost` and its addresses are allowed by the unit itself."""
    assert not egress("localhost", 1883, resolvers)
    assert not egress("127.0.0.1", 1883, resolvers)
    assert not egress("::1", 1883, resolvers)


def test_an_address_needs_no_name_server(resolvers: Path) -> None:
    """Nothing is looked up for it."""
    assert egress(HOST_ADDRESS, 1883, resolvers) == Egress((HOST_ADDRESS,), ())


def test_a_name_needs_the_name_servers_of_other_machines(
    resolvers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolver of this machine asks outside the service; others are asked from within."""
    found = [(2, 1, 6, "", (HOST_ADDRESS, 1883)), (10, 1, 6, "", ("2001:db8::7", 1883, 0, 0))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
    allowed = egress("broker.plant.example", 1883, resolvers)
    assert allowed == Egress((HOST_ADDRESS, "2001:db8::7"), ("192.0.2.53", "fe80::1"))
    assert drop_in("broker.plant.example", allowed).splitlines()[1:] == [
        "[Service]",
        "IPAddressAllow=192.0.2.7 2001:db8::7",
        "# to look up the name",
        "IPAddressAllow=192.0.2.53 fe80::1",
    ]


def test_an_unknown_name_is_named_with_a_fix() -> None:
    """`.invalid` never resolves (RFC 6761)."""
    with pytest.raises(ConfigError, match=r"broker\.invalid") as caught:
        egress("broker.invalid", 1883, Path("/nowhere"))
    assert "getent hosts broker.invalid" in caught.value.fix


def test_a_missing_resolv_conf_names_no_server(tmp_path: Path) -> None:
    assert name_servers(tmp_path / "absent") == ()


def test_addresses_are_named_once_and_in_order() -> None:
    """Socket types give an address several times."""
    assert beyond(["192.0.2.9", "192.0.2.7", "192.0.2.9", "no address"]) == (
        "192.0.2.9",
        "192.0.2.7",
    )


def run_command(tmp_path: Path, host: str) -> tuple[int, Path]:
    config = write_config(tmp_path / "c.toml", 1883, None, mqtt={"host": host})
    place = tmp_path / "edge-agent.service.d/10-broker.conf"
    return main(["allow-broker", "--config", str(config), "--drop-in", str(place)]), place


def test_the_command_writes_the_drop_in_and_takes_it_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Written for a broker elsewhere; gone when the broker is this machine again."""
    code, place = run_command(tmp_path, HOST_ADDRESS)
    assert (code, "IPAddressAllow=192.0.2.7\n" in place.read_text()) == (0, True)
    assert "sudo systemctl daemon-reload" in capsys.readouterr().out
    code, place = run_command(tmp_path, "localhost")
    assert (code, place.exists()) == (0, False)


def test_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what the disk asks for: here no rights would help."""
    (tmp_path / "edge-agent.service.d").write_text("a file, no folder")
    code, place = run_command(tmp_path, HOST_ADDRESS)
    assert code == 78
    said = capsys.readouterr().err
    assert f"{place.parent}: " in said
    assert f"fix: see what lies there: ls -ld {place.parent}\n" in said


def test_the_command_needs_no_model(tmp_path: Path) -> None:
    """It is run on a gateway that does not work yet: no model, no MQTT library is loaded."""
    code = (
        "import sys; from edge_agent.cli import main; "
        f"main(['allow-broker', '--config', {str(tmp_path / 'c.toml')!r}]); "
        "print(sorted({'onnxruntime', 'paho'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("host", "told"), [("192.0.2.7", True), ("localhost", False), ("127.0.0.1", False)]
)
def test_an_unreachable_broker_elsewhere_points_to_the_command(host: str, *, told: bool) -> None:
    """A filtered connection only times out, so the fix must tell of the filter."""
    fix = unreachable(BrokerAddress(host, 1883, "c"), "timed out").fix
    assert ("edge-agent allow-broker" in fix) is told


def test_a_purge_takes_what_allow_broker_wrote() -> None:
    """The drop-in of this name, and nothing beside it."""
    script = (ROOT / "deb/postrm").read_text()
    (folder,) = re.findall(r"^DROP_INS=(.*)$", script, re.MULTILINE)
    removed = re.findall(r"^rm -f \$DROP_INS/(.*)$", script, re.MULTILINE)
    assert [Path(folder, name) for name in removed] == [DROP_IN]
