"""The Fleet of a reload: what is verified, loaded and refused first."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent import loading
from edge_agent.errors import BundleError, ConfigError
from edge_agent.loading import next_fleet
from tests.support.tiny_bundle import ROUTES, break_bundle, tiny_bundle, write_manifest
from tests.support.tiny_generator import tiny_generator
from tests.support.versions import make_version, point
from tests.unit.site import Site

NO_FAULTS = {label: words for label, words in ROUTES.items() if label != "fault"}


@pytest.fixture
def writing(make_site: Callable[..., Site], tmp_path: Path, tiny: Path) -> Site:
    """Faults are written about; ``tmp_path / "current"`` leads to the champion's bundle."""
    (tmp_path / "current").symlink_to(tiny)
    return make_site(
        model={"bundle": str(tmp_path / "current")},
        specialists={"work-order": {"bundle": str(tiny_generator(tmp_path / "generator"))}},
        routes={"fault": {"specialist": "work-order"}},
    )


def test_a_champion_without_a_configured_route_is_refused(writing: Site, tmp_path: Path) -> None:
    """As at the start: else the next start would be refused, and this agent write no more."""
    point(tmp_path / "current", tiny_bundle(tmp_path / "less", NO_FAULTS))
    with pytest.raises(
        ConfigError, match=r"routes\.fault: bundle \S+ has no route fault"
    ) as caught:
        next_fleet(writing.config, writing.supply.fleet)
    assert "restart" in caught.value.fix


def test_what_is_loaded_already_needs_no_memory(
    writing: Site, tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only another bundle does, and now: unlike a start, a reload can be had later."""
    monkeypatch.setattr(loading, "available_bytes", lambda: 0)
    monkeypatch.setattr(loading, "attainable_bytes", lambda: 1 << 40)
    before = writing.supply.fleet
    assert next_fleet(writing.config, before) == before
    point(tmp_path / "current", make_version(tiny, tmp_path / "two", "2.0.0"))
    with pytest.raises(BundleError, match="0 MiB are to be had"):
        next_fleet(writing.config, before)


def test_a_writer_that_comes_to_no_end_is_refused(writing: Site, tmp_path: Path) -> None:
    """By its own golden messages, before it is asked about those of the site."""
    shutil.rmtree(tmp_path / "generator")
    hasty = tiny_generator(tmp_path / "generator", max_output_tokens=3)
    (hasty / "golden.jsonl").write_text('{"text": "pump P-101 leaks"}\n')
    write_manifest(hasty, json.loads((hasty / "bundle.json").read_text()))
    with pytest.raises(BundleError, match=rf"bundle {hasty} does not answer as golden\.jsonl"):
        next_fleet(writing.config, writing.supply.fleet)


@pytest.mark.parametrize("file", ["weights.bin", "tokenizer.json"])
def test_a_file_of_a_bundle_in_use_that_was_damaged_is_found(
    writing: Site, tmp_path: Path, file: str
) -> None:
    """Also of a bundle that writes: "unchanged" says that the disk holds what answers."""
    damaged = tmp_path / "generator" / file
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.unlink()  # what is mapped must not be written over
    damaged.write_bytes(content)
    with pytest.raises(BundleError, match=f"{file} is damaged"):
        next_fleet(writing.config, writing.supply.fleet)


def test_a_damaged_champion_in_use_is_found(writing: Site, tmp_path: Path, tiny: Path) -> None:
    """By its digest: its manifest is the old one."""
    copy = shutil.copytree(tiny, tmp_path / "copy")
    point(tmp_path / "current", break_bundle(copy, "digest"))
    with pytest.raises(BundleError, match="is damaged"):
        next_fleet(writing.config, writing.supply.fleet)


def test_a_new_bundle_that_is_named_twice_is_loaded_once(
    make_site: Callable[..., Site], tmp_path: Path, tiny: Path
) -> None:
    """As champion and challenger: a small machine has no memory for two of it."""
    (tmp_path / "current").symlink_to(tiny)
    named = {"bundle": str(tmp_path / "current")}
    site = make_site(model=named, challenger={**named, "mode": "canary", "share": 0.5})
    point(tmp_path / "current", make_version(tiny, tmp_path / "two", "2.0.0"))
    fleet = next_fleet(site.config, site.supply.fleet)
    assert fleet.card.version == "2.0.0"
    assert fleet.trial is not None
    assert fleet.trial.challenger is fleet.champion
