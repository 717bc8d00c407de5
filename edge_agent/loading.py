"""A Fleet from the bundles that the configuration names. Knows nothing of MQTT."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from edge_agent.bundle import (
    Bundle,
    Claim,
    check_kind,
    read_claim,
    read_files,
    verify_files,
    writing_task,
)
from edge_agent.config import Config
from edge_agent.errors import BundleError
from edge_agent.fleet import Fleet, Trial
from edge_agent.footprint import peak_bytes
from edge_agent.generator import GeneratorSpecialist, load_writer
from edge_agent.golden import check_golden, check_written
from edge_agent.memory import attainable_bytes, available_bytes, give_back
from edge_agent.reload import Failure, Loader, Supply
from edge_agent.settings import (
    champion_path,
    check_stages,
    configured_keys,
)
from edge_agent.signing import PublicKeys
from edge_agent.specialists import Specialist, load_specialist
from edge_agent.watch import BundleWatch

Loaded = TypeVar("Loaded", Specialist, GeneratorSpecialist)
MORE_MEMORY = (
    "raise MemoryHigh and MemoryMax of the unit (sudo systemctl edit edge-agent) or free memory "
    "on the machine, then sudo systemctl restart edge-agent; or use a smaller bundle"
)
RESTART_INSTEAD = (
    "restart instead, which needs room for one bundle only: systemctl restart edge-agent; "
    "or raise MemoryHigh and MemoryMax of the unit"
)


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
    loading = _Loading(config, configured_keys(config), beside=False)
    claim = loading.encoder_claim(champion_path(config))
    check_stages(config, claim)
    champion = loading.encoders([claim], ())[0]
    writers = loading.writers(loading.writer_claims(), ())
    fleet = Fleet(champion, writers=writers, stages=_stages(config))
    if config.challenger is None:
        return fleet, None
    try:
        claim = loading.encoder_claim(config.challenger.bundle)
        return _with_trial(fleet, loading.encoders([claim], [champion])[0], config), None
    except BundleError as error:
        return fleet, error


def next_fleet(config: Config, current: Fleet) -> Fleet:
    """The Fleet as the bundles now are, each new one proved first; equal when none has changed.

    Raises SetupError; the current Fleet is not touched.
    """
    loading = _Loading(config, configured_keys(config), beside=True)
    claims = [loading.encoder_claim(path) for path in bundle_paths(config)]
    check_stages(config, claims[0])
    champion, *challenger = loading.encoders(claims, current.specialists)
    writers = loading.writers(loading.writer_claims(), current.writers.values())
    fleet = Fleet(champion, writers=writers, stages=_stages(config))
    return _with_trial(fleet, challenger[0], config) if challenger else fleet


def _with_trial(fleet: Fleet, challenger: Specialist, config: Config) -> Fleet:
    trial = config.challenger
    if trial is None:
        return fleet
    return replace(fleet, trial=Trial(challenger, trial.mode, trial.share))


def _stages(config: Config) -> dict[str, str]:
    """Who writes about the messages of each route."""
    return {route: stage.specialist for route, stage in config.routes.items()}


@dataclass(frozen=True)
class _Loading:
    """Bundles to specialists. ``beside`` others at work, each new one is proved first."""

    config: Config
    keys: PublicKeys | None
    beside: bool

    def encoder_claim(self, path: Path) -> Claim:
        claim = self._claim(path)
        check_kind(claim, "encoder")
        return claim

    def writer_claims(self) -> dict[str, Claim]:
        claims = {name: self._claim(path) for name, path in writer_paths(self.config).items()}
        for claim in claims.values():
            writing_task(claim)
        return claims

    def encoders(self, claims: Iterable[Claim], current: Iterable[Specialist]) -> list[Specialist]:
        return self._each_once(claims, current, self._encoder)

    def writers(
        self, claims: Mapping[str, Claim], current: Iterable[GeneratorSpecialist]
    ) -> dict[str, GeneratorSpecialist]:
        found = self._each_once(claims.values(), current, self._writer)
        return dict(zip(claims, found, strict=True))

    def _claim(self, path: Path) -> Claim:
        with self._within_memory(path):
            return read_claim(path, self.keys)

    def _each_once(
        self, claims: Iterable[Claim], current: Iterable[Loaded], load: Callable[[Bundle], Loaded]
    ) -> list[Loaded]:
        """One for each claim; a bundle that is named twice is loaded once."""
        known = {one.card.digest: one for one in current}
        found = []
        for claim in claims:
            known[claim.digest] = self._loaded(claim, known, load)
            found.append(known[claim.digest])
        return found

    def _loaded(
        self, claim: Claim, known: Mapping[str, Loaded], load: Callable[[Bundle], Loaded]
    ) -> Loaded:
        """The one that is loaded already, its files verified again; else it is loaded."""
        if claim.digest in known:
            verify_files(claim)
            return known[claim.digest]
        self._require_memory(claim)
        with self._within_memory(claim.path):
            loaded = load(read_files(claim))
        give_back()  # what it took for a moment is room for the next
        return loaded

    def _encoder(self, bundle: Bundle) -> Specialist:
        specialist = load_specialist(bundle, self.config.model.threads)
        if self.beside:
            check_golden(bundle, specialist)
        bundle.contents.clear()  # the session has its own copy; a gateway's memory is small
        return specialist

    def _writer(self, bundle: Bundle) -> GeneratorSpecialist:
        writer = load_writer(bundle, self.config.model.threads)
        if self.beside:
            check_written(bundle, writer)
        bundle.contents.clear()
        return writer

    def _require_memory(self, claim: Claim) -> None:
        """What others have for the moment stops no start: nobody may be there for another."""
        need = peak_bytes(claim)
        room = available_bytes() if self.beside else attainable_bytes()
        if room is None or need <= room:
            return
        said = f"loading it takes up to {need >> 20} MiB, {max(room, 0) >> 20} MiB are to be had"
        raise self._too_large(claim.path, said)

    @contextmanager
    def _within_memory(self, path: Path) -> Iterator[None]:
        """Turns the end of the memory into BundleError."""
        try:
            yield
        except MemoryError as error:
            raise self._too_large(path, "memory ran out while it was loaded") from error

    def _too_large(self, path: Path, said: str) -> BundleError:
        return BundleError(
            f"bundle {path}: {said}", RESTART_INSTEAD if self.beside else MORE_MEMORY
        )
