"""Versions of a bundle side by side, good ones and bad, and the link by which one is chosen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.support.tiny_bundle import break_bundle, write_manifest

ENOUGH_FOR_NO_MACHINE = [4 << 30] * 1024
"""Sizes in bytes that a manifest may list; nothing needs to be there to be refused."""


def make_version(source: Path, target: Path, version: str) -> Path:
    """A copy of a bundle under another version: the same answers, another digest."""
    shutil.copytree(source, target)
    manifest = json.loads((target / "bundle.json").read_text())
    (target / "bundle.json").write_text(json.dumps(manifest | {"version": version}))
    return target


def damage(path: Path) -> Path:
    """One byte of the model is another."""
    return break_bundle(path, "digest")


def misrecord(path: Path) -> Path:
    """The golden messages say what the model does not."""
    line = {"text": "gas alarm", "entities": []}
    line["route"] = {"label": "nowhere", "confidence": 1.0, "abstained": False}
    (path / "golden.jsonl").write_text(json.dumps(line) + "\n")
    write_manifest(path, json.loads((path / "bundle.json").read_text()))
    return path


def make_huge(path: Path) -> Path:
    """The manifest lists more bytes than any memory has."""
    manifest = json.loads((path / "bundle.json").read_text())
    for number, size in enumerate(ENOUGH_FOR_NO_MACHINE):
        entry = {"sha256": "0" * 64, "size_bytes": size}
        manifest["files"][f"part{number}"] = entry
    (path / "bundle.json").write_text(json.dumps(manifest))
    return path


def point(link: Path, target: Path) -> None:
    """Swaps the link at one stroke."""
    fresh = link.with_name(f"{link.name}.new")
    fresh.symlink_to(target)
    fresh.replace(link)
