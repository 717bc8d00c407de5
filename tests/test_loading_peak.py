"""What loading a shipped bundle really takes, beside what is said before it is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MODELS = Path(__file__).parents[1] / "models"
LOADING = """
import json, sys
from pathlib import Path
from edge_agent.bundle import read_claim, read_files
from edge_agent.footprint import peak_bytes
from edge_agent.generator import load_writer
from edge_agent.memory import use_one_heap
from edge_agent.specialists import load_specialist

def kib(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name))

use_one_heap()
claim = read_claim(Path(sys.argv[1]))
before = kib("VmRSS")
bundle = read_files(claim)
(load_writer if claim.manifest.generator else load_specialist)(bundle, 1)
print(json.dumps({"said": peak_bytes(claim), "taken": (kib("VmHWM") - before) << 10}))
"""


@pytest.mark.parametrize("name", [path.name for path in sorted(MODELS.iterdir())])
def test_loading_takes_at_most_what_is_said_before_and_not_much_less(name: str) -> None:
    """Said too low, the kernel ends the agent; said too high, a bundle that fits is refused."""
    command = [sys.executable, "-c", LOADING, str(MODELS / name)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout)
    assert found["taken"] <= found["said"] <= 1.5 * found["taken"]
