"""A Fleet from the bundles that the configuration names. Knows nothing of MQTT."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from edge_agent.bundle import Bundle, Claim, read_claim, read_files, verify_files
from edge_agent.config import Config
from edge_agent.errors import BundleError
from edge_agent.fleet import Fleet, Trial
from edge_agent.generator import GeneratorSpecialist, load_writer
from edge_agent.golden import check_golden, check_written
from edge_agent.manifest import WEIGHTS
from edge_agent.memory import available_bytes
from edge_agent.reload import Failure, Loader, Supply
from edge_agent.settings import (
    champion_path,
    check_stages,
    configured_bundle,
    configured_challenger,
    configured_keys,
    configured_writers,
)
from edge_agent.signing import PublicKeys
from edge_agent.specialists import Specialist, load_specialist
from edge_agent.watch import BundleWatch

Loaded = TypeVar("Loaded", Specialist, GeneratorSpecialist)
PEAK_PER_BYTE = 4
"""Bytes taken for a moment for each byte of a bundle while it loads: measured 3.4."""
PEAK_PER_MAPPED_BYTE = 2
"""Of weights that are mapped: themselves, and the runtime's packed copy."""


def bundle_paths(config: Config) -> tuple[Path, ...]:
    """The folders a Fleet comes from: the champion's, then the challenger's."""
    champion = champion_path(config)
    return (champion, config.challenger.bundle) if config.challenger else (champion,)


def writer_paths(config: Config) -> dict[str, Path]:
    """The folders of the specialists that write, by name."""
    return {name: specialist.bundle for name, specialist in config.specialists.items()}


def supply_of(config: Config) -> Supply:
    """The Fleet to start with, and what makes the next. SetupError when there is no champion."""
    watch = BundleWatch((*bundle_paths(config), *writer_paths(config).values()))
    fleet, error = first_fleet(config)
    problem = Failure(error.problem, error.fix) if error else None
    return Supply(
        fleet, Loader(partial(next_fleet, config)), watch, config.reload.allow_request, problem
    )


def first_fleet(config: Config) -> tuple[Fleet, BundleError | None]:
    """The Fleet to start with. A challenger that cannot be used is left out, and why is said."""
    champion = _specialist(configured_bundle(config), config)
    writers = {name: _writer(one, config) for name, one in configured_writers(config).items()}
    fleet = Fleet(champion, writers=writers, stages=_stages(config))
    try:
        if challenger := configured_challenger(config):
            fleet = _with_trial(fleet, _specialist(challenger, config), config)
    except BundleError as error:
        return fleet, error
    return fleet, None


def next_fleet(config: Config, current: Fleet) -> Fleet:
    """The Fleet as the bundles now are, each new one proved first; equal when none has changed.

    Raises SetupError; the current Fleet is not touched.
    """
    keys = configured_keys(config)
    claims = [_claim(path, keys) for path in bundle_paths(config)]
    check_stages(config, claims[0])
    load = partial(_specialist, config=config, prove=True)
    champion, *challenger = _proved_all(claims, current.specialists, load)
    writers = _proved_writers(config, keys, current)
    fleet = Fleet(champion, writers=writers, stages=_stages(config))
    return _with_trial(fleet, challenger[0], config) if challenger else fleet


def _proved_writers(
    config: Config, keys: PublicKeys | None, current: Fleet
) -> dict[str, GeneratorSpecialist]:
    claims = {name: _claim(path, keys) for name, path in writer_paths(config).items()}
    load = partial(_writer, config=config, prove=True)
    writers = _proved_all(claims.values(), current.writers.values(), load)
    return dict(zip(claims, writers, strict=True))


def _with_trial(fleet: Fleet, challenger: Specialist, config: Config) -> Fleet:
    trial = config.challenger
    if trial is None:
        return fleet
    return replace(fleet, trial=Trial(challenger, trial.mode, trial.share))


def _stages(config: Config) -> dict[str, str]:
    """Who writes about the messages of each route."""
    return {route: stage.specialist for route, stage in config.routes.items()}


def _writer(bundle: Bundle, config: Config, *, prove: bool = False) -> GeneratorSpecialist:
    with bundle.named():
        writer = load_writer(bundle, config.model.threads)
    if prove:
        check_written(bundle, writer)
    bundle.contents.clear()
    return writer


def _proved_all(
    claims: Iterable[Claim], current: Iterable[Loaded], load: Callable[[Bundle], Loaded]
) -> list[Loaded]:
    """One for each claim; a bundle that is named twice is loaded once."""
    known = {one.card.digest: one for one in current}
    found = []
    for claim in claims:
        known[claim.digest] = _proved(claim, known, load)
        found.append(known[claim.digest])
    return found


def _proved(claim: Claim, known: Mapping[str, Loaded], load: Callable[[Bundle], Loaded]) -> Loaded:
    """The one that is loaded already, its files verified again; else it is loaded and proved."""
    if claim.digest in known:
        verify_files(claim)
        return known[claim.digest]
    _require_memory(claim)
    with _within_memory(claim.path):
        return load(read_files(claim))


def _claim(path: Path, keys: PublicKeys | None) -> Claim:
    with _within_memory(path):
        return read_claim(path, keys)


@contextmanager
def _within_memory(path: Path) -> Iterator[None]:
    """Turns the end of the memory into BundleError."""
    try:
        yield
    except MemoryError as error:
        raise _too_large(path, "memory ran out while it was loaded") from error


def _specialist(bundle: Bundle, config: Config, *, prove: bool = False) -> Specialist:
    specialist = load_specialist(bundle, config.model.threads)
    if prove:
        check_golden(bundle, specialist)
    bundle.contents.clear()  # the session has its own copy; a gateway's memory is small
    return specialist


def peak_bytes(claim: Claim) -> int:
    """What loading a bundle may take at its peak."""
    sizes = {name: file.size_bytes for name, file in claim.manifest.files.items()}
    mapped = sizes.pop(WEIGHTS, 0)
    return PEAK_PER_BYTE * sum(sizes.values()) + PEAK_PER_MAPPED_BYTE * mapped


def _require_memory(claim: Claim) -> None:
    need = peak_bytes(claim)
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
