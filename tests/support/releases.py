"""Tiny bundles under names and versions of choice, as folders and as archives."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.tiny_bundle import tiny_bundle
from tools.bundling.archive import write_archive


def make_version(folder: Path, version: str, name: str = "tiny", note: str = "") -> Path:
    """A bundle folder below ``folder``; with another ``note``, other contents."""
    path = tiny_bundle(folder / f"{name}-{version}{note}")
    manifest = json.loads((path / "bundle.json").read_text())
    manifest |= {"name": name, "version": version, "provenance": {"note": note}}
    (path / "bundle.json").write_text(json.dumps(manifest))
    return path


def pack_version(bundle: Path, path: Path) -> Path:
    """Everything in the folder, as it is, as the archive ``path``."""
    files = (p for p in bundle.rglob("*") if p.is_file())
    write_archive(path, bundle.name, {str(p.relative_to(bundle)): p.read_bytes() for p in files})
    return path
