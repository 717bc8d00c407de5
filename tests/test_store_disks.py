"""Disks that refuse: full, read-only, not ours. What was in use stays in use, the fix is true."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.store import Store
from tests.support.releases import make_version

ROOT = Path(__file__).parents[1]
BUNDLE = f"{shlex.quote(sys.executable)} -m edge_agent bundle"
OTHER_USER = """
import os, sys
from edge_agent.cli import main
if os.geteuid() == 0:
    os.seteuid(65534)
sys.exit(main(sys.argv[1:]))
"""

Shell = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A mount point."""
    (tmp_path / "disk").mkdir()
    for version in ("1.0.0", "1.1.0"):
        make_version(tmp_path, version)
    return tmp_path / "disk"


@pytest.fixture
def shell(disk: Path) -> Shell:
    """Runs lines below a folder that has a disk of 64 KiB of its own, at ``disk``."""

    def run(script: str) -> subprocess.CompletedProcess[str]:
        mount = f"mount -t tmpfs -o size=64k tmpfs {disk}"
        command = ["unshare", "-rm", "sh", "-c", f"{mount} || exit 99; {script}"]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
        )
        if done.returncode in (1, 99) and not done.stdout:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        return done

    return run


def test_a_full_disk(disk: Path, shell: Shell, tmp_path: Path) -> None:
    """The old one stays in use, no leftovers fill what is left; with room made, it goes in."""
    store = f"--store {disk}/store"
    done = shell(
        f"{BUNDLE} install {tmp_path}/tiny-1.0.0 {store}; "
        f"cat /dev/zero > {disk}/log 2>/dev/null; truncate -s -4096 {disk}/log; "
        f"df {disk} | tail -1; "
        f"{BUNDLE} install {tmp_path}/tiny-1.1.0 {store}; echo code $?; df {disk} | tail -1; "
        f"{BUNDLE} verify {disk}/store/tiny/current; "
        f"rm {disk}/log; {BUNDLE} install {tmp_path}/tiny-1.1.0 {store}"
    )
    assert "No space left on device" in done.stderr
    assert f"fix: make room on it: df -h {disk}/store" in done.stderr
    assert "code 78" in done.stdout
    before, after = (line.split()[2] for line in done.stdout.splitlines() if "tmpfs" in line)
    assert before == after
    assert "tiny 1.0.0 (" in done.stdout.partition("code 78")[2]
    assert done.returncode == 0
    assert "instead of 1.0.0-" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="what others mount they may not mount anew")
def test_a_read_only_disk(disk: Path, shell: Shell, tmp_path: Path) -> None:
    """The command that is printed makes it writable; reading needs none."""
    store = f"--store {disk}/store"
    done = shell(
        f"{BUNDLE} install {tmp_path}/tiny-1.0.0 {store} && mount -o remount,ro {disk}; "
        f"{BUNDLE} list {store}; {BUNDLE} install {tmp_path}/tiny-1.1.0 {store} 2>{tmp_path}/said; "
        f"sed -n 's/.*fix: make it writable: sudo //p' {tmp_path}/said > {tmp_path}/fix; "
        f"sh {tmp_path}/fix && {BUNDLE} install {tmp_path}/tiny-1.1.0 {store}"
    )
    assert "Read-only file system" in (tmp_path / "said").read_text()
    assert (tmp_path / "fix").read_text().startswith("mount -o remount,rw")
    assert "1.0.0" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")
    assert "instead of 1.0.0-" in done.stdout


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may enter and none but its owner may change."""
    with tempfile.TemporaryDirectory(prefix="edge-agent-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("words", [["install", "tiny-1.1.0"], ["rollback"]])
def test_somebody_else_s_store(shared: Path, words: list[str]) -> None:
    """Whoever may not write may read, and is told what would help."""
    store = Store(shared / "store")
    for version in ("1.0.0", "1.1.0"):
        store.install(make_version(shared, version))
    locked = [store.root, store.root / "tiny", store.root / ".lock"]
    for path in locked:
        path.chmod(path.stat().st_mode & 0o555)
    command = [sys.executable, "-c", OTHER_USER, "bundle"]
    done, listed = (
        subprocess.run(
            [*command, *arguments, "--store", store.root],
            cwd=shared, env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, check=False,
        )
        for arguments in (words, ["list"])
    )  # fmt: skip
    for path in locked:
        path.chmod(path.stat().st_mode | 0o700)
    assert done.returncode == 78
    assert f"{store.root}/.lock: Permission denied" in done.stderr
    assert "fix: say it again with sudo" in done.stderr
    assert "current" in listed.stdout
