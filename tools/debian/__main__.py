"""``python -m tools.debian``: builds the wheel and Debian packages, locks what they contain."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.debian import lock, tree, wheels
from tools.debian.target import DEB, MACHINES, PYTHONS, ROOT, Target
from tools.errors import ToolError


def main(arguments: list[str] | None = None) -> int:
    """0 done, 2 a person must act."""
    options = parser().parse_args(arguments)
    try:
        for path in options.run(options):
            print(path)
    except ToolError as error:
        print(f"error: {error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m tools.debian", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    deb = commands.add_parser("deb", help="build packages")
    deb.set_defaults(run=build_packages)
    deb.add_argument("--python", nargs="+", choices=PYTHONS, default=["3.11"])
    deb.add_argument("--architecture", nargs="+", choices=MACHINES, default=list(MACHINES))
    deb.add_argument("--out", type=Path, default=ROOT / "dist")
    deb.add_argument("--compression", choices=("xz", "gzip", "none"), default="xz")
    wheel = commands.add_parser("wheel", help="build the wheel, default bundle included")
    wheel.set_defaults(run=build_wheel)
    wheel.add_argument("--out", type=Path, default=ROOT / "dist")
    locking = commands.add_parser("lock", help="choose versions anew for deb/python*.txt")
    locking.set_defaults(run=write_locks)
    locking.add_argument("--python", nargs="+", choices=PYTHONS, default=list(PYTHONS))
    return top


def build_packages(options: argparse.Namespace) -> list[Path]:
    """One file for each Python and architecture."""
    if not shutil.which("dpkg-deb"):
        raise ToolError("dpkg-deb is not installed", "sudo apt-get install dpkg")
    options.out.mkdir(parents=True, exist_ok=True)
    targets = [Target(p, a) for p in options.python for a in options.architecture]
    return [build_package(target, options.out, options.compression) for target in targets]


def build_package(target: Target, out: Path, compression: str = "xz") -> Path:
    """The same bytes for the same sources, lock and SOURCE_DATE_EPOCH."""
    epoch = source_date_epoch()
    package = out / target.file_name
    with tempfile.TemporaryDirectory() as temporary:
        staged = Path(temporary) / "tree"
        staged.mkdir()
        tree.lay_out(staged, target, epoch)
        tree.control_files(staged, target)
        command = ["dpkg-deb", "--root-owner-group", f"-Z{compression}", "--build"]
        subprocess.run(
            [*command, str(staged), str(package)],
            env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    return package


def build_wheel(options: argparse.Namespace) -> list[Path]:
    """Our wheel alone."""
    options.out.mkdir(parents=True, exist_ok=True)
    for old in options.out.glob("edge_agent-*.whl"):
        old.unlink()
    return [wheels.build_wheel(options.out, source_date_epoch())]


def write_locks(options: argparse.Namespace) -> list[Path]:
    """deb/pythonX.Y.txt of each Python."""
    written = []
    for python in options.python:
        written.append(DEB / f"python{python}.txt")
        written[-1].write_text(lock.locked(python))
    return written


def source_date_epoch() -> int:
    """SOURCE_DATE_EPOCH, else the time of the last commit."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    if shown.returncode:
        raise ToolError("no date for the package", "export SOURCE_DATE_EPOCH=$(date +%s)")
    return int(shown.stdout)


if __name__ == "__main__":
    sys.exit(main())
