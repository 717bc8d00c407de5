"""A Fleet from the bundles that the configuration names. Knows nothing of MQTT."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from edge_agent.bundle import Bundle, Claim, load_bundle, read_claim
from edge_agent.config import Config
from edge_agent.errors import BundleError
from edge_agent.fleet import Fleet, Trial
from edge_agent.golden import check_golden
from edge_agent.memory import available_bytes
from edge_agent.reload import Failure, Loader, Supply
from edge_agent.settings import configured_keys, default_bundle
from edge_agent.specialists import Specialist, load_specialist
from edge_agent.watch import BundleWatch

PEAK_PER_BYTE = 4
"""Bytes taken for a moment for each byte of a bundle while it loads: measured 3.4."""


def bundle_paths(config: Config) -> tuple[Path, ...]:
    """The folders a Fleet comes from: the champion's, then the challenger's."""
    champion = config.model.bundle or default_bundle()
    return (champion, config.challenger.bundle) if config.challenger else (champion,)


def supply_of(config: Config) -> Supply:
    """The Fleet to start with, and what makes the next. SetupError when there is no champion."""
    watch = BundleWatch(bundle_paths(config))
    fleet, error = first_fleet(config)
    problem = Failure(error.problem, error.fix) if error else None
    return Supply(
        fleet, Loader(partial(next_fleet, config)), watch, config.reload.allow_request, problem
    )


def first_fleet(config: Config) -> tuple[Fleet, BundleError | None]:
    """The Fleet to start with. A challenger that cannot be used is left out, and why is said."""
    keys = configured_keys(config)
    champion, *challenger = bundle_paths(config)
    fleet = Fleet(_specialist(load_bundle(champion, keys), config))
    try:
        for path in challenger:
            fleet = _with_trial(fleet, _specialist(load_bundle(path, keys), config), config)
    except BundleError as error:
        return fleet, error
    return fleet, None


def next_fleet(config: Config, current: Fleet) -> Fleet:
    """The Fleet as the bundles now are, each new one proved first; equal when none has changed.

    Raises BundleError; the current Fleet is not touched.
    """
    known = {specialist.card.digest: specialist for specialist in current.specialists}
    champion, *challenger = [_proved(path, config, known) for path in bundle_paths(config)]
    fleet = Fleet(champion)
    return _with_trial(fleet, challenger[0], config) if challenger else fleet


def _with_trial(fleet: Fleet, challenger: Specialist, config: Config) -> Fleet:
    trial = config.challenger
    return Fleet(fleet.champion, Trial(challenger, trial.mode, trial.share)) if trial else fleet


def _proved(path: Path, config: Config, known: dict[str, Specialist]) -> Specialist:
    """Verified, and once it is loaded, answering as its golden messages say."""
    keys = configured_keys(config)
    try:
        claim = read_claim(path, keys)
        _require_memory(claim)
        bundle = load_bundle(claim.path, keys)
        if bundle.digest in known:
            return known[bundle.digest]
        return _specialist(bundle, config, prove=True)
    except MemoryError as error:
        raise _too_large(path, "memory ran out while it was loaded") from error


def _specialist(bundle: Bundle, config: Config, *, prove: bool = False) -> Specialist:
    specialist = load_specialist(bundle, config.model.threads)
    if prove:
        check_golden(bundle, specialist)
    bundle.contents.clear()  # the session has its own copy; a gateway's memory is small
    return specialist


def _require_memory(claim: Claim) -> None:
    need = PEAK_PER_BYTE * sum(file.size_bytes for file in claim.manifest.files.values())
    room = available_bytes()
    if room is not None and need > room:
        said = f"loading it takes up to {need >> 20} MiB, {max(room, 0) >> 20} MiB are to be had"
        raise _too_large(claim.path, said)


def _too_large(path: Path, said: str) -> BundleError:
    return BundleError(
        f"bundle {path}: {said}",
        "restart instead, which needs room for one bundle only: systemctl restart edge-agent; "
        "or raise MemoryHigh and MemoryMax of the unit",
    )
