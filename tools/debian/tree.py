"""Lays out the files of a package as they will lie on the gateway."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from tools.debian import wheels
from tools.debian.target import DEB, ROOT, Target

HOME = "usr/lib/edge-agent"
"""A virtual environment: https://docs.python.org/3/library/venv.html, but for the links in it."""

LAUNCHER = """\
#!/usr/lib/edge-agent/bin/python3 -I
import sys

from edge_agent.cli import main

sys.exit(main())
"""
COPIES = {
    "config/edge-agent.toml": "etc/edge-agent/edge-agent.toml",
    "systemd/edge-agent.service": "usr/lib/systemd/system/edge-agent.service",
    "systemd/edge-agent.sysusers.conf": "usr/lib/sysusers.d/edge-agent.conf",
    "systemd/edge-agent.tmpfiles.conf": "usr/lib/tmpfiles.d/edge-agent.conf",
    "systemd/drop-ins": "usr/share/doc/edge-agent/examples/edge-agent.service.d",
    "deb/copyright": "usr/share/doc/edge-agent/copyright",
    "deb/lintian-overrides": "usr/share/lintian/overrides/edge-agent",
}


def lay_out(tree: Path, target: Target, epoch: int) -> None:
    """Everything but the control files."""
    environment(tree, target.python)
    packages = tree / HOME / f"lib/python{target.python}/site-packages"
    with tempfile.TemporaryDirectory() as temporary:
        ours = wheels.build_wheel(Path(temporary), epoch)
        for wheel in (ours, *wheels.download(target)):
            wheels.unpack(wheel, packages, tree / "usr")
    for source, place in COPIES.items():
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        wheels.copy(ROOT / source, tree / place)
    write_changelog(tree, target, epoch)
    set_modes(tree)


def environment(tree: Path, python: str) -> None:
    """The virtual environment's own files, and the command on PATH."""
    binaries = tree / HOME / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python3").symlink_to(f"/usr/bin/python{python}")
    (binaries / "edge-agent").write_text(LAUNCHER)
    settings = f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {python}\n"
    (tree / HOME / "pyvenv.cfg").write_text(settings)
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/edge-agent").symlink_to("../lib/edge-agent/bin/edge-agent")


def write_changelog(tree: Path, target: Target, epoch: int) -> None:
    """Debian's changelog: one entry, which leads to ours, shipped beside it."""
    date = datetime.fromtimestamp(epoch, timezone.utc).strftime("%a, %d %b %Y %H:%M:%S +0000")
    entry = (
        f"edge-agent ({target.version}) stable; urgency=medium\n\n"
        "  * The changes are in CHANGELOG.md.gz beside this file.\n\n"
        f" -- {maintainer()}  {date}\n"
    )
    folder = tree / "usr/share/doc/edge-agent"
    texts = {"changelog.gz": entry, "CHANGELOG.md.gz": (ROOT / "CHANGELOG.md").read_text("utf-8")}
    for name, text in texts.items():
        (folder / name).write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def maintainer() -> str:
    """Who answers for the package: Debian's variables, else a name that reaches nobody."""
    name = os.environ.get("DEBFULLNAME", "edge-agent maintainers")
    return f"{name} <{os.environ.get('DEBEMAIL', 'maintainers@edge-agent.example')}>"


def set_modes(tree: Path) -> None:
    """The same on every building machine, whatever its umask."""
    for path in (tree, *tree.rglob("*")):
        if path.is_symlink():
            continue
        runs = path.is_dir() or path.parent == tree / HOME / "bin"
        path.chmod(0o755 if runs else 0o644)


def control_files(tree: Path, target: Target) -> None:
    """DEBIAN/: what dpkg reads, and the scripts it runs."""
    folder = tree / "DEBIAN"
    sums, size_kib = md5sums(tree), installed_kib(tree)
    folder.mkdir()
    folder.chmod(0o755)
    fields = {
        "VERSION": target.version,
        "ARCHITECTURE": target.architecture,
        "PYTHON": f"python{target.python}",
        "MAINTAINER": maintainer(),
        "SIZE": str(size_kib),
    }
    for name in ("control", "conffiles", "postinst", "prerm", "postrm"):
        text = (DEB / name).read_text("utf-8")
        for field, value in fields.items():
            text = text.replace(f"@{field}@", value)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755 if text.startswith("#!") else 0o644)
    (folder / "md5sums").write_text(sums)
    (folder / "md5sums").chmod(0o644)


def md5sums(tree: Path) -> str:
    """What `dpkg --verify` compares."""
    files = sorted(p for p in tree.rglob("*") if p.is_file() and not p.is_symlink())
    named = ((hashlib.md5(path.read_bytes()).hexdigest(), path.relative_to(tree)) for path in files)
    return "".join(f"{digest}  {name}\n" for digest, name in named if name.parts[0] != "etc")


def installed_kib(tree: Path) -> int:
    """As Debian's policy reckons it: each file in whole KiB, each directory one."""
    sizes = (p.lstat().st_size if not p.is_dir() else 1 for p in tree.rglob("*"))
    return sum(-(-size // 1024) for size in sizes)
