"""What a Debian package contains is locked by digest, and holds no client of the Internet."""

from __future__ import annotations

import itertools
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from edge_agent import __version__
from tools.debian import lock
from tools.debian.target import MACHINES, PYTHONS, Target
from tools.debian.wheels import unpack

REQUIREMENT = re.compile(r"([a-z0-9-]+)==\S+((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")


@pytest.mark.parametrize("python", PYTHONS)
def test_each_python_has_a_lock_with_digests(python: str) -> None:
    """Every line has a version and at least one digest; compiled ones have one an architecture."""
    text = Target(python, "amd64").lock.read_text()
    assert text.startswith(lock.HEAD)
    pins = {name: hashes.count("sha256") for name, hashes in REQUIREMENT.findall(text)}
    assert REQUIREMENT.sub("", text) == lock.HEAD
    compiled = {"numpy", "onnxruntime", "tokenizers", "pydantic-core", "cryptography"}
    assert {pins[name] for name in compiled} == {len(MACHINES)}
    assert set(pins) & lock.LEFT_OUT == set()


@pytest.mark.parametrize("python", PYTHONS)
def test_a_lock_has_all_that_is_required(python: str) -> None:
    """A requirement added to pyproject.toml must be locked: python -m tools.debian lock."""
    locked = {name for name, _ in REQUIREMENT.findall(Target(python, "amd64").lock.read_text())}
    assert {lock.normal(text) for text in lock.wanted(python)} <= locked


def item(name: str, *needs: str, requested: bool = False) -> dict[str, Any]:
    return {"metadata": {"name": name, "requires_dist": list(needs)}, "requested": requested}


def test_what_only_the_left_out_need_is_left_out_too() -> None:
    """A library that something else needs as well stays; extras and markers count for nothing."""
    report = [
        item("Tokenizers", "huggingface_hub<3,>=0.16", "shared", requested=True),
        item("huggingface_hub", "httpx", "shared>=1"),
        item("httpx"),
        item("shared", "absent; sys_platform == 'win32'", "extra-only; extra == 'x'"),
        item("extra-only"),
    ]
    kept = [found["metadata"]["name"] for found in lock.kept(report)]
    assert sorted(kept) == ["Tokenizers", "shared"]


def test_markers_follow_the_target_and_not_this_python() -> None:
    """tomli is for Python 3.10 alone, wherever the lock is written."""
    assert any(text.startswith("tomli") for text in lock.wanted("3.10"))
    assert not any(text.startswith("tomli") for text in lock.wanted("3.11"))


def test_a_target_takes_wheels_of_its_own_machine_only() -> None:
    options = Target("3.11", "arm64").wheel_options
    platforms = [b for a, b in itertools.pairwise(options) if a == "--platform"]
    assert all(platform.endswith("_aarch64") for platform in platforms)
    assert {"manylinux_2_35_aarch64", "manylinux_2_17_aarch64"} <= set(platforms)
    assert "manylinux_2_36_aarch64" not in platforms  # Ubuntu 22.04 has glibc 2.35


def test_the_version_tells_the_python_and_sorts_by_ours_first() -> None:
    """dpkg takes the next release of edge-agent for newer, whatever Python it is for."""
    assert Target("3.11", "arm64").file_name == f"edge-agent_{__version__}+py3.11_arm64.deb"


def test_wheels_are_unpacked_without_scripts_and_unused_parts(tmp_path: Path) -> None:
    names = {
        "pkg/__init__.py": True,
        "pkg/tests/test_a.py": False,
        "onnxruntime/tools/x.py": False,
        "onnxruntime/capi/libonnxruntime.so.1": False,
        "onnxruntime/capi/onnxruntime_pybind11_state.so": True,
        "pkg-1.data/scripts/run": False,
        "pkg-1.data/purelib/pure.py": True,
    }
    with zipfile.ZipFile(tmp_path / "w.whl", "w") as archive:
        for name in names:
            archive.writestr(name, name)
        archive.writestr("pkg-1.data/data/share/x", "data")
    unpack(tmp_path / "w.whl", tmp_path / "packages", tmp_path / "usr")
    found = {
        str(p.relative_to(tmp_path / "packages"))
        for p in (tmp_path / "packages").rglob("*")
        if p.is_file()
    }
    assert found == {
        name.removeprefix("pkg-1.data/purelib/") for name, kept in names.items() if kept
    }
    assert (tmp_path / "usr/share/x").read_text() == "data"
