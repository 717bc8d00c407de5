"""The support bundle: complete enough to help, without a secret or a message in it."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.doctor.examine import examine
from edge_agent.doctor.patient import Output, Patient
from edge_agent.doctor.redaction import (
    REDACTED,
    config_data,
    scrub,
    scrub_log,
    scrub_unit,
    secrets_of,
)
from edge_agent.doctor.support import JOURNAL_LINES, Support, collect, write
from edge_agent.doctor.table import CHECKS
from edge_agent.errors import SetupError
from tests.support.agent_process import AgentProcess
from tests.support.broker import Broker
from tests.support.clinic import Clinic
from tests.support.machines import ROOT
from tests.support.mqtt_client import ClientOptions, MqttClient

USER = "device-token-1729"
PASSWORD = 'horse "battery" stäple'
PAYLOAD = "the vault behind pump 7 opens with plugh"
SECRETS = (USER, PASSWORD, "battery", "stäple", "vault", "plugh")
ALL = {
    "README.txt",
    "bundle.json",
    "configuration.json",
    "doctor.json",
    "environment.txt",
    "health.json",
    "journal.txt",
    "state.json",
    "system.txt",
    "unit.txt",
}


def unpacked(path: Path) -> dict[str, str]:
    """The archive's files by name. All of them lie in one folder, readable by their owner."""
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        assert all(m.isfile() and m.name.startswith("edge-agent-support/") for m in members)
        assert {m.mode for m in members} == {0o600}
        return {m.name.partition("/")[2]: archive.extractfile(m).read().decode() for m in members}  # type: ignore[union-attr]


@pytest.fixture
def agent(
    make_broker: Callable[..., Broker],
    make_agent: Callable[..., AgentProcess],
    tiny: Path,
    tmp_path: Path,
) -> AgentProcess:
    """Behind a password, and given messages of every kind that it must complain of."""
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    broker = make_broker(passwords={USER: PASSWORD})
    mqtt = {"username": USER, "password_file": password}
    agent = make_agent(broker, tiny, mqtt=mqtt, health={"interval_s": 1}).start()
    with MqttClient(broker.port, ClientOptions("sender", USER, PASSWORD)) as client:
        client.subscribe("edge/#")
        for payload in (PAYLOAD, f'{{"{PAYLOAD}', f'["{PAYLOAD}', PAYLOAD.encode() + b"\xff"):
            client.publish("site/a", payload)
        client.publish("edge/t/request/classify", json.dumps({"text": PAYLOAD, "reply_to": 5}))
        client.publish("edge/t/request/extract", json.dumps({"text": PAYLOAD}))
        client.wait(lambda: agent.stderr.count("rejected") >= 5, what="rejections")
        client.wait_for(
            lambda m: m.topic.endswith("/health") and m.json["counters"].get("received", 0) > 5
        )
    return agent


def patient_of(agent: AgentProcess, **changes: Any) -> Patient:
    """The machine of the agent, whose journal, slow to read, is what it has written."""

    def commands(words: Any, limit_s: float) -> Output | None:
        in_time = words[0] == "journalctl" and limit_s >= 20
        return Output(0, agent.stderr) if in_time else None

    return Patient(agent.config, commands=commands, **changes)


def packed(patient: Patient, folder: Path) -> dict[str, str]:
    path = folder / "support.tar.gz"
    write(path, collect(patient, examine(CHECKS, patient)), 1_700_000_000.0)
    return unpacked(path)


def test_no_secret_and_no_message_is_in_it(agent: AgentProcess, tmp_path: Path) -> None:
    """Planted in user name, password, messages of every kind, unit and a traceback."""
    patient = patient_of(agent, root=tree(tmp_path))
    with agent.stderr_path.open("a") as journal:
        journal.write(f"Traceback (most recent call last):\n  File x\nValueError: {PAYLOAD}\n")
        journal.write(f"edge_agent.errors.Oops: broker says {PASSWORD}\n")
    found = packed(patient, tmp_path)
    assert set(found) == ALL
    for name, text in found.items():
        for secret in SECRETS:
            assert secret not in text, f"{secret} in {name}"
            assert json.dumps(secret)[1:-1] not in text, f"{secret} in {name}"


def tree(folder: Path) -> Path:
    """A machine whose unit hands the service secrets."""
    root = folder / "root"
    for name in ("usr/lib/systemd/system", "proc", "etc"):
        (root / name).mkdir(parents=True)
    unit = (ROOT / "systemd/edge-agent.service").read_text()
    (root / "usr/lib/systemd/system/edge-agent.service").write_text(unit)
    drop_in = root / "etc/systemd/system/edge-agent.service.d"
    drop_in.mkdir(parents=True)
    (drop_in / "secrets.conf").write_text(
        f"[Service]\nEnvironment=EDGE_AGENT__MQTT__USERNAME={USER}\nSetCredential=mqtt:{PASSWORD}\n"
    )
    (root / "proc/version").write_text("Linux version 6.12")
    return root


def test_what_helps_is_in_it(agent: AgentProcess, tmp_path: Path) -> None:
    """Findings, settings, log, unit, health, digests, versions; no message, but their count."""
    found = packed(patient_of(agent, root=tree(tmp_path)), tmp_path)
    report = json.loads(found["doctor.json"])
    assert {check["id"] for check in report["checks"]} == {check.id for check in CHECKS}
    settings = json.loads(found["configuration.json"])
    assert settings["mqtt"]["username"] == REDACTED
    assert settings["mqtt"]["host"] == "127.0.0.1"
    assert settings["mqtt"]["password_file"].endswith("password")
    assert "code=undecodable" in found["journal.txt"]
    assert "connected" in found["journal.txt"]
    assert "WatchdogSec=30" in found["unit.txt"]
    assert f"Environment={REDACTED}" in found["unit.txt"]
    assert json.loads(found["health.json"])["counters"]["rejected_undecodable"] >= 2
    assert json.loads(found["state.json"])["state"] == "online"
    assert "model.onnx" in json.loads(found["bundle.json"])["files"]
    assert "Linux version" in found["system.txt"]
    assert "missing" not in found["README.txt"]


def test_what_cannot_be_had_is_named_with_its_reason(tmp_path: Path) -> None:
    """Broker away, journal closed, no service, no bundle: the rest is packed."""
    clinic = Clinic.open(tmp_path / "gateway", 1, tmp_path / "no-bundle")
    clinic.patient.root = tmp_path / "empty"
    clinic.patient.commands = lambda *_: Output(1, "No permission")
    found = packed(clinic.patient, tmp_path)
    lines = [line for line in found["README.txt"].splitlines() if line.startswith("missing")]
    missing = {line.split(": ")[1]: line for line in lines}
    assert set(missing) == ALL - set(found)
    assert set(missing) == {"unit.txt", "journal.txt", "health.json", "state.json", "bundle.json"}
    assert "sudo" in missing["journal.txt"]
    assert "Connection refused" in missing["health.json"]
    assert "not installed as a service" in missing["unit.txt"]
    clinic.patient = replace(clinic.patient, commands=lambda *_: None)
    assert "missing: journal.txt: journalctl is not there" in packed_readme(clinic, tmp_path)


def packed_readme(clinic: Clinic, tmp_path: Path) -> str:
    (tmp_path / "support.tar.gz").unlink()
    return packed(clinic.patient, tmp_path)["README.txt"]


def test_of_a_long_journal_the_last_lines(tmp_path: Path) -> None:
    """A thousand, none longer than some hundred characters."""
    clinic = Clinic.open(tmp_path / "gateway", 1)
    text = "".join(f"line {number} {'x' * 9999}\n" for number in range(1500))
    clinic.patient.commands = lambda *_: Output(0, text)
    lines = packed(clinic.patient, tmp_path)["journal.txt"].splitlines()
    assert len(lines) == JOURNAL_LINES
    assert lines[-1].startswith("line 1499 xxx")
    assert max(map(len, lines)) <= 500


def test_a_broken_configuration_gives_no_secret_away(tmp_path: Path) -> None:
    """Names and passwords are found in its text, wherever they should not stand."""
    file = tmp_path / "edge-agent.toml"
    file.write_text(
        f'[mqtt]\nport = "x"\nusername = "{USER}"\npassword = "hunter2-{USER}"\n[[source]]\n'
    )
    found = packed(Patient(file, commands=lambda *_: Output(0, f"says {USER}, hunter2")), tmp_path)
    for name, text in found.items():
        assert USER not in text, name
    assert f"says {REDACTED}" in found["journal.txt"]
    assert "mqtt.port" in found["doctor.json"]


def test_names_that_everybody_sees_are_no_secrets(tmp_path: Path) -> None:
    """Else a user called edge-agent would blot out our own name."""
    clinic = Clinic.open(tmp_path / "gateway", 1, mqtt={"username": "edge-agent"})
    assert secrets_of(clinic.patient.config, clinic.file.read_text()) == ()


def test_a_short_user_name_is_not_shown_either(tmp_path: Path) -> None:
    """Too short to be searched for in texts, it is taken out where it stands."""
    clinic = Clinic.open(tmp_path / "gateway", 1, mqtt={"username": "bob"})
    assert config_data(clinic.patient.config)["mqtt"]["username"] == REDACTED


@pytest.mark.parametrize(
    "quoted", [str, repr, json.dumps, lambda s: json.dumps(s, ensure_ascii=False)]
)
def test_a_secret_is_found_however_it_is_quoted(quoted: Callable[[str], str]) -> None:
    """In JSON, in what Python shows, and as it is."""
    assert scrub(f"user {quoted(PASSWORD)} refused", (PASSWORD,)).strip('"') in {
        f"user {before}{REDACTED}{before} refused" for before in ("", '"', "'")
    }


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("ValueError: it quotes the text", f"ValueError: {REDACTED}"),
        ("a.b.CustomError: text", f"a.b.CustomError: {REDACTED}"),
        ("Jan 1 gw edge-agent[7]: KeyError: 'x'", f"Jan 1 gw edge-agent[7]: KeyError: {REDACTED}"),
        ("level=warning event=rejected problem=an Error: x", None),
        ('  File "agent.py", line 3, in run', None),
    ],
)
def test_log_lines(line: str, wanted: str | None) -> None:
    """Exceptions keep their type alone; our own lines, which hold no payload, stay."""
    assert scrub_log(line) == f"{wanted or line}\n"


@pytest.mark.parametrize(
    "next_line",
    [
        "timestamp=x level=info event=stopping",
        '{"timestamp": "x", "level": "info", "event": "stopping"}',
        "Jan 1 gw systemd[1]: edge-agent.service: Main process exited",
        "not connected problem=x fix=y",
        "Traceback (most recent call last):",
    ],
)
def test_an_exception_that_goes_on_over_lines(next_line: str) -> None:
    """All of its message is taken out, until somebody else speaks."""
    error = f"ValueError: 1 problem in\n{PAYLOAD}\n  event={PAYLOAD}\n"
    shown = scrub_log(f"first\n{error}{next_line}\nlast").splitlines()
    assert shown == ["first", f"ValueError: {REDACTED}", REDACTED, REDACTED, next_line, "last"]


def test_private_keys() -> None:
    """Also one that is cut off."""
    key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n"
    assert scrub(f"a {key}-----END EC PRIVATE KEY----- b", ()) == f"a {REDACTED} b"
    assert scrub(f"a {key}", ()) == f"a {REDACTED}"


def test_a_unit_keeps_what_is_no_secret() -> None:
    """Values handed over are taken out, files named stay."""
    unit = "Environment=A=b\nLoadCredential=mqtt:/etc/x\nSetCredential = c\n"
    assert scrub_unit(unit) == (
        f"Environment={REDACTED}\nLoadCredential=mqtt:/etc/x\nSetCredential ={REDACTED}\n"
    )


def test_the_file_is_for_its_owner_and_never_written_over(tmp_path: Path) -> None:
    """Whatever the umask; another file of the name stays as it is."""
    path = tmp_path / "a.tar.gz"
    old = os.umask(0)
    try:
        write(path, Support({"README.txt": "x"}), 0.0)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    for bad in (path, tmp_path / "no/folder.tar.gz"):
        with pytest.raises(SetupError, match=bad.name) as caught:
            write(bad, Support({}), 0.0)
        assert "--out" in caught.value.fix
    assert path.read_bytes() == before


def test_half_a_file_does_not_stay(tmp_path: Path) -> None:
    """Once there is room, the same command works."""
    path, support = tmp_path / "a.tar.gz", Support({"noise.txt": os.urandom(20_000).hex()})
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        with pytest.raises(SetupError, match="File too large"):
            write(path, support, 0.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not path.exists()
    assert write(path, support, 0.0) == path.stat().st_size > 4096


def test_the_command(agent: AgentProcess, tmp_path: Path) -> None:
    """Names the file, what is missing and how to look through it; 0 whatever was found."""
    command = [sys.executable, "-m", "edge_agent", "support-bundle", "--config", str(agent.config)]
    shown = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert shown.returncode == 0, shown.stderr
    (path,) = tmp_path.glob("edge-agent-support-t-*.tar.gz")
    assert str(path.name) in shown.stdout
    assert "without unit.txt:" in shown.stdout
    assert (
        shown.stdout.splitlines()[-1]
        == f"look through it before you send it: tar -xzOf {path.name} | less"
    )
    found = unpacked(path)
    assert "health.json" in found
    for text in found.values():
        assert not any(secret in text for secret in SECRETS)
    assert agent.process.poll() is None
