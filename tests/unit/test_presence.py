"""The running agent as other processes see it."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.cli import main
from edge_agent.presence import FLOCK, Presence, reload_since, running_pid
from tests.support.agent_process import ROOT, write_config
from tests.support.waiting import wait_until

HOLD = """
import sys, time
from pathlib import Path
from edge_agent.presence import Presence
Presence(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_nobody_is_there(tmp_path: Path) -> None:
    """No folder, no file, or a file that nobody holds."""
    assert running_pid(tmp_path / "absent") is None
    assert running_pid(tmp_path) is None
    (tmp_path / "agent.lock").write_text("")
    assert running_pid(tmp_path) is None


def test_the_process_is_named_until_it_is_killed(tmp_path: Path) -> None:
    """By the kernel: nothing needs to be cleaned up, and a second one does not take its place."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert running_pid(tmp_path) == process.pid
        second = Presence(tmp_path)
        assert running_pid(tmp_path) == process.pid
        second.close()
        process.kill()
    wait_until(lambda: running_pid(tmp_path) is None, what="the lock to go")


def test_a_lock_without_a_holder_names_nobody(tmp_path: Path) -> None:
    """The kernel says -1 then, which to kill(2) means every process of the machine."""
    (tmp_path / "agent.lock").write_text("")
    with (tmp_path / "agent.lock").open("r+b") as held:
        whole = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(held, fcntl.F_OFD_SETLK, whole)
        assert running_pid(tmp_path) is None


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """Neither to hold it nor to ask."""
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "agent.lock").symlink_to(tmp_path / "elsewhere")
    for act in (Presence, running_pid):
        with pytest.raises(OSError, match="symbolic links"):
            act(tmp_path)


def test_word_is_left_of_a_reload(tmp_path: Path) -> None:
    """For those who asked before it began, and for nobody else."""
    presence = Presence(tmp_path)
    assert reload_since(tmp_path, 0.0) is None
    presence.tell({"outcome": "changed"}, began_s=5.0)
    assert reload_since(tmp_path, 5.0) == {"outcome": "changed"}
    assert reload_since(tmp_path, 5.1) is None
    presence.close()
    presence = Presence(tmp_path)
    assert reload_since(tmp_path, 5.0) is None
    (tmp_path / "reload.json").write_text("{")
    assert reload_since(tmp_path, 0.0) is None
    presence.close()


def test_word_that_cannot_be_left_stops_nobody(tmp_path: Path) -> None:
    """The reload itself has happened."""
    presence = Presence(tmp_path)
    (tmp_path / "reload.json.new").mkdir()
    presence.tell({"outcome": "changed"}, began_s=5.0)
    assert reload_since(tmp_path, 0.0) is None
    presence.close()


def test_whom_to_ask_is_not_looked_for_through_a_link(
    tmp_path: Path, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`edge-agent reload` says what lies there and how to mend it; it shows no traceback."""
    config = write_config(tmp_path / "c.toml", 1, tiny)
    (tmp_path / "run" / "agent.lock").symlink_to(tmp_path / "elsewhere")
    assert main(["reload", "--config", str(config)]) == 78
    said = capsys.readouterr().err
    (fix,) = re.findall(r"sudo (rm .*), then", said)
    subprocess.run(fix, shell=True, check=True)
    assert main(["reload", "--config", str(config)]) == 78
    assert "no agent runs with the runtime directory" in capsys.readouterr().err


def test_an_agent_that_ends_before_it_hears(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look for it and the signal; `edge-agent reload` shows no traceback."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    monkeypatch.setattr("edge_agent.commands.reload.running_pid", lambda _: process.pid)
    config = write_config(tmp_path / "c.toml", 1, None)
    assert main(["reload", "--config", str(config)]) == 78
    assert "the agent ended meanwhile" in capsys.readouterr().err
