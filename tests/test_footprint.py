"""What the agent leaves behind: bounded memory, nothing on disk, no word but to the broker."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.agent_process import AgentProcess
from tests.support.broker import Broker
from tests.support.mqtt_client import ClientOptions, MqttClient
from tests.support.waiting import PATIENCE_S, wait_until

QUEUED, SETTLED = 100_000, 20_000
GROWTH_MIB = 8.0
MESSAGES = 500
AUDIT = """
import json, os, sys
def note(event, arguments):
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"}:
        said = arguments if event == "socket.getaddrinfo" else arguments[1:]
        line = json.dumps([event, [str(a) for a in said]]) + "\\n"
        os.write(DESCRIPTOR, line.encode())
DESCRIPTOR = os.open(os.environ["AUDIT_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
sys.addaudithook(note)
"""


def may_trace() -> bool:
    """Whether strace is here and the system lets it attach."""
    if not shutil.which("strace"):
        return False
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return tried.returncode == 0


needs_strace = pytest.mark.skipif(not may_trace(), reason="ptrace is refused here")


@pytest.fixture
def ram() -> Iterator[Path]:
    """A folder in RAM, as the runtime directory is under systemd."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture
def make_ram_agent(
    make_agent: Callable[..., AgentProcess], broker: Broker, tiny: Path, ram: Path
) -> Callable[..., AgentProcess]:
    """Agents whose runtime directory is in RAM."""

    def make(**sections: object) -> AgentProcess:
        return make_agent(broker, tiny, paths={"runtime_dir": str(ram)}, **sections)

    return make


def send_and_await(client: MqttClient, messages: int) -> None:
    """Sends messages to the site and waits for as many events."""
    client.subscribe("edge/t/event/+")
    before = client.count
    for number in range(messages):
        client.send("site/a", f"message {number} pump 7 is leaking")
    client.wait(lambda: client.count >= before + messages, PATIENCE_S, "an event for each message")


def written_bytes(pid: int) -> int:
    """Bytes that a process has caused to be written to storage."""
    found = re.search(r"^write_bytes: (\d+)", Path(f"/proc/{pid}/io").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


@pytest.mark.slow
def test_a_long_queue_does_not_grow_the_memory(
    broker: Broker, make_ram_agent: Callable[..., AgentProcess]
) -> None:
    """100,000 messages waited in the broker; memory stays where it was after the first 20,000."""
    agent = make_ram_agent(health={"interval_s": 1}).start()
    assert agent.stop() == 0
    with MqttClient(broker.port, ClientOptions(window=1000)) as sender:
        for number in range(QUEUED):
            sender.send("site/a", f"message {number} pump 7 is leaking")
        assert sender.publish("site/a", "gas alarm") == "Success"
    agent.start()
    samples: list[tuple[int, float]] = []
    with MqttClient(broker.port) as watcher:
        watcher.subscribe("edge/t/health", "edge/t/event/alarm")

        def finished() -> bool:
            seen = [m for m in watcher.received if m.topic.endswith("/health")]
            handled = seen[-1].json["counters"].get("received", 0) if seen else 0
            samples.append((handled, agent.rss_mib))
            return any(m.topic.endswith("/alarm") for m in watcher.received)

        wait_until(finished, 1800, "the last of the queued messages")
    settled = max(rss for handled, rss in samples if handled <= SETTLED)
    highest = max(rss for handled, rss in samples)
    print(f"RSS up to {SETTLED} messages {settled:.1f} MiB, up to {QUEUED} {highest:.1f} MiB")
    assert highest - settled <= GROWTH_MIB


def test_messages_cause_no_writes_to_storage(
    client: MqttClient, make_ram_agent: Callable[..., AgentProcess]
) -> None:
    """The kernel accounts no written byte to the agent between its start and its end."""
    agent = make_ram_agent().start()
    wait_until(lambda: "event=ready" in agent.stderr, what="the last line of the start")
    before = written_bytes(agent.pid)
    send_and_await(client, MESSAGES)
    assert written_bytes(agent.pid) == before


@needs_strace
def test_messages_open_and_write_no_file(
    client: MqttClient, make_ram_agent: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    """While messages flow, writes go to sockets or wake a thread; no file is opened to write."""
    trace = tmp_path / "trace"
    agent = make_ram_agent()
    calls = (
        "openat,open,creat,write,pwrite64,writev,pwritev,rename,renameat2,unlink,fsync,fdatasync"
    )
    agent.prefix = ("strace", "-f", "-y", "-s", "0", "-o", str(trace), "-e", f"trace={calls}")
    agent.start()
    client.publish("site/a", "temp ok")
    send_and_await(client, 1)
    before = len(trace.read_text().splitlines())
    send_and_await(client, MESSAGES)
    lines = trace.read_text().splitlines()[before:]
    assert [line for line in lines if not is_harmless(line)] == []


def is_harmless(line: str) -> bool:
    """Reading a file, writing to a socket, pipe or eventfd; or no call at all."""
    if re.search(r"(openat|open)\(", line):
        return not re.search(r"O_WRONLY|O_RDWR|O_CREAT", line)
    written = re.search(r"\b(write|pwrite64|writev|pwritev)\(\d+<([^>]*)>", line)
    if written:
        return written[2].startswith(("socket:", "pipe:", "anon_inode:", "UNIX"))
    return "resumed>" in line or "+++" in line or "---" in line


@needs_strace
def test_only_the_broker_is_contacted(
    broker: Broker,
    client: MqttClient,
    make_ram_agent: Callable[..., AgentProcess],
    tmp_path: Path,
) -> None:
    """From start to end the process connects and sends to the broker, systemd and itself."""
    trace = tmp_path / "trace"
    agent = make_ram_agent()
    agent.prefix = ("strace", "-f", "-s", "200", "-o", str(trace))
    agent.prefix += ("-e", "trace=connect,sendto,sendmsg,sendmmsg,getsockname")
    agent.start()
    send_and_await(client, MESSAGES)
    assert agent.stop() == 0
    lines = trace.read_text().splitlines()
    own = {address for line in lines if "getsockname" in line for address in addresses(line)}
    called = {address for line in lines if "getsockname" not in line for address in addresses(line)}
    assert called - own == {f"htons({broker.port}) 127.0.0.1"}


def addresses(line: str) -> list[str]:
    """Internet addresses in a line of strace. paho wakes its thread by a socket to itself."""
    pattern = r"sin6?_port=(htons\(\d+\)), .*?\"([^\"]*)\""
    return [f"{port} {host}" for port, host in re.findall(pattern, line)]


def test_python_itself_contacts_only_the_broker(
    broker: Broker,
    client: MqttClient,
    make_ram_agent: Callable[..., AgentProcess],
    tmp_path: Path,
) -> None:
    """The same seen from inside, by the interpreter's audit events: also names looked up.

    paho wakes its thread by a socket to itself, on the same host and some other port.
    """
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit/sitecustomize.py").write_text(AUDIT)
    agent = make_ram_agent()
    agent.environment = {
        "PYTHONPATH": str(tmp_path / "audit"),
        "AUDIT_FILE": str(tmp_path / "events"),
    }
    agent.start()
    send_and_await(client, MESSAGES)
    assert agent.stop() == 0
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    looked_up = {tuple(args[:2]) for name, args in events if name == "socket.getaddrinfo"}
    called = {args[0] for name, args in events if name != "socket.getaddrinfo"}
    hosts = {target for target in called if target != agent.notify.path}
    assert looked_up <= {("127.0.0.1", str(broker.port))}
    assert str(("127.0.0.1", broker.port)) in hosts
    assert all(target.startswith("('127.0.0.1', ") for target in hosts)
