"""``edge-agent doctor`` as a command: options, exit codes, what it prints."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.cli import main
from edge_agent.doctor import table
from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import ok
from edge_agent.doctor.table import CHECKS, groups
from tests.support.agent_process import ROOT, write_config
from tests.support.broker import make_certificates
from tests.support.tiny_bundle import tiny_bundle

AS_NOBODY = """
import os, sys
from edge_agent.cli import main
main(sys.argv[1:])
os.setgroups([]), os.setgid(65534), os.setuid(65534)
print("AS NOBODY", flush=True)
sys.exit(main(sys.argv[1:]))
"""
"""The first run imports everything, which others may not be allowed to read."""
INFORMATION = {"hardware.board", "hardware.gpu", "broker.software"}
"""They say what is there; nothing about it needs mending."""
OFFLINE = ["--only", "config", "model", "install.version"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A good configuration with the default bundle."""
    return write_config(tmp_path / "edge-agent.toml", 1, None)


def doctor(*arguments: object) -> int:
    return main(["doctor", *map(str, arguments)])


def test_in_order_is_0(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With every selected check on the screen, and a summary."""
    assert doctor("--config", config, *OFFLINE) == 0
    shown = capsys.readouterr().out
    assert "✓ valid" in shown
    assert f"`edge-agent doctor --config {config} --probe`" in shown


def test_an_unusable_configuration_is_78(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The other groups still run."""
    config.write_text("[mqtt\n")
    assert doctor("--config", config, *OFFLINE) == 78
    shown = capsys.readouterr().out
    assert "✗ valid" in shown
    assert "✓ files" in shown


def test_errors_are_1(config: Path, tmp_path: Path, tiny: Path) -> None:
    """Here a damaged bundle."""
    (tiny / "model.onnx").unlink()
    broken = write_config(tmp_path / "broken.toml", 1, tiny)
    assert doctor("--config", broken, *OFFLINE) == 1


def test_warnings_are_errors_only_under_strict(config: Path, tmp_path: Path, tiny: Path) -> None:
    """A bundle without calibration."""
    uncalibrated = write_config(tmp_path / "u.toml", 1, tiny)
    assert doctor("--config", uncalibrated, *OFFLINE) == 0
    assert doctor("--config", uncalibrated, *OFFLINE, "--strict") == 1


def test_a_bug_of_the_doctor_is_70(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a check, or of the frame around them."""
    bad = Check("a.b", "a bug", lambda _: ok(str(1 // 0)))
    monkeypatch.setattr(table, "CHECKS", (bad,))
    assert doctor("--config", config) == 70
    monkeypatch.setattr("edge_agent.doctor.screen.draw", lambda *_: 1 // 0)
    assert doctor("--config", config) == 70


def test_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object: a summary, and each check with its findings."""
    assert doctor("--config", config, "--json", "--only", "config") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["summary"]["error"] == 0
    first = report["checks"][0]
    assert (first["id"], first["status"]) == ("config.valid", "ok")
    assert set(first["findings"][0]) == {"status", "text", "fix", "details"}


def listed(capsys: Any, *arguments: str) -> list[str]:
    assert doctor("--list", *arguments) == 0
    return [line.split()[0] for line in capsys.readouterr().out.splitlines()]


def test_list_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Every id once, grouped."""
    names = listed(capsys)
    assert names == [check.id for check in CHECKS]
    assert len(set(names)) == len(names)


def test_ids_groups_and_globs(capsys: pytest.CaptureFixture[str]) -> None:
    """Name checks; --skip takes away."""
    assert listed(capsys, "--only", "time") == [c.id for c in CHECKS if c.group == "time"]
    assert listed(capsys, "--only", "*.space", "model.f*") == ["model.files", "storage.space"]
    rest = listed(capsys, "--skip", *[g for g in groups() if g != "config"], "config.v*")
    assert rest == ["config.modes", "config.client_id", "config.running"]


def test_an_unknown_id_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """With the nearest that there is."""
    with pytest.raises(SystemExit) as caught:
        doctor("--only", "hardwear.memory")
    assert caught.value.code == 2
    assert "did you mean hardware.memory?" in capsys.readouterr().err


def test_settings_as_flags_count(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And stand in the next command."""
    assert doctor("--config", config, "--mqtt.port=0", "--only", "config.valid") == 78
    shown = capsys.readouterr().out
    assert "mqtt.port" in shown
    assert "--mqtt.port=0 --only config.valid`" in shown


def test_verbose_shows_the_causes(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the readings behind a finding."""
    assert doctor("--config", config, "--verbose", "--only", "model.files") == 0
    assert "digest " in capsys.readouterr().out


def test_every_check_is_described() -> None:
    """A precondition comes before what needs it, and the groups are not mixed."""
    seen: set[str] = set()
    for check in CHECKS:
        assert set(check.needs) <= seen, check.id
        assert check.examines
        assert check.mends or check.id in INFORMATION, check.id
        seen.add(check.id)
    assert [check.group for check in CHECKS] == sorted(
        (check.group for check in CHECKS), key=groups().index
    )


def process(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=False, **options
    )


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_terminal_that_has_no_other_characters(config: Path, encoding: str) -> None:
    """Marks and texts are spelled in what it has; a pipe gets no colours."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    shown = process(
        "-m", "edge_agent", "doctor", "--config", str(config), "--only", "config", env=environment
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.isascii() is (encoding == "ascii")
    assert "\x1b" not in shown.stdout


NEVER_DONE = """
import sys
from pathlib import Path
from edge_agent.bundle import load_bundle
from edge_agent.cli import main
from edge_agent.doctor import table
from edge_agent.doctor.check import Check
from edge_agent.specialists import load_specialist

specialist = load_specialist(load_bundle(Path(sys.argv[1])), threads=1)

def work_on(_):
    while True:
        specialist.predict(["pump"])

table.CHECKS = (Check("a.b", "a check that is never done", work_on, time_limit_s=0.2),)
sys.exit(main([*sys.argv[3:], "--config", sys.argv[2]]))
"""


@pytest.mark.parametrize("command", ["doctor", "support-bundle"])
def test_a_check_that_was_given_up_changes_no_exit_code(
    config: Path, tiny: Path, tmp_path: Path, command: str
) -> None:
    """It may be in the model's library still, which aborts where the interpreter ends below it."""
    words = [command, *(["--out", str(tmp_path / "x.tar.gz")] if command != "doctor" else [])]
    shown = process("-c", NEVER_DONE, str(tiny), str(config), *words)
    assert (shown.returncode, shown.stderr) == (1 if command == "doctor" else 0, "")
    assert shown.stdout.endswith("\n")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may look into; pytest's own are closed."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def as_nobody(config: Path, code: int) -> dict[str, Any]:
    words = ("doctor", "--config", str(config), "--json", "--skip", "broker", "runtime")
    shown = process("-c", AS_NOBODY, *words)
    report = json.loads(shown.stdout.partition("AS NOBODY")[2])
    assert [c for c in report["checks"] if c["status"] == "crashed"] == []
    assert shown.returncode == code, shown.stderr
    return {check["id"]: check for check in report["checks"]}


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_as_nobody(open_folder: Path) -> None:
    """Every check ends in a finding; none crashes for want of rights."""
    config = write_config(open_folder / "edge-agent.toml", 1, None)
    checks = as_nobody(config, 1)
    assert checks["config.valid"]["status"] == "ok"
    assert checks["network.tcp"]["status"] == "error"


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to close a folder to others")
def test_a_configuration_that_only_root_may_read(open_folder: Path) -> None:
    """As /etc/edge-agent is installed: a warning that says what root would add, no crash."""
    closed = open_folder / "edge-agent"
    closed.mkdir(mode=0o750)
    checks = as_nobody(write_config(closed / "edge-agent.toml", 1, None), 1)
    (found,) = checks["config.valid"]["findings"]
    assert found["status"] == "warning"
    assert found["fix"] == "`sudo edge-agent doctor`"


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to close a folder to others")
def test_a_bundle_that_only_root_may_read(open_folder: Path) -> None:
    """Skipped, and named."""
    bundle = tiny_bundle(open_folder / "closed")
    bundle.chmod(0o700)
    config = write_config(open_folder / "edge-agent.toml", 1, bundle)
    (found,) = as_nobody(config, 1)["model.files"]["findings"]
    assert found["text"].startswith(f"only root can see {bundle}")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to close a folder to others")
def test_a_key_that_only_root_may_look_at(open_folder: Path) -> None:
    """Skipped, and named: it may be as well as can be."""
    made = make_certificates(open_folder)
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    key = made.client_key.rename(closed / "key.pem")
    tls = {"ca_file": str(made.ca), "cert_file": str(made.client_cert), "key_file": str(key)}
    config = write_config(open_folder / "edge-agent.toml", 1, None, mqtt={"tls": tls})
    (found,) = as_nobody(config, 1)["tls.files"]["findings"]
    assert found["text"].startswith(f"only root can see {key}")


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("unshare"), reason="needs unshare")
def test_without_any_network(config: Path) -> None:
    """Not even a loopback: the local groups are as well as ever."""
    command = ["unshare", "-n", sys.executable, "-m", "edge_agent", "doctor", "--json"]
    shown = subprocess.run(
        [*command, "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )
    if "unshare failed" in shown.stderr:
        pytest.skip("may not leave the network")
    report = json.loads(shown.stdout)
    assert report["summary"]["crashed"] == 0
    status = {check["id"]: check["status"] for check in report["checks"]}
    assert status["model.files"] == "ok"
