"""A training that ends by kill -9 soon after its first checkpoint.

It kills itself: who watches it from outside may look too late, when it is done.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT_S = 300.0
KILLED = """
import os, signal, sys, threading
from tools.__main__ import main
from tools.learning.checkpoint import Checkpoint

def save(checkpoint, state, save=Checkpoint.save):
    save(checkpoint, state)
    threading.Timer(0.005, os.kill, (os.getpid(), signal.SIGKILL)).start()

Checkpoint.save = save
sys.exit(main(sys.argv[1:]))
"""


def kill_after_a_checkpoint(arguments: list[str]) -> None:
    """Runs ``python -m tools`` with these arguments until it is killed."""
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        timeout=LIMIT_S,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
