"""The real agent as a process: `python -m edge_agent run --config …`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).parents[2]
SITE_FILTER = "site/#"
HEEDING_CTRL_C = """
import signal, sys
from edge_agent.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main(sys.argv[1:]))
"""
"""Who starts the tests in the background ignores Ctrl-C, and children inherit that."""


class NotifySocket:
    """What systemd would be: collects the datagrams of readiness, status and watchdog."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="notify-")
        self.path = str(Path(self._folder.name) / "socket")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._datagrams: list[str] = []
        threading.Thread(target=self._collect, daemon=True).start()

    def close(self) -> None:
        """Ends collecting."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._folder.cleanup()

    @property
    def lines(self) -> list[str]:
        """All assignments received, such as ``READY=1``, in order."""
        return [line for datagram in list(self._datagrams) for line in datagram.splitlines()]

    def clear(self) -> None:
        """Forgets what was received: for the next process."""
        self._datagrams.clear()

    def _collect(self) -> None:
        while True:
            try:
                datagram = self._socket.recv(65536)
            except OSError:
                return
            if not datagram:
                return
            self._datagrams.append(datagram.decode())


@dataclass
class AgentProcess:
    """One configuration, run by one process after another."""

    config: Path
    environment: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    """Words before the command, such as strace and its options."""

    def __post_init__(self) -> None:
        self.notify = NotifySocket()
        self.stderr_path = self.config.with_suffix(".stderr")
        self.stderr_path.write_bytes(b"")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> AgentProcess:
        """Starts a process, and by default waits until it is ready."""
        self.notify.clear()
        command = [*self.prefix, sys.executable, "-m", "edge_agent", "run"]
        environment = {**os.environ, "NOTIFY_SOCKET": self.notify.path, **self.environment}
        with self.stderr_path.open("ab") as stderr:
            self._process = subprocess.Popen(
                [*command, "--config", str(self.config)],
                stdout=stderr,
                stderr=stderr,
                cwd=ROOT,
                env=environment,
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout_s: float = PATIENCE_S) -> None:
        """Until READY=1 came. AssertionError when the process ends before, with its output."""

        def ready() -> bool:
            code = self.process.poll()
            assert code is None, f"the agent ended with {code}:\n{self.stderr}"
            return self.ready

        wait_until(ready, timeout_s, lambda: f"READY=1 from the agent:\n{self.stderr}")

    def wait_exit(self, timeout_s: float = PATIENCE_S) -> int:
        """The exit status of a process that ends by itself."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the agent still runs:\n{self.stderr}") from None

    def kill(self) -> None:
        """SIGKILL, and the process is reaped."""
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        os.kill(self.pid, signal.SIGTERM)
        return self.wait_exit(PATIENCE_S)

    def close(self) -> None:
        """Leaves nothing running."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self.notify.close()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The present process."""
        assert self._process is not None, "the agent has not been started"
        return self._process

    @property
    def ready(self) -> bool:
        """Whether the present process has said READY=1."""
        return "READY=1" in self.notify.lines

    @property
    def stderr(self) -> str:
        """All that its processes have written so far."""
        return self.stderr_path.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The agent's own process id, below ``prefix`` too."""
        pid = self.process.pid
        while self.prefix and (children := _children(pid)):
            pid = children[0]
        return pid

    @property
    def rss_mib(self) -> float:
        """Resident memory in MiB."""
        return proc_status_kib(self.pid, "VmRSS") / 1024


def _children(pid: int) -> list[int]:
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def proc_status_kib(pid: int, key: str) -> int:
    """A value of /proc/PID/status, such as VmRSS or VmHWM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise AssertionError(f"no {key} in /proc/{pid}/status")


def write_config(path: Path, port: int, bundle: Path | None, **sections: Any) -> Path:
    """Writes a configuration for the broker on ``port`` that reads ``site/#`` as gateway ``t``.

    ``sections`` are merged in: ``batch={"max_messages": 4}``, ``source=[{"filter": "a/#"}]``.
    """
    folder = path.parent
    config: dict[str, Any] = {
        "gateway": {"id": "t"},
        "mqtt": {"host": "127.0.0.1", "port": port},
        "source": [{"filter": SITE_FILTER}],
        "model": {"threads": 1, **({"bundle": str(bundle)} if bundle else {})},
        "paths": {"state_dir": str(folder / "state"), "runtime_dir": str(folder / "run")},
    }
    for name, section in sections.items():
        old = config.get(name)
        config[name] = {**old, **section} if isinstance(old, dict) else section
    for name in ("state", "run"):
        (folder / name).mkdir(exist_ok=True)
    path.write_text(to_toml(config))
    return path


def to_toml(config: dict[str, Any]) -> str:
    """Tables one level deep, with lists of tables: what the configuration consists of."""
    lines: list[str] = []
    for name, section in config.items():
        tables = section if isinstance(section, list) else [section]
        header = f"[[{name}]]" if isinstance(section, list) else f"[{name}]"
        for table in tables:
            lines += [header, *(f"{key} = {_value(v)}" for key, v in table.items()), ""]
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(v)}" for key, v in value.items()) + "}"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
