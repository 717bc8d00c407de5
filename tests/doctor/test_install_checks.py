"""Checks of the group install, on the unit that we ship."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.doctor.finding import Status
from edge_agent.doctor.patient import Patient
from tests.support.machines import UNIT, WANTS, again, assert_mended, finding, findings, run
from tests.support.tiny_bundle import tiny_bundle

ERROR, WARNING, OK, SKIPPED = Status.ERROR, Status.WARNING, Status.OK, Status.SKIPPED
SERVICE_CHECKS = ("install.user", "install.enabled", "install.watchdog", "install.restarts")


@pytest.mark.parametrize(
    ("change", "said"),
    [({"machine": "armv7l"}, "no build for this architecture"), ({"libc": "musl 1.2"}, "glibc")],
)
def test_where_the_runtime_has_no_build(pi5: Patient, change: dict[str, str], said: str) -> None:
    """A 32-bit or a musl system."""
    pi5.platform = replace(pi5.platform, **change)
    found = finding(pi5, "install.version")
    assert found.status is WARNING
    assert said in found.text


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [("paho_mqtt", "1.6.1", ">=2.1 is needed"), ("paho_mqtt", "3.0.0", "<3 is needed")],
)
def test_a_library_of_the_wrong_version(
    pi5: Patient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    version: str,
    said: str,
) -> None:
    """The fix names the version that is wanted: pip, run as printed, finds it satisfied here."""
    folder = tmp_path / f"site/{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: paho-mqtt\nVersion: {version}\n"
    )
    monkeypatch.syspath_prepend(str(folder.parent))
    (found,) = findings(pi5, "install.dependencies")
    assert found.status is ERROR
    assert f"paho-mqtt {version} is installed" in found.text
    assert said in found.text
    assert found.fix is not None
    run(found.fix.strip("`"), pi5)
    shutil.rmtree(folder)
    assert finding(pi5, "install.dependencies").status is OK


def test_a_library_that_does_not_load(pi5: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right version of files that are damaged."""
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    monkeypatch.delitem(sys.modules, "edge_agent.inference.encode")
    found = finding(pi5, "install.dependencies")
    assert found.status is ERROR
    assert "tokenizers" in found.text


@pytest.mark.parametrize("fault", ["version", "load"])
def test_an_environment_without_pip(
    pi5: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """As the Debian package has it: the package, installed again, brings its libraries."""
    monkeypatch.setitem(sys.modules, "pip", None)
    if fault == "load":
        monkeypatch.setitem(sys.modules, "tokenizers", None)
        monkeypatch.delitem(sys.modules, "edge_agent.inference.encode", raising=False)
    else:
        folder = tmp_path / "site/paho_mqtt-1.6.1.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: paho-mqtt\nVersion: 1.6.1\n")
        monkeypatch.syspath_prepend(str(folder.parent))
    found = finding(pi5, "install.dependencies")
    assert found.status is ERROR
    assert (
        found.fix
        == "`sudo apt-get install --reinstall ./edge-agent_*.deb`, in the folder of that file"
    )


def test_a_user_that_is_not_there(pi5: Patient) -> None:
    """systemd-sysusers, with the file that we ship, makes user and group."""
    for name in ("passwd", "group"):
        file = pi5.path(f"/etc/{name}")
        lines = [line for line in file.read_text().splitlines() if "edge-agent" not in line]
        file.write_text("\n".join(lines) + "\n")
    folder = pi5.path("/usr/lib/sysusers.d")
    folder.mkdir(parents=True)
    shutil.copy("systemd/edge-agent.sysusers.conf", folder / "edge-agent.conf")
    assert_mended(pi5, "install.user", ERROR, "wants user edge-agent of group edge-agent")


def test_a_service_that_runs_as_root(pi5: Patient) -> None:
    """The edit gives it the user."""
    unit = pi5.root / UNIT
    unit.write_text(unit.read_text().replace("User=edge-agent\n", ""))
    assert_mended(pi5, "install.user", WARNING, "as root")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: folders of other users")
@pytest.mark.parametrize(("key", "name"), [("state", "var/lib"), ("runtime", "run")])
def test_a_folder_that_the_agent_may_not_write(pi5: Patient, key: str, name: str) -> None:
    """It becomes the agent's."""
    os.chown(pi5.root / name / "edge-agent", 0, 0)
    (pi5.root / name / "edge-agent").chmod(0o755)  # others may enter, but not write
    assert_mended(
        pi5, f"install.{key}", ERROR, f"paths.{key}_dir", "cannot be written by edge-agent"
    )


@pytest.mark.parametrize("name", ["edge-agent", "my gateway's"])
def test_a_file_where_the_folder_should_be(pi5: Patient, name: str) -> None:
    """It is moved away."""
    folder = pi5.path(f"/var/lib/{name}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("")
    if name != "edge-agent":
        text = pi5.config_file.read_text()
        pi5.config_file.write_text(f'{text}\n[paths]\nstate_dir = "{folder}"\n')
    before = findings(pi5, "install.state")
    assert "is not a folder" in before[0].text
    assert before[0].fix is not None
    run(before[0].fix.strip("`").replace("sudo ", ""), pi5)
    assert not folder.exists()


def test_crash_counts_on_a_disk(pi5: Patient) -> None:
    """They are written with every batch: the edit moves them to RAM."""
    mounts = pi5.path("/proc/mounts")
    mounts.write_text(mounts.read_text().replace("tmpfs /run ", "tmpfs /elsewhere "))
    found = finding(pi5, "install.runtime")
    assert found.status is WARNING
    assert "/dev/mmcblk0p2, not in RAM" in found.text
    assert 'set `runtime_dir = "/run/edge-agent"` below [paths]' in (found.fix or "")


def test_a_service_that_does_not_start_with_the_machine(pi5: Patient) -> None:
    """`systemctl enable` sets the link."""
    assert finding(pi5, "install.enabled").status is OK
    (pi5.root / WANTS).unlink()
    assert_mended(pi5, "install.enabled", WARNING, "does not start with the machine")


@pytest.mark.parametrize("name", ["Restart", "WatchdogSec", "RestartPreventExitStatus"])
def test_a_unit_without_a_safeguard(pi5: Patient, name: str) -> None:
    """Each is put back by the edit; the unit that we ship has all."""
    assert finding(pi5, "install.watchdog").status is OK
    unit = pi5.root / UNIT
    lines = [ln for ln in unit.read_text().splitlines() if not ln.startswith(f"{name}=")]
    unit.write_text("\n".join(lines))
    assert_mended(pi5, "install.watchdog", WARNING, f"{name} is not set")


def test_drop_ins_count(pi5: Patient) -> None:
    """What `systemctl edit` wrote comes after the unit; an empty value clears it."""
    folder = pi5.path("/etc/systemd/system/edge-agent.service.d")
    folder.mkdir(parents=True)
    (folder / "override.conf").write_text("[Service]\nWatchdogSec=\n")
    assert "WatchdogSec is not set" in finding(pi5, "install.watchdog").text
    (folder / "override.conf").write_text("[Service]\nWatchdogSec=90\n")
    assert "90 s" in finding(pi5, "install.watchdog").text
    (folder / "override.conf").write_text("[Service]\nWatchdogSec=1min\n")
    assert "or 1min without" in finding(pi5, "install.watchdog").text


def test_restarts_are_counted(pi5: Patient) -> None:
    """With the last result, and where to read why."""
    name = "systemctl show edge-agent.service --property=NRestarts,Result"
    (pi5.root / ".commands" / name).write_text("NRestarts=12\nResult=watchdog\n")
    found = finding(pi5, "install.restarts")
    assert found.status is WARNING
    assert "12 restarts, last result: watchdog" in found.text
    (pi5.root / ".commands" / name).unlink()
    assert finding(pi5, "install.restarts").status is SKIPPED


@pytest.mark.parametrize("check", SERVICE_CHECKS)
def test_without_a_service_there_is_nothing_to_examine(pi5: Patient, check: str) -> None:
    """An agent started by hand or in a container is no fault."""
    (pi5.root / UNIT).unlink()
    assert finding(again(pi5), check).status is SKIPPED


def name(patient: Patient, table: str, key: str, path: Path) -> Path:
    """The configuration names this path."""
    old = patient.config_file.read_text().replace(f"[{table}]", f'[{table}]\n{key} = "{path}"')
    added = "" if f"[{table}]" in old else f'\n[{table}]\n{key} = "{path}"\n'
    patient.config_file.write_text(old + added)
    return path


@pytest.mark.parametrize("closed", ["", "..", "model.onnx"])
def test_a_bundle_that_the_service_may_not_read(pi5: Patient, closed: str) -> None:
    """Root may, which makes no difference to the service."""
    bundle = name(pi5, "model", "bundle", tiny_bundle(pi5.root / "srv/closed/tiny"))
    assert finding(again(pi5), "install.access").status is OK
    place = (bundle / closed).resolve()
    place.chmod(0)
    found = finding(again(pi5), "install.access") if os.getuid() == 0 else None
    place.chmod(0o755)
    if found is None:
        pytest.skip("needs root to look into a closed folder")
    assert found.status is ERROR
    assert found.text == f"model.bundle: edge-agent may not read {place}"
    assert found.fix is not None
    assert found.fix.startswith(f"`sudo edge-agent bundle install {bundle}`, then set `bundle`")


def test_a_bundle_that_the_unit_hides(pi5: Patient) -> None:
    """Whatever its modes are: no service sees what lies below /home."""
    name(pi5, "specialists.order", "bundle", tiny_bundle(pi5.root / "home/pi/tiny"))
    found = finding(again(pi5), "install.access")
    assert found.status is ERROR
    assert found.text.startswith("specialists.order.bundle: ")
    assert found.text.endswith("edge-agent.service hides /home from the service")
    unit = pi5.root / UNIT
    unit.write_text(unit.read_text().replace("ProtectHome=yes", "ProtectHome=no"))
    assert finding(again(pi5), "install.access").status is OK


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to give a file to a group")
@pytest.mark.parametrize("key", ["ca_file", "key_file"])
def test_tls_files_that_the_service_may_not_read(pi5: Patient, key: str) -> None:
    """A certificate is opened to all; of a key the service gets a copy."""
    for one in ("ca_file", "cert_file", "key_file"):
        (pi5.root / one).write_text("")
        name(pi5, "mqtt.tls", one, pi5.root / one)
    assert finding(again(pi5), "install.access").status is OK
    (pi5.root / key).chmod(0)
    assert_mended(again(pi5), "install.access", ERROR, f"mqtt.tls.{key}: edge-agent may not read")
    opened = (pi5.root / key).stat().st_mode & 0o004
    assert bool(opened) is (key == "ca_file")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to look into a closed folder")
@pytest.mark.parametrize("closed", ["", ".."])
def test_a_configuration_that_the_service_may_not_read(pi5: Patient, closed: str) -> None:
    """As an editor, or `mkdir`, with a strict umask leaves it."""
    (pi5.config_file / closed).resolve().chmod(0)
    assert_mended(pi5, "install.access", ERROR, "--config: edge-agent may not read")


def test_what_is_not_for_the_service_may_be_closed(pi5: Patient, tmp_path: Path) -> None:
    """Who tries another configuration by hand reads with rights of their own."""
    other = tmp_path / "mine.toml"
    shutil.copy(pi5.config_file, other)
    other.chmod(0o600)
    assert finding(replace(pi5, config_path=other), "install.access").unused
    (pi5.root / UNIT).unlink()
    assert finding(again(pi5), "install.access").unused
