"""The log goes to standard error in the shape asked for, above the level asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SAY = """
from edge_agent.log import LOGGER, set_up_log
set_up_log({level!r}, {shape!r})
LOGGER("edge_agent").debug("too quiet")
LOGGER("edge_agent").warning("rejected", code="expired", problem="waited too long")
"""


def said(
    level: str, shape: str, prelude: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """What a process of its own logs, after a prelude: the set-up is for the whole process."""
    return subprocess.run(
        [sys.executable, "-c", prelude + SAY.format(level=level, shape=shape)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )


def test_logfmt_quotes_what_has_spaces() -> None:
    """One line an event, key=value; standard output stays free for results."""
    shown = said("info", "logfmt")
    assert shown.stdout == ""
    [line] = shown.stderr.splitlines()
    assert 'level=warning event=rejected code=expired problem="waited too long"' in line


def test_json_is_one_object_a_line() -> None:
    """With the same fields."""
    [line] = said("info", "json").stderr.splitlines()
    logged = json.loads(line)
    assert logged["event"] == "rejected"
    assert logged["problem"] == "waited too long"


@pytest.mark.parametrize(("level", "lines"), [("debug", 2), ("warning", 1), ("error", 0)])
def test_the_level_decides(level: str, lines: int) -> None:
    """What is below it is not written."""
    assert len(said(level, "logfmt").stderr.splitlines()) == lines


def test_under_systemd_without_its_library_standard_error_serves() -> None:
    """systemd-python is an extra; the journal takes standard error as well."""
    hidden = "import sys; sys.modules['systemd'] = None"
    shown = said("info", "auto", hidden, JOURNAL_STREAM="8:1234")
    assert "event=rejected" in shown.stderr


def test_the_journal_gets_message_priority_and_fields() -> None:
    """Through systemd-python's own ``send``, here one that prints what it is given."""
    stand_in = (
        "import sys, types; journal = types.ModuleType('systemd.journal');"
        "journal.send = lambda text, **fields: print(text, fields);"
        "sys.modules['systemd.journal'] = journal; sys.modules['systemd'] = types.ModuleType('s')\n"
    )
    shown = said("info", "auto", stand_in, JOURNAL_STREAM="8:1234")
    assert shown.stderr == ""
    assert shown.stdout.startswith("rejected code=expired problem=waited too long")
    assert "'PRIORITY': 4" in shown.stdout
    assert "'EDGE_AGENT_CODE': 'expired'" in shown.stdout
