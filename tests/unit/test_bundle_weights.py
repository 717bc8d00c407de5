"""Weights are verified like any file of a bundle, but mapped by the runtime instead of read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.bundle import Bundle, load_bundle
from edge_agent.errors import BundleError
from tests.support.tiny_bundle import entry
from tests.unit.test_manifest import manifest

WEIGHTS = bytes(range(256)) * 8192
"""More than what is read at once."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A generator whose graphs are none."""
    content = manifest().model_dump(mode="json")
    for name in content["files"]:
        data = WEIGHTS if name == "weights.bin" else name.encode()
        (tmp_path / name).write_bytes(data)
        content["files"][name] = entry(data)
    (tmp_path / "bundle.json").write_text(json.dumps(content))
    return tmp_path


def test_weights_are_verified_and_not_kept(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert set(bundle.contents) == {"model.onnx", "head.onnx", "rows.onnx", "tokenizer.json"}
    bundle.check_unchanged()


@pytest.mark.parametrize("found", [WEIGHTS[:-1] + b"\0", WEIGHTS[:-1], WEIGHTS + b"\0", b""])
def test_other_weights_are_refused(folder: Path, found: bytes) -> None:
    """Whether changed, cut short or longer."""
    (folder / "weights.bin").write_bytes(found)
    with pytest.raises(BundleError, match="is damaged"):
        load_bundle(folder)


def test_weights_that_are_a_link_are_refused(folder: Path) -> None:
    (folder / "weights.bin").rename(folder / "elsewhere")
    (folder / "weights.bin").symlink_to(folder / "elsewhere")
    with pytest.raises(BundleError, match="is a link"):
        load_bundle(folder)


def replace(bundle: Bundle) -> None:
    (bundle.path / "fresh").write_bytes(WEIGHTS)
    (bundle.path / "fresh").replace(bundle.path / "weights.bin")


def rewrite(bundle: Bundle) -> None:
    with (bundle.path / "weights.bin").open("r+b") as file:
        file.write(b"x")


@pytest.mark.parametrize("change", [replace, rewrite])
def test_weights_that_change_while_they_are_loaded_are_noticed(
    folder: Path, change: Callable[[Bundle], None]
) -> None:
    """Even if another file of the same bytes takes their place."""
    bundle = load_bundle(folder)
    change(bundle)
    with pytest.raises(BundleError, match="changed while it was being loaded"):
        bundle.check_unchanged()
