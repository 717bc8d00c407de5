"""Wheels: ours, built from a clean copy; and those of others, downloaded by digest. Unpacked.

A wheel is a zip; unpacking it here instead of by pip leaves nothing of the building machine in it.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tools.cache import cache_folder
from tools.debian.target import ROOT, Target
from tools.errors import ToolError

SOURCES = ("edge_agent", "models", "config", "pyproject.toml", "README.md", "LICENSE")
UNUSED = (
    "*/tests/*",
    "*.pyi",
    "*.pxd",
    "numpy/_core/_*_tests.*",
    "numpy/_core/include/*",
    "numpy/_core/lib/*",
    "numpy/distutils/*",
    "numpy/f2py/*",
    "onnxruntime/backend/*",
    "onnxruntime/capi/libonnxruntime.so*",
    "onnxruntime/datasets/*",
    "onnxruntime/quantization/*",
    "onnxruntime/tools/*",
    "onnxruntime/transformers/*",
)
"""Files of wheels that the agent never loads."""


def build_wheel(folder: Path, epoch: int) -> Path:
    """Builds our wheel into a folder. From a copy: stale files of earlier builds stay out."""
    with tempfile.TemporaryDirectory() as temporary:
        for name in SOURCES:
            copy(ROOT / name, Path(temporary) / name)
        command = ["wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), temporary]
        pip(command, "our wheel", {"SOURCE_DATE_EPOCH": str(epoch)})
    (wheel,) = folder.glob("edge_agent-*.whl")
    return wheel


def copy(source: Path, copied: Path) -> None:
    """A file or a tree, without compiled Python, with modes that do not depend on the umask."""
    if source.is_dir():
        shutil.copytree(source, copied, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, copied)
    for path in (copied, *copied.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def download(target: Target) -> list[Path]:
    """The locked wheels of a target, from the cache when they are there."""
    if not target.lock.is_file():
        raise ToolError(f"{target.lock}: no such file", "python -m tools.debian lock")
    digest = hashlib.sha256(target.lock.read_bytes()).hexdigest()[:16]
    folder = cache_folder("edge-agent-deb") / f"{target.architecture}-{target.python}-{digest}"
    complete = folder / "complete"
    if not complete.is_file():
        command = ["download", "--quiet", "--no-deps", "--require-hashes", "--dest", str(folder)]
        pip(
            [*command, *target.wheel_options, "-r", str(target.lock)],
            f"the wheels of {target.lock}",
        )
        complete.touch()
    return sorted(folder.glob("*.whl"))


def pip(arguments: list[str], what: str, environment: dict[str, str] | None = None) -> None:
    """Runs pip. ToolError when it fails."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, env={**os.environ, **(environment or {})}, check=False)
    if done.returncode:
        fix = "see pip's message above; without the Internet, point PIP_INDEX_URL at a mirror"
        raise ToolError(f"pip could not get {what}", fix)


def unpack(wheel: Path, packages: Path, data: Path) -> None:
    """Modules into ``packages``, data files into ``data``; scripts and UNUSED files stay out."""
    with zipfile.ZipFile(wheel) as archive:
        for item in archive.infolist():
            place = destination(item.filename, packages, data)
            if place is None or item.is_dir():
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(archive.read(item))


def destination(name: str, packages: Path, data: Path) -> Path | None:
    """Where a file of a wheel goes, if anywhere."""
    first, _, rest = name.partition("/")
    if not first.endswith(".data"):
        unused = any(fnmatch.fnmatch(name, pattern) for pattern in UNUSED)
        return None if unused else packages / name
    scheme, _, inner = rest.partition("/")
    return (
        {"purelib": packages, "platlib": packages, "data": data}[scheme] / inner
        if (scheme != "scripts")
        else None
    )
