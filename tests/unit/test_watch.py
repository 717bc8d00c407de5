"""Bundles watched on disk, in real folders."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from edge_agent.watch import BundleWatch
from tests.support.versions import make_version, point


@pytest.fixture
def link(tiny: Path, tmp_path: Path) -> Path:
    make_version(tiny, tmp_path / "two", "2.0.0")
    (tmp_path / "current").symlink_to(tiny)
    return tmp_path / "current"


def looks(watch: BundleWatch, times: int = 3) -> list[bool]:
    return [watch.has_changed() for _ in range(times)]


def test_nothing_happens(link: Path) -> None:
    """Nothing is said."""
    assert looks(BundleWatch((link,))) == [False, False, False]


def test_a_swapped_link_is_said_at_the_second_look_until_it_is_loaded(
    link: Path, tmp_path: Path
) -> None:
    """And never again after that."""
    watch = BundleWatch((link,))
    point(link, tmp_path / "two")
    assert looks(watch, 2) == [False, True]
    watch.note()
    assert looks(watch) == [False, False, False]


def test_a_copy_in_progress_is_waited_for(tiny: Path) -> None:
    """As long as any file of the folder grows."""
    watch = BundleWatch((tiny,))
    for _ in range(4):
        with (tiny / "model.onnx").open("ab") as file:
            file.write(b"more")
        assert not watch.has_changed()
    assert watch.has_changed()


def test_a_file_replaced_by_another_of_its_size_is_seen(tiny: Path) -> None:
    """By its inode, when even the time is the same."""
    watch = BundleWatch((tiny,))
    before = (tiny / "model.onnx").stat()
    shutil.copy2(tiny / "model.onnx", tiny / "copy")
    (tiny / "copy").replace(tiny / "model.onnx")
    os.utime(tiny / "model.onnx", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert looks(watch, 2) == [False, True]


def test_a_change_that_is_taken_back_was_none(link: Path, tiny: Path, tmp_path: Path) -> None:
    """Two swaps between two looks, or over them."""
    watch = BundleWatch((link,))
    point(link, tmp_path / "two")
    assert not watch.has_changed()
    point(link, tiny)
    assert looks(watch) == [False, False, False]


def test_a_folder_that_vanishes_is_a_change(tiny: Path, link: Path) -> None:
    """The next start would fail: a person should hear of it. Of several, each counts."""
    watch = BundleWatch((link, tiny))
    shutil.rmtree(tiny)
    assert looks(watch, 2) == [False, True]


def test_a_link_that_leads_to_itself_is_a_change(link: Path, tmp_path: Path) -> None:
    """Like one that leads nowhere; it ends no agent."""
    watch = BundleWatch((link,))
    point(link, link)
    assert looks(watch, 2) == [False, True]
    watch.note()
    point(link, tmp_path / "two")
    assert looks(watch, 2) == [False, True]
