"""What the machine is given: the package, the next version of it, messages, the job."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from edge_agent.bundle import load_bundle
from edge_agent.settings import default_bundle
from tools.debian.__main__ import build_package
from tools.debian.target import Target

HERE = Path(__file__).parent
PYTHON = "3.11"
"""Of Debian 12."""

CONFFILE = "etc/edge-agent/edge-agent.toml"


def lay_out(folder: Path, architecture: str) -> None:
    """Fills the folder that becomes the machine's second disk."""
    target = Target(PYTHON, architecture)
    for name in ("job.py", "machine.py", "logits.py"):
        shutil.copy(HERE / "guest" / name, folder / name)
    (folder / "texts.json").write_text(json.dumps(texts()))
    package = build_package(target, folder, "none").rename(folder / "edge-agent.deb")
    next_version(package, target.version, folder / "next.deb")


def texts() -> list[str]:
    """The golden messages of the default bundle."""
    lines = load_bundle(default_bundle()).contents["golden.jsonl"].decode().splitlines()
    return [json.loads(line)["text"] for line in lines]


def next_version(package: Path, version: str, out: Path) -> None:
    """The same package with a higher version and another conffile."""
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary) / "tree"
        subprocess.run(["dpkg-deb", "-R", str(package), str(tree)], check=True)
        control = tree / "DEBIAN/control"
        control.write_text(control.read_text().replace(version, f"99.{version}"))
        conffile = tree / CONFFILE
        conffile.write_text(conffile.read_text() + "# another default\n")
        command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
