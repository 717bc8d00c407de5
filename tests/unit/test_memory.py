"""How much memory is left, on recorded machines and for real."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.memory import attainable_bytes, available_bytes
from tests.support.agent_process import ROOT
from tests.support.versions import make_version

MIB = 1 << 20
UNIT = "system.slice/edge-agent.service"


def machine(root: Path, group: str = f"0::/{UNIT}", **values: dict[str, str]) -> Path:
    """``/proc`` and ``/sys`` with 500 MiB free; ``values`` are files of a group by its folder."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text("MemTotal: 999999 kB\nMemAvailable:     512000 kB\n")
    (root / "proc/self/cgroup").write_text(f"{group}\n")
    for folder, files in values.items():
        path = root / "sys/fs/cgroup" / folder
        path.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (path / f"memory.{name}").write_text(f"{text}\n")
    return root


def limits(high: int | str, most: int | str, used: int, evictable: int = 0) -> dict[str, str]:
    """A group's files; MiB."""

    def size(value: int | str) -> str:
        return value if isinstance(value, str) else str(value * MIB)

    stat = f"anon 1\ninactive_file {evictable * MIB}\nactive_file 7"
    return {"high": size(high), "max": size(most), "current": size(used), "stat": stat}


def test_without_control_groups_the_machine_decides(tmp_path: Path) -> None:
    """As on a board whose kernel has no memory controller."""
    assert available_bytes(machine(tmp_path)) == 500 * MIB


def test_nobody_says(tmp_path: Path) -> None:
    """No /proc: unknown."""
    assert available_bytes(tmp_path) is None


@pytest.mark.parametrize(
    ("own", "around", "mib"),
    [
        (limits(256, 384, 100), limits("max", "max", 900), 156),
        (limits("max", 384, 100), {}, 284),
        (limits(256, 384, 100, evictable=30), {}, 186),
        (limits("max", "max", 100), limits("max", 300, 200), 100),
        (limits("max", 4096, 100), {}, 500),
        (limits(256, 384, 300), {}, -44),
    ],
)
def test_the_narrowest_group_decides(
    tmp_path: Path, own: dict[str, str], around: dict[str, str], mib: int
) -> None:
    """Ours or one around it; what the kernel can drop counts as free."""
    root = machine(tmp_path, **{UNIT: own, "system.slice": around})
    assert available_bytes(root) == mib * MIB


def test_a_container_sees_its_group_as_the_root(tmp_path: Path) -> None:
    """And old groups (v1) are not read."""
    root = machine(tmp_path, "9:memory:/x\n0::/", **{"": limits("max", 200, 50)})
    assert available_bytes(root) == 150 * MIB


def test_what_others_have_may_be_had_but_no_more_than_a_group_permits(tmp_path: Path) -> None:
    """Of 976 MiB others have 476 now; a limit stays one."""
    assert attainable_bytes(machine(tmp_path / "alone")) == 999999 * 1024
    limited = machine(tmp_path / "unit", **{UNIT: limits(700, 800, 100)})
    assert (available_bytes(limited), attainable_bytes(limited)) == (500 * MIB, 600 * MIB)
    assert attainable_bytes(tmp_path) is None


def test_of_this_machine() -> None:
    """A plausible number."""
    room = available_bytes()
    assert room is None or 0 < room < 1 << 50


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from edge_agent.errors import BundleError
from edge_agent.loading import next_fleet, supply_of
from edge_agent.settings import load_config
from tests.support.agent_process import proc_status_kib, write_config
import os
folder = Path(sys.argv[1])
config = load_config(write_config(folder / "c.toml", 1883, folder / "current"), [])
fleet = supply_of(config).fleet
(folder / "current").unlink()
(folder / "current").symlink_to(folder / "two")
room = proc_status_kib(os.getpid(), "VmSize") * 1024 + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (room, resource.RLIM_INFINITY))
try:
    next_fleet(config, fleet)
    print("loaded")
except BundleError as error:
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(error.problem, len(fleet.champion.predict(["pump"])))
"""


@pytest.mark.parametrize("room_mib", [1, 8, 20, 30])
def test_memory_that_ends_while_loading_is_a_failure_like_another(
    tmp_path: Path, room_mib: int
) -> None:
    """The address space is limited for real; the Fleet in place still answers."""
    shipped = ROOT / "models/gateway-default"
    make_version(shipped, tmp_path / "two", "2.0.0")
    (tmp_path / "current").symlink_to(shipped)
    done = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, str(tmp_path), str(room_mib * MIB)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(" 1"), done.stdout
    assert "memory ran out" in done.stdout


FLOOD = """
import os, sys
from edge_agent.memory import use_one_heap
from edge_agent.transport.base import Arrived, Inbox
from edge_agent.types import Delivery
from tests.support.agent_process import proc_status_kib
use_one_heap()
qos, inbox, kept = int(sys.argv[1]), Inbox(1000), []
bytes(30 << 20)  # from now on glibc keeps all that is smaller in its heap
before_kib = proc_status_kib(os.getpid(), "VmRSS")
for mid in range(200):
    inbox.put(Arrived(Delivery("t", b"x" * 100_000, qos, mid, 1, 0.0, 0.0)))
    kept.append(b"y" * 600)  # what stays above each payload, so that the heap cannot shrink
while signal := inbox.get(0):
    while inbox.lossy:
        inbox.take_lossy()
del signal
print(proc_status_kib(os.getpid(), "VmRSS") - before_kib)
"""


@pytest.mark.parametrize("qos", [0, 1])
def test_what_a_flood_of_large_payloads_took_is_given_back(qos: int) -> None:
    """20 MB went through the inbox; of their holes not much stays resident."""
    done = subprocess.run(
        [sys.executable, "-c", FLOOD, str(qos)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert int(done.stdout) < 2048
