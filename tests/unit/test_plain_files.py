"""Bundles and configurations that the disk, or their owner, does not let us read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.bundle import load_bundle
from edge_agent.cli import main
from edge_agent.errors import BundleError
from edge_agent.manifest import MANIFEST
from edge_agent.plain_files import read_plain, reading
from tests.support.agent_process import ROOT, write_config
from tests.support.tiny_bundle import entry, tiny_bundle

AS_NOBODY = """
import os, sys
from edge_agent.cli import main
main(sys.argv[1:])
os.setgroups([]), os.setgid(65534), os.setuid(65534)
print("AS NOBODY", file=sys.stderr, flush=True)
sys.exit(main(sys.argv[1:]))
"""
"""The first run imports everything, which others may not be allowed to read."""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may look into; pytest's own are closed."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def as_nobody(config: Path) -> tuple[int, str]:
    """Exit status of check-config, and what it says on standard error."""
    command = [sys.executable, "-c", AS_NOBODY, "check-config", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return done.returncode, done.stderr.partition("AS NOBODY")[2]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to close a folder to others")
@pytest.mark.parametrize("closed", [".", "tiny", "tiny/bundle.json", "tiny/model.onnx"])
def test_what_only_root_may_read_can_be_installed_for_all(open_folder: Path, closed: str) -> None:
    """Status 78: a service that may not read its bundle is not started again for ever."""
    bundle = tiny_bundle(open_folder / "home" / "tiny")
    place = open_folder / "home" / closed
    place.chmod(place.stat().st_mode & 0o700)
    config = write_config(open_folder / "edge-agent.toml", 1, bundle)
    code, said = as_nobody(config)
    assert (code, "Traceback" in said) == (78, False), said
    assert f"bundle {bundle}: cannot be read: Permission denied" in said
    (fix,) = re.findall(r"sudo edge-agent (bundle install \S+),", said)
    store = open_folder / "store"
    assert main([*fix.split(), "--store", str(store)]) == 0
    code, said = as_nobody(write_config(config, 1, store / "tiny" / "current"))
    assert code == 0, said


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to close a file to others")
def test_a_configuration_that_only_root_may_read(open_folder: Path) -> None:
    """As a file that was edited with a strict umask; the command opens it to the service."""
    config = write_config(open_folder / "edge-agent.toml", 1, tiny_bundle(open_folder / "tiny"))
    config.chmod(0o600)
    code, said = as_nobody(config)
    assert (code, "Traceback" in said) == (78, False), said
    assert f"configuration {config}: Permission denied" in said
    (fix,) = re.findall(r"sudo (chmod \S+ \S+)", said)
    subprocess.run(fix.split(), check=True)
    assert as_nobody(config)[0] == 0


def test_a_disk_that_fails_is_named() -> None:
    """With the file at which it failed: here one that the kernel never lets anybody read."""
    place = Path("/proc/self")
    with (
        pytest.raises(BundleError, match="cannot be read: Input/output error") as caught,
        reading(place),
    ):
        read_plain(place, "mem", 16)
    assert "dmesg" in caught.value.fix


@pytest.mark.parametrize("name", ["model.onnx", "sub"])
@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_a_link_can_be_replaced_as_printed(
    tmp_path: Path, name: str, make: Callable[[Path, Path], None]
) -> None:
    """A file or a folder, one or the other kind of link, and a blank in the path."""
    bundle, elsewhere = tiny_bundle(tmp_path / "my bundle"), tmp_path / "elsewhere"
    (bundle / "sub").mkdir()
    (bundle / "sub" / "data").write_bytes(b"x")
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["files"]["sub/data"] = entry(b"x")
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    linked = bundle / name if make is os.symlink or name != "sub" else bundle / "sub" / "data"
    linked.rename(elsewhere)
    make(elsewhere, linked)
    with pytest.raises(BundleError, match="is a link") as caught:
        load_bundle(bundle)
    (fix,) = re.findall("`(.*)`", caught.value.fix)
    subprocess.run(fix, shell=True, check=True)
    assert load_bundle(bundle).contents["sub/data"] == b"x"
