"""Who was there at a crash: counted over real processes that really die."""

from __future__ import annotations

import faulthandler
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent import crashes
from edge_agent.crashes import ID_BYTES, MAX_COUNTS, CrashRecord
from edge_agent.errors import ConfigError

ROOT = Path(__file__).parents[2]
FIRST, SECOND = "a" * ID_BYTES, "b" * ID_BYTES

CHILD = """
import os, signal, sys
from pathlib import Path
from edge_agent.crashes import CrashRecord
record = CrashRecord(Path(sys.argv[1]))
ids = sys.argv[3:]
{body}
"""
AT_WORK = "with record.working_on(ids): {deed}"
AFTER_WORK = "with record.working_on(ids): pass\n{deed}"
KILL = "os.kill(os.getpid(), getattr(signal, sys.argv[2]))"
RAISE = "raise RuntimeError(sys.argv[2])"


def die(folder: Path, body: str, how: str, *ids: str) -> int:
    """A process that does so; its exit status."""
    command = [sys.executable, "-c", CHILD.format(body=body), str(folder), how, *ids]
    return subprocess.run(command, cwd=ROOT, stderr=subprocess.DEVNULL, check=False).returncode


@pytest.fixture(autouse=True)
def fault_handler_as_before() -> Iterator[None]:
    """A record takes the fault handler over; pytest wants it back."""
    yield
    faulthandler.enable(sys.__stderr__ or sys.stderr)


def counts(folder: Path) -> dict[str, int]:
    """As the next start reads them."""
    record = CrashRecord(folder)
    record.close()
    return record.counts


@pytest.mark.parametrize("how", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE"])
def test_a_fatal_signal_counts(tmp_path: Path, how: str) -> None:
    """SIGABRT is also what systemd's watchdog sends."""
    status = die(tmp_path, AT_WORK.format(deed=KILL), how, FIRST, SECOND)
    assert status == -getattr(signal, how)
    assert counts(tmp_path) == {FIRST: 1, SECOND: 1}


def test_an_exception_counts(tmp_path: Path) -> None:
    """And its text is in crash.txt's place for the next start to show."""
    assert die(tmp_path, AT_WORK.format(deed=RAISE), "boom", FIRST) == 1
    record = CrashRecord(tmp_path)
    record.close()
    assert record.counts == {FIRST: 1}
    assert "RuntimeError: boom" in record.evidence


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_being_killed_counts_for_nothing(tmp_path: Path, how: str) -> None:
    """It is nobody's fault."""
    assert die(tmp_path, AT_WORK.format(deed=KILL), how, FIRST) == -getattr(signal, how)
    assert counts(tmp_path) == {}


def test_a_crash_outside_of_the_model_counts_for_nothing(tmp_path: Path) -> None:
    """Only who was in the model is suspect."""
    die(tmp_path, AFTER_WORK.format(deed=KILL), "SIGSEGV", FIRST)
    assert counts(tmp_path) == {}


def test_one_crash_is_counted_once(tmp_path: Path) -> None:
    """However often the agent starts after it, or is killed in between."""
    die(tmp_path, AT_WORK.format(deed=KILL), "SIGSEGV", FIRST)
    assert counts(tmp_path) == {FIRST: 1}
    die(tmp_path, KILL, "SIGSEGV")
    die(tmp_path, AT_WORK.format(deed=KILL), "SIGKILL", FIRST)
    assert counts(tmp_path) == {FIRST: 1}


def test_suspect_after_one_poison_after_two(tmp_path: Path) -> None:
    """And only the one that was there."""
    for deaths in (1, 2):
        die(tmp_path, AT_WORK.format(deed=KILL), "SIGABRT", FIRST)
        record = CrashRecord(tmp_path)
        record.close()
        assert record.is_suspect(FIRST)
        assert record.is_poison(FIRST) is (deaths == 2)
        assert not record.is_suspect(SECOND)


def test_who_went_through_is_forgiven_for_good(tmp_path: Path) -> None:
    """Also for the next start."""
    die(tmp_path, AT_WORK.format(deed=KILL), "SIGABRT", FIRST, SECOND)
    record = CrashRecord(tmp_path)
    record.forgive(FIRST)
    record.close()
    assert counts(tmp_path) == {SECOND: 1}


def test_an_out_of_memory_kill_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL, and the kernel's count of such kills has grown since the start."""
    vmstat = tmp_path / "vmstat"
    monkeypatch.setattr(crashes, "VMSTAT", vmstat)
    folder = tmp_path / "run"
    for kills, expected in (("3", {}), ("3", {}), ("4", {FIRST: 1}), ("4", {FIRST: 1})):
        vmstat.write_text(f"nr_free_pages 1\noom_kill {kills}\n")
        record = CrashRecord(folder)
        record._working[:ID_BYTES] = FIRST.encode()
        record.close()
        assert record.counts == expected
    (folder / "oom-kills").unlink()
    vmstat.write_text("oom_kill 5\n")
    assert counts(folder) == {FIRST: 1}


def test_a_kernel_without_that_count_blames_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old kernels, and containers that hide it."""
    monkeypatch.setattr(crashes, "VMSTAT", tmp_path / "absent")
    folder = tmp_path / "run"
    for _ in range(2):
        record = CrashRecord(folder)
        record._working[:ID_BYTES] = FIRST.encode()
        record.close()
        assert record.counts == {}


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": "many"}', '{"a": null}'])
def test_unreadable_counts_are_none(tmp_path: Path, content: str) -> None:
    """A torn file never stops the start."""
    (tmp_path / "crash-counts.json").write_text(content)
    assert counts(tmp_path) == {}


def test_counts_are_bounded(tmp_path: Path) -> None:
    """The oldest fall out; RAM is for the model."""
    record = CrashRecord(tmp_path)
    record.counts = {f"{i:032}": 1 for i in range(MAX_COUNTS + 5)}
    record.counts[FIRST] = 1
    record.forgive(FIRST)
    record.close()
    kept = counts(tmp_path)
    assert len(kept) == MAX_COUNTS
    assert f"{MAX_COUNTS + 4:032}" in kept


def test_counts_that_cannot_be_written_stop_nothing(tmp_path: Path) -> None:
    """As on a full /run. In this run they hold all the same."""
    record = CrashRecord(tmp_path)
    record.counts = {FIRST: 1, SECOND: 2}
    (tmp_path / "crash-counts.json").mkdir()
    record.forgive(FIRST)
    assert record.counts == {SECOND: 2}
    record.close()


def test_a_folder_that_cannot_be_made_is_a_set_up_error(tmp_path: Path) -> None:
    """It names the setting."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"paths\.runtime_dir") as caught:
        CrashRecord(tmp_path / "file")
    assert str(tmp_path) in caught.value.fix


@pytest.mark.parametrize("name", ["working", "crash.txt", "oom-kills"])
def test_a_link_in_the_place_of_the_notes_is_not_followed(tmp_path: Path, name: str) -> None:
    """Who can write to the folder must not make us write elsewhere."""
    (tmp_path / "target").write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic links"):
        CrashRecord(tmp_path / "run")
    assert (tmp_path / "target").read_text() == "precious"


def test_a_link_in_the_place_of_the_counts_is_not_followed(tmp_path: Path) -> None:
    """It costs the memory of the next start, and nothing of anybody else."""
    (tmp_path / "target").write_text("{}")
    folder = tmp_path / "run"
    die(folder, AT_WORK.format(deed=RAISE), "a bug", FIRST)
    (folder / "crash-counts.json").unlink(missing_ok=True)
    (folder / "crash-counts.json").symlink_to(tmp_path / "target")
    assert counts(folder) == {FIRST: 1}
    assert (tmp_path / "target").read_text() == "{}"
