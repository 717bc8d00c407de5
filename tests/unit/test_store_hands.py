"""The store where somebody's hand, or another program, was in it."""

from __future__ import annotations

import os
import shlex
from functools import partial
from pathlib import Path

import pytest

from edge_agent.bundle import load_bundle
from edge_agent.errors import BundleError, SetupError
from edge_agent.store import Store
from tests.support.releases import make_version


def test_a_named_link_that_leads_to_itself_is_put_right(tmp_path: Path) -> None:
    """`ln -sfn current current`: to install is the fix that every other command gives."""
    make, current = partial(make_version, tmp_path), tmp_path / "store" / "tiny" / "current"
    Store(tmp_path / "store").install(make("1.0.0"))
    current.unlink()
    current.symlink_to("current")
    Store(tmp_path / "store", named=[current]).install(make("1.1.0"))
    assert load_bundle(current).card.version == "1.1.0"


def test_a_new_store_can_be_read_from_its_root(tmp_path: Path) -> None:
    """The folders above it too, whoever installs and under whatever umask."""
    umask = os.umask(0o077)
    change = Store(tmp_path / "data" / "edge" / "store").install(make_version(tmp_path, "1.0.0"))
    os.umask(umask)
    above = [path for path in change.claim.path.parents if path.is_relative_to(tmp_path / "data")]
    assert {path.stat().st_mode & 0o777 for path in above} == {0o755}


def test_installing_again_opens_what_was_shut(tmp_path: Path) -> None:
    """The agent's own user can read it again: that is the fix it prints when it cannot."""
    source, store = make_version(tmp_path, "1.0.0"), Store(tmp_path / "store")
    place = store.install(source).claim.path
    (place / "model.onnx").chmod(0o600)
    place.chmod(0o700)
    assert store.install(source).repaired == ("model.onnx",)
    assert (place / "model.onnx").stat().st_mode & 0o777 == 0o644
    assert place.stat().st_mode & 0o777 == 0o755


def test_a_link_in_the_place_of_a_bundle_opens_no_other_folder(tmp_path: Path) -> None:
    """Root may install where another user can place links."""
    source, store = make_version(tmp_path, "1.0.0"), Store(tmp_path / "store")
    place = store.install(source).claim.path
    place.rename(tmp_path / "private")
    (tmp_path / "private").chmod(0o700)
    place.symlink_to(tmp_path / "private")
    with pytest.raises(SetupError, match="symbolic links"):
        store.install(source)
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("folder", ["lost+found", "never-finished", "aside/notes"])
def test_a_folder_without_a_bundle_is_none(tmp_path: Path, folder: str) -> None:
    """The store may be a disk of its own; an install may have been killed."""
    store = Store(tmp_path / "store")
    for version in ("1.0.0", "1.1.0"):
        store.install(make_version(tmp_path, version))
    (store.root / folder).mkdir(parents=True)
    assert store.names() == ["tiny"]
    assert store.rollback().claim.card.version == "1.0.0"


def test_what_is_printed_can_be_said_where_the_path_has_a_blank(tmp_path: Path) -> None:
    """As below the mount point of a stick with a name."""
    root = tmp_path / "my disk"
    with pytest.raises(BundleError) as empty:
        Store(root).rollback()
    root.write_text("a file")
    with pytest.raises(SetupError) as taken:
        Store(root).install(make_version(tmp_path, "1.0.0"))
    for said in (empty, taken):
        assert shlex.split(said.value.fix)[-1] == str(root)
