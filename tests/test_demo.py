"""The demo as a person runs it: real broker, real agent, and nothing left behind."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.tiny_generator import tiny_generator
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[1]
DEMO = [sys.executable, "-m", "edge_agent", "demo"]
AMQTT_ONLY = """
import sys
from pathlib import Path
from edge_agent.settings import default_bundle
from edge_agent.demo import DemoOptions, broker, run_demo
broker.find_mosquitto = lambda: None
sys.exit(run_demo(DemoOptions(default_bundle(), float(sys.argv[1]), json=True)))
"""
END_TIMEOUT_S = 90.0

Start = Callable[..., "subprocess.Popen[str]"]

pytestmark = pytest.mark.broker


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts demos whose temporary files lie below ``tmp_path``."""
    demos: list[subprocess.Popen[str]] = []

    def start_one(command: list[str], **pipes: int) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **pipes}
        environment = {**os.environ, "TMPDIR": str(tmp_path), "TERM": "xterm-256color"}
        demos.append(subprocess.Popen(command, text=True, cwd=ROOT, env=environment, **pipes))
        return demos[-1]

    yield start_one
    for demo in demos:
        if demo.poll() is None:
            demo.kill()
            demo.wait()


def processes_naming(folder: Path) -> list[int]:
    """Ids of the processes whose command line names a path below ``folder``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if f"{folder}/".encode() in command:
            found.append(int(path.parent.name))
    return found


def nothing_left(folder: Path) -> bool:
    return not processes_naming(folder) and not list(folder.iterdir())


def check_events(lines: str, at_least: int) -> None:
    events = [json.loads(line) for line in lines.splitlines()]
    assert len(events) >= at_least
    assert len({event["id"] for event in events}) == len(events)
    assert len({event["data"]["route"]["label"] for event in events}) >= 5
    for event in events:
        assert event["specversion"] == "1.0"
        assert event["source"] == "edge/demo"
        text = event["data"]["text"]
        for entity in event["data"]["entities"]:
            assert text[entity["start"] : entity["end"]] == entity["text"]


def test_json_prints_events_and_nothing_else(start: Start, tmp_path: Path) -> None:
    """Eight seconds on Mosquitto give events of five routes on stdout, a summary on stderr."""
    demo = start([*DEMO, "--seconds", "8", "--json"])
    output, errors = demo.communicate(timeout=END_TIMEOUT_S)
    assert demo.returncode == 0, errors
    check_events(output, at_least=12)
    assert "Mosquitto" in errors
    assert "work-order" in errors
    assert "unanswered" not in errors
    data = [json.loads(line)["data"] for line in output.splitlines()]
    written = [one["output"]["value"] for one in data if "output" in one]
    assert any(order["asset"] for order in written)
    assert nothing_left(tmp_path)


def test_a_bundle_that_writes_adds_its_output_to_faults_and_maintenance(
    start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And to no other route; its name stands in the introduction."""
    writer = tiny_generator(tmp_path_factory.mktemp("writer") / "tiny")
    demo = start([*DEMO, "--seconds", "8", "--json", "--writer", str(writer)])
    output, errors = demo.communicate(timeout=END_TIMEOUT_S)
    assert demo.returncode == 0, errors
    assert "tiny-generator 1.0.0" in errors
    assert "unanswered" not in errors
    data = [json.loads(line)["data"] for line in output.splitlines()]
    written = [one for one in data if "output" in one]
    assert {one["route"]["label"] for one in written} <= {"fault", "maintenance"}
    assert written
    assert all(one["output"]["model"]["name"] == "tiny-generator" for one in written)
    about = [one for one in data if one["route"]["label"] in ("fault", "maintenance")]
    assert about == written


def test_without_mosquitto_amqtt_serves(start: Start, tmp_path: Path) -> None:
    """A machine without Mosquitto shows the same on the embedded Python broker."""
    demo = start([sys.executable, "-c", AMQTT_ONLY, "8"])
    output, errors = demo.communicate(timeout=END_TIMEOUT_S)
    assert demo.returncode == 0, errors
    check_events(output, at_least=12)
    assert "amqtt" in errors
    assert nothing_left(tmp_path)


def test_a_pipe_gets_plain_lines(start: Start) -> None:
    """Without a terminal and without --json: a line an event, its work order in one below."""
    demo = start([*DEMO, "--seconds", "8"])
    output, errors = demo.communicate(timeout=END_TIMEOUT_S)
    assert demo.returncode == 0, errors
    lines = output.splitlines()
    events = [line for line in lines if not line.startswith(" ")]
    assert len(events) >= 2
    assert all(line.isprintable() for line in lines)
    assert all(" ms  " in line for line in events)
    orders = [line.strip() for line in lines if line.startswith(" ")]
    assert orders
    assert all(order.startswith("work-order: ") for order in orders)


def test_a_terminal_gets_the_screen_and_is_given_back(start: Start) -> None:
    """On a terminal the screen shows events, and leaves the alternate screen at its end."""
    ours, theirs = pty.openpty()
    demo = start([*DEMO, "--seconds", "3"], stdout=theirs)
    os.close(theirs)
    shown = read_all(ours)
    assert demo.wait(END_TIMEOUT_S) == 0
    assert b"\x1b[?1049h" in shown
    assert b"gateway-default" in shown
    assert b"site/" in shown
    assert shown.rindex(b"\x1b[?1049l") > shown.rindex(b"\x1b[?1049h")


def read_all(terminal: int) -> bytes:
    """Everything written until the other side is closed."""
    parts = []
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            part = b""
        if not part:
            os.close(terminal)
            return b"".join(parts)
        parts.append(part)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM: status 0, a summary, no process and no file left."""
    demo = start([*DEMO, "--json"])
    assert demo.stdout is not None
    assert demo.stdout.readline()
    demo.send_signal(number)
    _, errors = demo.communicate(timeout=END_TIMEOUT_S)
    assert demo.returncode == 0, errors
    assert "Traceback" not in errors
    assert "events on" in errors
    assert nothing_left(tmp_path)


def test_killed_it_takes_everything_along(start: Start, tmp_path: Path) -> None:
    """SIGKILL on the demo: broker and agent end too, and the files go."""
    demo = start([*DEMO, "--json"])
    assert demo.stdout is not None
    assert demo.stdout.readline()
    assert len(processes_naming(tmp_path)) >= 3
    demo.kill()
    wait_until(lambda: nothing_left(tmp_path), what="no process and no file of the demo")


def test_a_reader_that_goes_away_ends_it(start: Start, tmp_path: Path) -> None:
    """`edge-agent demo --json | head -1` ends without a traceback."""
    demo = start([*DEMO, "--json"])
    assert demo.stdout is not None
    assert demo.stdout.readline()
    demo.stdout.close()
    assert demo.wait(END_TIMEOUT_S) == 0
    assert demo.stderr is not None
    assert "Traceback" not in demo.stderr.read()
    assert nothing_left(tmp_path)


def test_a_dead_agent_is_reported(start: Start, tmp_path: Path) -> None:
    """When the agent ends, the demo says so with a fix and ends with status 78."""
    demo = start([*DEMO, "--json"])
    assert demo.stdout is not None
    assert demo.stdout.readline()
    os.kill(agent_pid(tmp_path), signal.SIGKILL)
    _, errors = demo.communicate(timeout=END_TIMEOUT_S)
    assert demo.returncode == 78
    assert "agent ended with status -9" in errors
    assert "fix:" in errors
    assert nothing_left(tmp_path)


def agent_pid(folder: Path) -> int:
    """The process that runs `edge_agent run` with a configuration below ``folder``."""
    for pid in processes_naming(folder):
        if b"edge_agent\0run" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise AssertionError("no agent runs")


def test_a_bundle_that_is_not_there_is_named(start: Start, tmp_path: Path) -> None:
    """A wrong --bundle gives problem and fix before anything is started."""
    demo = start([*DEMO, "--bundle", "nowhere/at-all", "--json"])
    output, errors = demo.communicate(timeout=END_TIMEOUT_S)
    assert demo.returncode == 78
    assert "nowhere/at-all" in errors
    assert "fix:" in errors
    assert output == ""
    assert nothing_left(tmp_path)
