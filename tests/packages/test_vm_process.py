"""Commands of the emulated machine: none outlives an interruption or its limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from tools.vm.process import carry_out

SCRIPT = """\
trap 'echo cleaned >{out}/cleaned' EXIT
sleep 300 &
echo $! >{out}/child.part; mv {out}/child.part {out}/child
wait
"""
WAITER = """\
import signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from tools.vm.process import carry_out, interrupt_when_told
interrupt_when_told()
try:
    carry_out(["bash", "-c", {script!r}], 300)
except KeyboardInterrupt:
    raise SystemExit(130)
"""


def content_of(path: Path, limit_s: float = 60.0) -> str:
    """Of a file that is about to come."""
    end = time.monotonic() + limit_s
    while not path.exists():
        assert time.monotonic() < end, f"no {path.name}"
        time.sleep(0.02)
    return path.read_text()


def is_gone(pid: int) -> bool:
    """Ended, whether or not somebody has asked how."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


@pytest.fixture
def waiter(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for a script, which waits for a child."""
    code = WAITER.format(script=SCRIPT.format(out=tmp_path))
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_interrupts_it_ends_the_command_and_its_children(
    waiter: subprocess.Popen[bytes], tmp_path: Path, number: signal.Signals
) -> None:
    """The script still removes its own half-made files."""
    child = int(content_of(tmp_path / "child"))
    assert not is_gone(child)
    waiter.send_signal(number)
    assert waiter.wait(60) == 130
    wait_until(lambda: is_gone(child), what="the end of the child")
    assert (tmp_path / "cleaned").exists()


def test_a_command_ends_at_its_limit() -> None:
    command = ["sleep", f"300.{os.getpid()}"]
    with pytest.raises(subprocess.TimeoutExpired):
        carry_out(command, limit_s=0.1)
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert " ".join(command) not in running.stdout.splitlines()


def test_output_is_kept_and_a_failure_raised(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log, pytest.raises(subprocess.CalledProcessError):
        carry_out(["sh", "-c", "echo out; echo err >&2; exit 3"], 60, log)
    assert (tmp_path / "log").read_text() == "out\nerr\n"
