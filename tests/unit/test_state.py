"""What outlives a restart, and where it is kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_agent.state import (
    SessionState,
    default_runtime_dir,
    default_state_dir,
    read_session,
    write_session,
)

STATE = SessionState("ab12", ("site/#", "edge/t/request/+"))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """In a folder that did not exist before; the draft does not stay."""
    folder = tmp_path / "new" / "state"
    write_session(folder, STATE)
    assert read_session(folder) == STATE
    assert [path.name for path in folder.iterdir()] == ["session.json"]


def test_the_newest_counts(tmp_path: Path) -> None:
    """Also over the draft of a write that was interrupted."""
    write_session(tmp_path, SessionState("old", ()))
    (tmp_path / "session.json.new").write_text("half")
    write_session(tmp_path, STATE)
    assert read_session(tmp_path) == STATE


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"name": "x"}', b'{"name": "x", "filters": 3}', b"\xff\xfe"],
)
def test_what_cannot_be_read_is_nothing(tmp_path: Path, content: bytes) -> None:
    """A torn file costs the name, never the start."""
    (tmp_path / "session.json").write_bytes(content)
    assert read_session(tmp_path) is None


def test_nothing_kept_is_nothing(tmp_path: Path) -> None:
    """The first start."""
    assert read_session(tmp_path / "absent") is None


def test_a_folder_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    """Here: a file in its place."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_session(tmp_path / "file", STATE)


def test_folders_are_systemds_then_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of several that systemd names; then XDG; then home and shared memory."""
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/a:/run/b")
    assert (default_state_dir(), default_runtime_dir()) == (Path("/var/lib/a"), Path("/run/a"))
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", "/x/state")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/x/run")
    assert default_state_dir() == Path("/x/state/edge-agent")
    assert default_runtime_dir() == Path("/x/run/edge-agent")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_state_dir() == Path("/home/someone/.local/state/edge-agent")
    assert default_runtime_dir() == Path(f"/dev/shm/edge-agent-{os.getuid()}")
