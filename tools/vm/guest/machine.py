"""The machine as the steps of the job see it: commands, the unit, messages, files."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

UNIT = "edge-agent.service"
NOT_OURS = (
    "/proc", "/sys", "/run", "/dev", "/tmp", "/root", "/srv", "/var/log", "/var/cache", "/var/tmp",
)  # fmt: skip
NOT_OURS += ("/var/lib/dpkg", "/var/lib/apt", "/var/lib/mosquitto", "/var/lib/systemd")
BACKUPS = {f"/etc/{name}-" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")}
BACKUPS |= {"/etc/.pwd.lock"}


def command(*words: str, limit_s: float = 1200.0) -> str:
    """Output of a command. AssertionError with what it said when it fails."""
    done = said(*words, limit_s=limit_s)
    output = f"{done.stdout[-1500:]}{done.stderr[-1500:]}"
    assert done.returncode == 0, f"{' '.join(words)} ended with {done.returncode}: {output}"
    return done.stdout


def said(*words: str, limit_s: float = 1200.0) -> subprocess.CompletedProcess[str]:
    """A command that may fail, and what it said."""
    return subprocess.run(words, capture_output=True, text=True, timeout=limit_s, check=False)


def wait(what: str, holds: Callable[[], bool], limit_s: float) -> float:
    """Seconds until it held."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < limit_s, f"no {what} within {limit_s:g} s"
        time.sleep(0.5)
    return round(time.monotonic() - started, 1)


def shown(name: str) -> str:
    """A property of the unit."""
    return command("systemctl", "show", "--value", "-p", name, UNIT).strip()


def is_active() -> bool:
    """Whether systemd holds the agent to be working."""
    return shown("ActiveState") == "active"


def files() -> set[str]:
    """Every path that a package might leave behind."""
    prune = [word for folder in NOT_OURS for word in ("-path", folder, "-prune", "-o")]
    return set(command("find", "/", "-xdev", *prune, "-print").splitlines()) - BACKUPS


def apt_install(package: Path) -> str:
    """As a technician does it, and keeping the configuration when asked."""
    noninteractive = ("env", "DEBIAN_FRONTEND=noninteractive")
    keep = ("-o", "Dpkg::Options::=--force-confold")
    return command(*noninteractive, "apt-get", "install", "-y", *keep, str(package))


def publish(topic: str, text: str) -> None:
    """QoS 1; returns once the broker has it."""
    command("mosquitto_pub", "-V", "5", "-q", "1", "-t", topic, "-m", text)


class Listener:
    """A subscriber that writes what it gets into a file, a payload a line."""

    def __init__(self, path: Path, topic: str) -> None:
        self._path = path
        options = ["-V", "5", "-q", "1", "-F", "%p", "-t", topic, "-t", "vm/ping"]
        with path.open("w") as file:
            self._process = subprocess.Popen(["mosquitto_sub", *options], stdout=file)
        wait("subscription", self._pinged, 60)

    @property
    def lines(self) -> list[str]:
        """What has come so far."""
        return [line for line in self._path.read_text().splitlines() if line != "ping"]

    def close(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait()

    def _pinged(self) -> bool:
        publish("vm/ping", "ping")
        return "ping" in self._path.read_text()
