"""What is tried in the machine, as root, in order. Needs Python's own library only.

`job.py WORK OUT`: WORK holds edge-agent.deb, next.deb, logits.py and texts.json. OUT gets
results.json: for each step its name, whether it held, how long it took and what was seen.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from machine import (
    Listener,
    apt_install,
    command,
    files,
    is_active,
    publish,
    said,
    shown,
    wait,
)

WORK, OUT = Path(sys.argv[1]), Path(sys.argv[2])
CONFIG = Path("/etc/edge-agent/edge-agent.toml")
BROKER = Path("/etc/mosquitto/conf.d/vm.conf")
KEPT = Path("/var/lib/edge-agent/bundles/site/1.0.0-0123456789ab/bundle.json")
PYTHON = "/usr/lib/edge-agent/bin/python3"
ELSEWHERE = "10.9.8.7"
"""An address of this machine that is not loopback: to the filter of the unit, another machine."""

START_S = 240.0
"""Everything is emulated."""
HEAL_S = 120.0
REFUSED_S = 60.0
MESSAGES = 40
NOTE = "# changed on this gateway\n"


def list_files_before() -> int:
    """What is there without the package."""
    (OUT / "before.txt").write_text("\n".join(sorted(files())))
    return len(files())


def install() -> str:
    """`apt-get install ./edge-agent.deb`, without a network."""
    output = apt_install(WORK / "edge-agent.deb")
    return output[-600:]


def service_is_active() -> dict[str, str]:
    """systemd started it, as a plain user, behind its filters."""
    wait("active unit", is_active, START_S)
    command("systemctl", "is-active", "edge-agent")
    command("systemctl", "is-enabled", "edge-agent")
    status = Path(f"/proc/{shown('MainPID')}/status").read_text()
    seen = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (seen["Seccomp"], seen["NoNewPrivs"]) == ("2", "1"), status
    assert seen["Uid"].split()[0] != "0", status
    assert shown("MemoryDenyWriteExecute") == "yes"
    kept = ("Seccomp", "NoNewPrivs", "CapBnd", "VmRSS", "VmHWM")
    return {"status": shown("StatusText")} | {name: seen[name].strip() for name in kept}


def memory_cannot_be_made_executable() -> str:
    """The unit's filter is in force, proved by a process in the same sandbox."""
    code = (
        "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)"
    )
    options = ("--wait", "--pipe", "--quiet", "-p", "MemoryDenyWriteExecute=yes")
    tried = said("systemd-run", *options, PYTHON, "-I", "-c", code)
    assert tried.returncode != 0
    assert "PermissionError" in tried.stderr, tried.stderr
    return "refused"


def events() -> int:
    """Each golden message gives an event; the host compares them."""
    texts: list[str] = json.loads((WORK / "texts.json").read_text())
    listener = Listener(OUT / "events.jsonl", "edge/+/event/#")
    for text in texts:
        publish("site/vm/text", text)
    wait("event for each message", lambda: len(listener.lines) >= len(texts), START_S)
    listener.close()
    return len(texts)


def logits() -> str:
    """What the model says, raw; the host compares."""
    output = command(PYTHON, "-I", str(WORK / "logits.py"))
    (OUT / "logits.json").write_text(output)
    features = Path("/proc/cpuinfo").read_text()
    return next(line for line in features.splitlines() if line.startswith("Features"))


def doctor() -> str:
    """Nothing that it holds for an error."""
    tried = said("edge-agent", "doctor")
    (OUT / "doctor.txt").write_text(tried.stdout + tried.stderr)
    assert tried.returncode == 0, (tried.stdout + tried.stderr)[-3000:]
    return tried.stdout.strip().splitlines()[-1]


def healed(disturb: Callable[[int], None], name: str) -> dict[str, float]:
    """Disturbs the agent in the midst of messages. Each has its event; a new process works."""
    listener = Listener(OUT / f"{name}.jsonl", "edge/+/event/#")
    old = int(shown("MainPID"))
    for number in range(MESSAGES):
        publish("site/vm/log", f"{name} {number:04d} pump P-101 is leaking")
        if number == MESSAGES // 2:
            disturb(old)

    def works_again() -> bool:
        return is_active() and shown("MainPID") not in {"0", str(old)}

    after_s = wait("new process", works_again, HEAL_S)
    wanted = {f"{name} {number:04d}" for number in range(MESSAGES)}

    def all_there() -> bool:
        return all(any(word in line for line in listener.lines) for word in wanted)

    wait("event for each message", all_there, START_S)
    listener.close()
    return {"healed_after_s": after_s, "messages": MESSAGES, "events": len(listener.lines)}


def heals_after_a_crash() -> dict[str, float]:
    """SIGSEGV under load."""
    return healed(lambda pid: os.kill(pid, signal.SIGSEGV), "crash")


def heals_after_a_hang() -> dict[str, float]:
    """SIGSTOP under load: the watchdog is no longer fed."""
    seen = healed(lambda pid: os.kill(pid, signal.SIGSTOP), "hang")
    assert shown("NRestarts") != "0"
    journal = command("journalctl", "-u", "edge-agent", "--no-pager", "-o", "cat")
    assert "Watchdog timeout" in journal, journal[-1000:]
    return seen | {"watchdog_s": int(shown("WatchdogUSec").rstrip("s"))}


def only_this_machine_is_reached() -> str:
    """A broker at another address is out of reach until allow-broker lets the service out."""
    command("ip", "link", "add", "vm0", "type", "dummy")
    command("ip", "address", "add", f"{ELSEWHERE}/24", "dev", "vm0")
    command("ip", "link", "set", "vm0", "up")
    BROKER.write_text("listener 1883\nallow_anonymous true\n")
    command("systemctl", "restart", "mosquitto")
    CONFIG.write_text(CONFIG.read_text().replace('host = "localhost"', f'host = "{ELSEWHERE}"'))
    command("mosquitto_pub", "-h", ELSEWHERE, "-t", "vm/ping", "-m", "reachable", "-q", "1")
    command("systemctl", "stop", "edge-agent")
    listener = Listener(OUT / "egress.jsonl", "edge/+/state")
    command("systemctl", "start", "--no-block", "edge-agent")
    time.sleep(REFUSED_S)
    assert "online" not in "".join(listener.lines), listener.lines
    refused = shown("StatusText")
    told = command("edge-agent", "allow-broker")
    command("systemctl", "daemon-reload")
    command("systemctl", "restart", "edge-agent")
    wait("connection", lambda: "online" in "".join(listener.lines), START_S)
    listener.close()
    return f"{refused} | {told.strip()} | {shown('StatusText')}"


def upgrade_keeps_configuration_and_bundles() -> str:
    """The next version brings another conffile; the gateway's own stays, and so do its bundles."""
    CONFIG.write_text(CONFIG.read_text() + NOTE)
    KEPT.parent.mkdir(parents=True)
    KEPT.write_text("{}")
    old = shown("MainPID")
    apt_install(WORK / "next.deb")
    assert CONFIG.read_text().endswith(NOTE)
    assert CONFIG.with_name("edge-agent.toml.dpkg-dist").is_file()
    assert KEPT.read_text() == "{}"
    wait("new process", lambda: is_active() and shown("MainPID") not in {"0", old}, START_S)
    return command("dpkg-query", "-W", "edge-agent").strip()


def installing_again_changes_nothing() -> str:
    """The scripts are idempotent: a disabled unit stays disabled."""
    command("systemctl", "disable", "--now", "edge-agent")
    command("apt-get", "install", "-y", "--reinstall", str(WORK / "next.deb"))
    tried = said("systemctl", "is-enabled", "edge-agent")
    assert tried.stdout.strip() == "disabled", tried.stdout
    command("dpkg", "--verify", "edge-agent")
    return tried.stdout.strip()


def removal_keeps_configuration() -> str:
    """`apt remove` leaves what belongs to the gateway."""
    command("apt-get", "remove", "-y", "edge-agent")
    assert CONFIG.is_file()
    assert KEPT.is_file()
    return "kept"


def purge_leaves_nothing() -> list[str]:
    """No file, no user, no unit."""
    command("apt-get", "purge", "-y", "edge-agent")
    BROKER.unlink()
    before = set((OUT / "before.txt").read_text().splitlines())
    left = sorted(files() - before)
    assert not left, left
    assert not sorted(before - files() - {str(BROKER)}), "the package took what was not its own"
    for database in ("passwd", "group"):
        found = said("getent", database, "edge-agent")
        assert found.returncode == 2, f"edge-agent is still in {database}"
    assert "edge-agent" not in command("systemctl", "list-unit-files", "--no-pager")
    states = Path("/var/lib/systemd")
    assert not [str(path) for path in states.rglob("*edge-agent*")], "deb-systemd-helper's state"
    return left


STEPS: tuple[Callable[[], object], ...] = (
    list_files_before,
    install,
    service_is_active,
    memory_cannot_be_made_executable,
    events,
    logits,
    doctor,
    heals_after_a_crash,
    heals_after_a_hang,
    only_this_machine_is_reached,
    upgrade_keeps_configuration_and_bundles,
    installing_again_changes_nothing,
    removal_keeps_configuration,
    purge_leaves_nothing,
)


def main() -> None:
    """Every step, also after one that failed."""
    results = []
    for step in STEPS:
        started = time.monotonic()
        try:
            seen, held = step(), True
        except (AssertionError, subprocess.SubprocessError, OSError, KeyError, ValueError) as error:
            seen, held = f"{type(error).__name__}: {error}", False
        took_s = round(time.monotonic() - started, 1)
        results.append({"step": step.__name__, "held": held, "took_s": took_s, "seen": seen})
        print(f"{'ok' if held else 'FAILED'} {step.__name__} ({took_s} s): {seen}", flush=True)
        (OUT / "results.json").write_text(json.dumps(results, indent=1))


main()
