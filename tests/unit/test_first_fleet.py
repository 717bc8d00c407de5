"""The Fleet of a start: what is loaded, how often, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent import loading
from edge_agent.bundle import read_claim
from edge_agent.errors import BundleError
from edge_agent.footprint import peak_bytes
from tests.support.tiny_bundle import break_bundle
from tests.support.tiny_generator import tiny_generator
from tests.support.versions import make_version, misrecord
from tests.unit.site import Site

MakeSite = Callable[..., Site]


def writers(**bundles: Path) -> dict[str, Any]:
    """The tables [specialists.NAME]."""
    return {"specialists": {name: {"bundle": str(path)} for name, path in bundles.items()}}


def test_what_is_wrong_inside_a_writer_is_said_with_its_bundle(
    make_site: MakeSite, tmp_path: Path
) -> None:
    """With several of them, a person must know which one to mend."""
    good = tiny_generator(tmp_path / "good")
    bad = tiny_generator(tmp_path / "bad", output_schema={"type": "text"})
    with pytest.raises(BundleError, match=rf"^bundle {bad}: task\.output_schema: /type is"):
        make_site(**writers(orders=good, summary=bad))


def test_a_bundle_that_is_named_twice_is_loaded_once(
    make_site: MakeSite, tiny: Path, tmp_path: Path
) -> None:
    """On trial against itself, or under two names: a small machine has no memory for two of it."""
    (tmp_path / "link").symlink_to(tiny)
    bundle = tiny_generator(tmp_path / "generator")
    trial = {"bundle": str(tmp_path / "link"), "mode": "canary", "share": 0.5}
    fleet = make_site(challenger=trial, **writers(orders=bundle, summary=bundle)).supply.fleet
    assert fleet.trial is not None
    assert fleet.trial.challenger is fleet.champion
    assert fleet.writers["orders"] is fleet.writers["summary"]


def test_a_start_asks_no_golden_messages(make_site: MakeSite, tiny: Path) -> None:
    """They take time, and there is nothing to fall back on; reload and doctor ask them."""
    assert make_site(model={"bundle": str(misrecord(tiny))}).supply.fleet.champion


def test_a_damaged_copy_of_the_champion_is_no_challenger(
    make_site: MakeSite, tiny: Path, tmp_path: Path
) -> None:
    """Its manifest is the champion's, its files are not."""
    copy = break_bundle(shutil.copytree(tiny, tmp_path / "copy"), "digest")
    supply = make_site(challenger={"bundle": str(copy)}).supply
    assert supply.fleet.trial is None
    assert supply.problem is not None
    assert "model.onnx is damaged" in supply.problem.problem


def test_a_bundle_that_is_too_large_is_refused_before_it_is_loaded(
    make_site: MakeSite, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a reload refuses it: else the kernel ends the agent, again at each start."""
    bundle = tiny_generator(tmp_path / "generator")
    need = {path: peak_bytes(read_claim(path)) for path in (tiny, bundle)}
    monkeypatch.setattr(loading, "attainable_bytes", lambda: need[tiny])
    assert need[tiny] < need[bundle]
    with pytest.raises(BundleError, match=rf"^bundle {bundle}: loading it takes up to") as caught:
        make_site(**writers(orders=bundle))
    assert "MemoryHigh" in caught.value.fix
    assert "instead" not in caught.value.fix
    monkeypatch.setattr(loading, "attainable_bytes", lambda: need[tiny] - 1)
    with pytest.raises(BundleError, match=rf"^bundle {tiny}: loading it takes up to"):
        make_site()


def test_memory_that_others_have_for_the_moment_stops_no_start(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit status 78 is for what a person must mend: systemd would not start the agent again."""
    monkeypatch.setattr(loading, "available_bytes", lambda: 0)
    monkeypatch.setattr(loading, "attainable_bytes", lambda: 1 << 40)
    assert make_site().supply.fleet.champion
    monkeypatch.setattr(loading, "attainable_bytes", lambda: 1)
    with pytest.raises(BundleError, match="loading it takes up to"):
        make_site()


def test_a_challenger_that_is_too_large_is_left_out(
    make_site: MakeSite, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The champion answers without it."""
    other = make_version(tiny, tmp_path / "two", "2.0.0")
    rooms = iter((1 << 30, 0))
    monkeypatch.setattr(loading, "attainable_bytes", lambda: next(rooms))
    supply = make_site(challenger={"bundle": str(other)}).supply
    assert supply.fleet.trial is None
    assert supply.problem is not None
    assert supply.problem.problem.startswith(f"bundle {other}: loading it takes up to")


def test_what_a_bundle_is_for_is_looked_at_before_its_size(
    make_site: MakeSite, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody makes room for a bundle that stands in the wrong table."""
    monkeypatch.setattr(loading, "attainable_bytes", lambda: 1 << 20)
    monkeypatch.setattr(loading, "peak_bytes", lambda claim: (claim.path != tiny) << 30)
    bundle = tiny_generator(tmp_path / "generator")
    with pytest.raises(BundleError, match="it routes no messages"):
        make_site(model={"bundle": str(bundle)})
    with pytest.raises(BundleError, match="it writes no texts"):
        make_site(**writers(orders=make_version(tiny, tmp_path / "two", "2.0.0")))
