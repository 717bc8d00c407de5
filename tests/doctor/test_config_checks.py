"""Checks of the group config: broken, found, and mended by the fix to the letter."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_agent.doctor.finding import Status
from edge_agent.doctor.groups.config import line_of
from edge_agent.doctor.patient import Patient
from tests.support.machines import NOW_S, again, assert_mended, finding, findings

ERROR, WARNING, OK, SKIPPED = Status.ERROR, Status.WARNING, Status.OK, Status.SKIPPED


def write(patient: Patient, old: str, new: str) -> None:
    text = patient.config_file.read_text()
    assert old in text
    patient.config_file.write_text(text.replace(old, new))


def test_an_unknown_key_is_named_with_its_line_and_what_was_meant(pi5: Patient) -> None:
    """The edit of the line mends it."""
    write(pi5, "threads = 1", "thread = 1")
    assert_mended(pi5, "config.valid", ERROR, "edge-agent.toml line 12", "did you mean threads?")


def test_an_unknown_key_like_no_other_is_to_be_deleted(pi5: Patient) -> None:
    """By its line."""
    write(pi5, "threads = 1", "threads = 1\nzzz = 1")
    assert_mended(pi5, "config.valid", ERROR, "line 13: model.zzz: unknown key")


def test_every_problem_is_a_finding(pi5: Patient) -> None:
    """Each with its own line."""
    write(pi5, "port = 1883", "port = 0")
    write(pi5, 'filter = "site/#"', 'filter = "a/#/b"')
    lines = [f.text.partition(": ")[0].rpartition(" ")[2] for f in findings(pi5, "config.valid")]
    assert lines == ["6", "9"]


def test_a_loop_is_found(pi5: Patient) -> None:
    """Our own events as input."""
    write(pi5, "site/#", "edge/#")
    assert "in a loop" in finding(pi5, "config.valid").text


def test_toml_that_cannot_be_read_names_line_and_column(pi5: Patient) -> None:
    """As the parser says."""
    write(pi5, "port = 1883", "port = ")
    assert "line 6, column 8" in finding(pi5, "config.valid").text


@pytest.mark.parametrize("name", ["edge-agent.toml", "my gateway's.toml"])
def test_an_absent_file_is_made_from_the_sample(tmp_path: Path, name: str) -> None:
    """The sample is complete: with it the configuration can be used."""
    patient = Patient(tmp_path / name)
    assert_mended(patient, "config.valid", ERROR, "no such file")


def test_a_service_without_a_configuration(pi5: Patient) -> None:
    """As after an installation: the command puts the sample in its place."""
    pi5.config_file.unlink()
    assert_mended(pi5, "config.valid", ERROR, "no such file")


def test_a_variable_that_sets_nothing(pi5: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command takes it away, in the shell that has it."""
    monkeypatch.setenv("EDGE_AGENT__MQT__PORT", "1")
    found = finding(pi5, "config.valid")
    assert "did you mean mqtt?" in found.text
    assert "`unset EDGE_AGENT__MQT__PORT`" in (found.fix or "")


def test_a_setting_of_the_environment_has_no_line(
    pi5: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says where else to look."""
    monkeypatch.setenv("EDGE_AGENT__MQTT__KEEPALIVE_S", "1")
    assert "environment or flags" in finding(pi5, "config.valid").text


def test_lines_of_keys_and_tables(tmp_path: Path) -> None:
    """Also in the second table of one name; none for what is not written."""
    file = tmp_path / "c.toml"
    file.write_text(
        '[mqtt]\nport = 1\n[mqtt.tls]\nca_file = "x"\n[[source]]\n[[source]]\nfilter=1\n'
    )
    assert line_of(file, ("mqtt", "port")) == 2
    assert line_of(file, ("mqtt", "tls", "ca_file")) == 4
    assert line_of(file, ("source", 1, "filter")) == 7
    assert line_of(file, ("source", 0, "filter")) is None
    assert line_of(file, ("source", 1)) == 6
    assert line_of(file, ("batch",)) is None


def test_with_a_broken_section_the_others_still_count(pi5: Patient) -> None:
    """The broker is looked for where the file says, though another table is wrong."""
    write(pi5, "host = ", "host2 = ")
    write(pi5, "threads = 1", "threads = 3")
    config = pi5.config
    assert (config.model.threads, config.mqtt.port, config.gateway.id) == (3, 1883, "gw-1")
    assert again(pi5).config.filters == ("site/#", "edge/gw-1/request/+")


def password(patient: Patient, mode: int) -> Path:
    file = patient.path("/etc/edge-agent/mqtt-password")
    file.write_text("secret\n")
    file.chmod(mode)
    write(patient, "port = 1883", 'port = 1883\npassword_file = "mqtt-password"')
    return file


def test_a_password_open_to_all_is_closed(pi5: Patient) -> None:
    """Group members may keep reading it."""
    file = password(pi5, 0o644)
    assert_mended(pi5, "config.modes", WARNING, "everybody may read", "0644")
    assert file.stat().st_mode & 0o777 == 0o640


def test_an_absent_password_is_made(pi5: Patient) -> None:
    """Readable by its owner only."""
    file = password(pi5, 0o600)
    file.unlink()
    assert_mended(pi5, "config.modes", ERROR, "No such file")
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_password_itself_is_never_shown(pi5: Patient) -> None:
    """Whatever is found."""
    password(pi5, 0o644)
    assert "secret" not in repr(findings(pi5, "config.modes"))


@pytest.mark.parametrize("name", ["edge-agent.toml", "my gateway's.toml"])
def test_a_configuration_that_others_may_write_is_closed(pi5: Patient, name: str) -> None:
    """Whoever writes it decides where the messages go."""
    pi5.config_path = pi5.config_file.rename(pi5.config_file.with_name(name))
    pi5.config_file.chmod(0o666)
    assert_mended(pi5, "config.modes", WARNING, "others may write")


def test_a_credential_must_be_loaded_by_the_service(pi5: Patient) -> None:
    """Then its source is examined."""
    secret = pi5.path("/etc/edge-agent/mqtt-password")
    write(pi5, "port = 1883", 'port=1883\npassword_file="$CREDENTIALS_DIRECTORY/mqtt-password"')
    secret.write_text("secret")
    secret.chmod(0o600)
    assert_mended(pi5, "config.modes", ERROR, "loads no credential mqtt-password")
    assert "mqtt-password is closed" in finding(again(pi5), "config.modes").text


def test_a_common_host_name_is_no_identity(pi5: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fix gives the gateway a name of its own."""
    monkeypatch.setattr("socket.gethostname", lambda: "raspberrypi")
    write(pi5, 'id = "gw-1"', "")
    assert_mended(pi5, "config.client_id", WARNING, "edge-agent-raspberrypi")


def process(patient: Patient, started_s: float, *options: str) -> None:
    folder = patient.path("/proc/612")
    folder.mkdir()
    (folder / "cwd").symlink_to(patient.config_file.parent)
    words = ("/usr/bin/python3", "/usr/bin/edge-agent", "run", *options)
    (folder / "cmdline").write_text("\0".join(words) + "\0")
    ticks = int((started_s - 1772440000) * 100)
    before = " ".join(["0"] * 18)
    (folder / "stat").write_text(f"612 (edge-agent) S {before} {ticks} 0 0\n")


def test_a_file_changed_under_a_running_agent(pi5: Patient) -> None:
    """Needs a restart; after it all is well."""
    process(pi5, NOW_S - 100, "--config", str(pi5.config_file))
    os.utime(pi5.config_file, (NOW_S - 50, NOW_S - 50))
    found = finding(pi5, "config.running")
    assert found.status is WARNING
    assert found.fix == "`sudo systemctl restart edge-agent`"
    os.utime(pi5.config_file, (NOW_S - 200, NOW_S - 200))
    assert "process 612" in finding(pi5, "config.running").text


@pytest.mark.parametrize(
    "options",
    [
        ("--config=FOLDER/edge-agent.toml",),
        ("--config", "edge-agent.toml", "--mqtt.port=1883"),
        ("--mqtt.port=1883", "--mqtt.host=localhost"),
    ],
    ids=["in one word", "from its folder", "the usual one"],
)
def test_an_agent_of_this_configuration(pi5: Patient, options: tuple[str, ...]) -> None:
    """However it was named when the agent was started."""
    folder = str(pi5.config_file.parent)
    process(pi5, NOW_S - 100, *(option.replace("FOLDER", folder) for option in options))
    for check in ("config.running", "runtime.process"):
        assert "process 612" in finding(pi5, check).text


@pytest.mark.parametrize("options", [("--config", "/etc/other.toml"), ()])
def test_an_agent_of_another_configuration(pi5: Patient, options: tuple[str, ...]) -> None:
    """Without ``--config`` it runs with the usual one."""
    process(pi5, NOW_S - 100, *options)
    pi5.config_path = pi5.config_file.with_name("mine.toml")
    pi5.config_path.write_text(pi5.path("/etc/edge-agent/edge-agent.toml").read_text())
    assert finding(pi5, "config.running").status is SKIPPED
    assert "process 612" not in finding(pi5, "runtime.process").text


def test_without_a_running_agent_there_is_nothing_to_compare(pi5: Patient) -> None:
    """Doctor works with the daemon stopped."""
    assert finding(pi5, "config.running").status is SKIPPED
