"""Whoever kills an install, whenever: the old bundle or the new one is in use, and it is whole."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from edge_agent.bundle import load_bundle
from edge_agent.store import Store
from tests.support.releases import make_version, pack_version

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow
KILLS, SEED = 12, 4


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A store with 1.1.0 in use, after 1.0.0, and with the leftovers of a kill."""
    root = tmp_path / "template"
    for version in ("1.0.0", "1.1.0"):
        Store(root).install(make_version(tmp_path, version))
    (root / ".work" / "bundle").mkdir(parents=True)
    return root


def killed_everywhere(template: Path, *words: object) -> list[dict[str, Any]]:
    """What was seen after each point. The command said again ends well and clears up."""
    command = [sys.executable, "-m", "tests.support.kill_points", template]
    done = subprocess.run(
        [*command, template.parent / "scratch", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *killed, last = map(json.loads, done.stdout.splitlines())
    assert [point["killed"] for point in (*killed, last)] == [*[True] * len(killed), False]
    assert {tuple(point["left"]) for point in killed} == {(".lock",)}
    return killed


def states(points: list[dict[str, Any]], link: str) -> list[str]:
    """One after the other, as later and later kills left them."""
    return [state for state, _ in itertools.groupby(point["then"][link] for point in points)]


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_an_install_killed_before_any_of_its_steps(
    template: Path, tmp_path: Path, form: str
) -> None:
    """The next one, said again, ends well and clears what was left."""
    source = make_version(tmp_path, "1.2.0")
    if form == "archive":
        source = pack_version(source, tmp_path / "x.tar.gz")
    points = killed_everywhere(template, "install", source, "--keep", "2")
    assert len(points) > 40
    assert states(points, "current") == ["1.1.0", "1.2.0"]
    assert states(points, "previous") == ["1.0.0", "1.1.0"]
    for point in points:
        assert point["then"]["broken"] == []
        assert (point["again"], point["after"]["current"]) == (0, "1.2.0")
        assert point["after"]["previous"] == "1.1.0"


def test_a_rollback_killed_before_any_of_its_steps(template: Path) -> None:
    points = killed_everywhere(template, "rollback", "--to", "1.0.0")
    assert states(points, "current") == ["1.1.0", "1.0.0"]
    assert {point["after"]["current"] for point in points} == {"1.0.0"}


def test_a_removal_killed_before_any_of_its_steps(template: Path) -> None:
    """Nobody meets a bundle that is half gone."""
    points = killed_everywhere(template, "remove", "tiny", "1.0.0")
    assert states(points, "current") == ["1.1.0"]
    assert states(points, "previous") == ["1.0.0", None]
    assert [point["then"]["broken"] for point in points] == [[]] * len(points)


def test_a_repair_killed_before_any_of_its_steps(template: Path, tmp_path: Path) -> None:
    """The bundle in use is as damaged as it was, or whole."""
    (template / "tiny" / "current" / "model.onnx").write_bytes(b"x")
    points = killed_everywhere(template, "install", tmp_path / "tiny-1.1.0")
    assert states(points, "current") == ["damaged", "1.1.0"]
    assert {point["after"]["current"] for point in points} == {"1.1.0"}


READY = """
import sys
import time
from edge_agent.cli import main
print("ready", flush=True)
sys.stdin.readline()
sys.exit(main(sys.argv[1:]))
"""


def killed_after(wait_s: float, *words: object) -> tuple[bool, float]:
    """Starts the real command, kills it so long after it began to work.

    Whether it still did; how long it was at work.
    """
    command = [sys.executable, "-c", READY, "bundle", *map(str, words)]
    with subprocess.Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        process.stdin.write(b"go\n")
        process.stdin.flush()
        began_s = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)
        took_s = time.monotonic() - began_s
        process.kill()
    return process.returncode == -signal.SIGKILL, took_s


def let_through(*words: object) -> float:
    """How long the command was at work."""
    killed, took_s = killed_after(300, *words)
    assert not killed
    return took_s


def test_installs_killed_at_random_moments(tmp_path: Path) -> None:
    """Two versions in turn; the last one is let through."""
    store, chance = tmp_path / "store", random.Random(SEED)
    sources = [make_version(tmp_path, "1.0.0"), make_version(tmp_path, "1.1.0")]
    shortest_s = let_through("install", sources[1], "--store", store)
    total = 0
    for number in range(KILLS):
        words = ("install", sources[number % 2], "--store", store)
        killed, took_s = killed_after(shortest_s * chance.random(), *words)
        total += killed
        shortest_s = shortest_s if killed else min(shortest_s, took_s)
        assert load_bundle(store / "tiny" / "current").card.version in ("1.0.0", "1.1.0")
    assert total > KILLS // 4
    let_through("install", sources[0], "--store", store)
    assert load_bundle(store / "tiny" / "current").card.version == "1.0.0"
    assert [path.name for path in store.glob(".*")] == [".lock"]


def test_files_reach_the_disk_before_their_names_do(tmp_path: Path) -> None:
    """So that a loss of power, too, leaves the old one or the new one."""
    source, store, log = make_version(tmp_path, "1.2.0"), tmp_path / "store", tmp_path / "strace"
    command = ["strace", "-f", "-y", "-e", "trace=fsync,rename,renameat,renameat2", "-o", log]
    install = [sys.executable, "-m", "edge_agent", "bundle", "install", source]
    subprocess.run([*command, *install, "--store", store], cwd=ROOT, check=True)
    synced: list[str] = []
    renamed: list[tuple[str, list[str]]] = []
    for line in log.read_text().splitlines():
        if found := re.search(r"fsync\(\d+<(.*)>\)", line):
            synced.append(found[1])
        elif found := re.search(r'rename.*"([^"]*)"\) = 0|rename.*"([^"]*)", .*\) = 0', line):
            renamed.append((found[1] or found[2], list(synced)))
    work, folder = f"{store}/.work/bundle", f"{store}/tiny"
    (place, before), (current, then) = (
        next(r for r in renamed if r[0].startswith(f"{folder}/1.2.0-")),
        next(r for r in renamed if r[0] == f"{folder}/current"),
    )
    files = {f"{work}/{p.name}" for p in source.iterdir()}
    assert {work, *files} <= set(before), f"not on the disk before {place} had its name"
    assert folder in then[len(before) :], f"{place} not on the disk before {current} led to it"
