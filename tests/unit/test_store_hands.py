"""The store where somebody's hand, or another program, was in it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from edge_agent.bundle import load_bundle
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
