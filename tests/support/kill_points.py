"""Kills a command at every point at which it is about to touch the store, one after the other.

``python -m tests.support.kill_points TEMPLATE SCRATCH WORDS…`` copies the store TEMPLATE to
SCRATCH, starts ``edge-agent bundle WORDS… --store SCRATCH`` in a fork that kills itself (SIGKILL)
before its n-th step, notes what the store then shows, says the same command once more, and goes on
with n + 1 until the command comes to its end. Prints one JSON object a point.

It is a process of its own because forks and threads do not go together.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from edge_agent.bundle import verify_bundle
from edge_agent.cli import main as edge_agent
from edge_agent.errors import BundleError
from edge_agent.store import Store

MAX_POINTS = 2000
DAMAGED = "damaged"
STEPS = ("open", "os.", "shutil.", "fcntl.")


def run(words: list[str], store: Path, kill_before: int | None = None) -> tuple[int, str]:
    """The wait status of the command, and the step before which it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if kill_before is not None:
            _kill_myself_at(kill_before, str(store), writer)
        os._exit(edge_agent(["bundle", *words, "--store", str(store)]))
    os.close(writer)
    with os.fdopen(reader) as told:
        step = told.read()
    return os.waitpid(child, 0)[1], step


def _kill_myself_at(kill_before: int, store: str, writer: int) -> None:
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        in_store = any(store in str(argument) for argument in arguments)
        if not event.startswith(STEPS) or not (in_store or event.startswith("fcntl.")):
            return
        count += 1
        if count == kill_before:
            os.write(writer, f"{event} {arguments[0]}".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def seen(store: Path) -> dict[str, Any]:
    """What somebody who follows the links, or lists the store, finds."""
    shown: dict[str, Any] = {"broken": []}
    for name in Store(store).names():
        for link in ("current", "previous"):
            shown[link] = _version(store / name / link)
        for installed in Store(store).versions(name):
            if _version(installed.path) == DAMAGED:
                shown["broken"].append(installed.version)
    return shown


def _version(path: Path) -> str | None:
    if not os.path.lexists(path):
        return None
    try:
        return verify_bundle(path).card.version
    except BundleError:
        return DAMAGED


def main(template: Path, scratch: Path, words: list[str]) -> None:
    for point in range(1, MAX_POINTS):
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(template, scratch, symlinks=True)
        status, step = run(words, scratch, point)
        record = {"killed": os.WIFSIGNALED(status), "step": step, "then": seen(scratch)}
        again, _ = run(words, scratch)
        left = sorted(str(p.relative_to(scratch)) for p in scratch.rglob(".*"))
        record |= {"again": os.waitstatus_to_exitcode(again), "after": seen(scratch), "left": left}
        print(json.dumps(record), flush=True)
        if not record["killed"]:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
