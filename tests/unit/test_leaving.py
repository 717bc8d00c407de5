"""A process that ends while a thread is in the model's library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.leaving import CHECK, LOADER
from tests.support.agent_process import ROOT

AT_WORK = """
import sys, threading
from pathlib import Path
from edge_agent.bundle import load_bundle
from edge_agent.cli import main
from edge_agent.specialists import load_specialist

specialist = load_specialist(load_bundle(Path(sys.argv[1])), threads=1)

def work():
    while True:
        specialist.predict(["pump"])

threading.Thread(target=work, name=sys.argv[2], daemon=True).start()
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.parametrize("name", [CHECK, LOADER])
@pytest.mark.parametrize(
    ("words", "code"), [(["version"], 0), (["check-config", "--config", "/absent"], 78)]
)
def test_the_exit_code_is_that_of_the_command(
    tiny: Path, name: str, words: list[str], code: int
) -> None:
    """Without an abort, and with all that was written."""
    command = [sys.executable, "-c", AT_WORK, str(tiny), name, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert (done.stdout if code == 0 else done.stderr).startswith("edge-agent")
    assert "terminate" not in done.stderr
