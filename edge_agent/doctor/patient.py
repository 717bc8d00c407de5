"""What a check may look at. All of it can be swapped, so that tests point it at recorded machines.

Files of the machine are read below ``root``; configuration, bundle and model are loaded when the
first check asks, and shared. Nothing here changes anything.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent.bundle import Bundle
from edge_agent.config import Config
from edge_agent.doctor.visit import Reception, call_on
from edge_agent.errors import ConfigError
from edge_agent.settings import (
    DEFAULT_CONFIG,
    champion_path,
    configured_bundle,
    load_config,
    usable_parts,
)
from edge_agent.surroundings import Clock

if TYPE_CHECKING:
    from edge_agent.specialists import EncoderSpecialist

MAX_READ_BYTES = 1 << 20
COMMAND_LIMIT_S = 2.0


@dataclass(frozen=True)
class Output:
    """What a command said. ``code`` is its exit status."""

    code: int
    text: str


Commands = Callable[[Sequence[str], float], Output | None]


def run_command(words: Sequence[str], limit_s: float) -> Output | None:
    """Runs a program; standard output and error together. None: not there, or not done in time."""
    try:
        done = subprocess.run(
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit_s,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Output(done.returncode, done.stdout.decode(errors="replace"))


@dataclass(frozen=True)
class Platform:
    """What Python knows of where it runs. ``libc`` is name and version, such as ``glibc 2.36``."""

    python: str = field(default_factory=platform.python_version)
    machine: str = field(default_factory=platform.machine)
    libc: str = field(default_factory=lambda: " ".join(platform.libc_ver()).strip())


@dataclass
class Patient:
    """See the module. ``flags`` are settings given on the command line.

    ``space`` gives room on a file system, as os.statvfs does; ``built_s`` is when our files were
    made: packages give them the time of the release.
    """

    config_path: Path | None = None
    flags: tuple[str, ...] = ()
    root: Path = Path("/")
    commands: Commands = run_command
    clock: Clock = field(default_factory=Clock)
    space: Callable[[Path], os.statvfs_result] = os.statvfs
    built_s: float = field(default_factory=lambda: Path(__file__).stat().st_mtime)
    platform: Platform = field(default_factory=Platform)
    is_root: bool = field(default_factory=lambda: os.geteuid() == 0)
    probe: bool = False

    @property
    def config_file(self) -> Path:
        """The configuration in question, whether it is there or not."""
        return self.config_path or self.path(str(DEFAULT_CONFIG))

    @cached_property
    def loaded_config(self) -> Config | ConfigError:
        """The configuration, or why it cannot be used."""
        try:
            return load_config(self.config_file, list(self.flags))
        except ConfigError as error:
            return error

    @cached_property
    def config(self) -> Config:
        """The configuration; of a broken one the sections that are right, defaults for the rest."""
        loaded = self.loaded_config
        return usable_parts(self.config_file) if isinstance(loaded, ConfigError) else loaded

    @cached_property
    def bundle_path(self) -> Path:
        """The folder of the bundle in use. ConfigError when there is none."""
        return champion_path(self.config)

    @cached_property
    def bundle(self) -> Bundle:
        """The verified bundle. BundleError when it is not usable."""
        return configured_bundle(self.config)

    @cached_property
    def specialist(self) -> EncoderSpecialist:
        """The model, loaded as the agent loads it. BundleError when it cannot be."""
        from edge_agent.specialists import load_specialist  # noqa: PLC0415 - onnxruntime may fail

        return load_specialist(self.bundle, self.config.model.threads)

    @cached_property
    def reception(self) -> Reception:
        """What one visit to the broker tells. AgentError when it cannot be had."""
        return call_on(self.config)

    def path(self, name: str) -> Path:
        """A path of the machine, such as ``/proc/meminfo``."""
        return self.root / name.lstrip("/")

    def glob(self, pattern: str) -> list[Path]:
        """Paths of the machine, sorted."""
        return sorted(self.root.glob(pattern.lstrip("/")))

    def read(self, path: str | Path) -> str | None:
        """The stripped text of a file, None when it is not there or cannot be read."""
        found = self.path(path) if isinstance(path, str) else path
        try:
            with found.open("rb") as file:
                return file.read(MAX_READ_BYTES).decode(errors="replace").strip("\0 \n\t")
        except OSError:
            return None

    def number(self, path: str | Path) -> int | None:
        """The whole number that a file holds, None when it holds none."""
        text = self.read(path) or ""
        return int(text) if text.lstrip("-").isdigit() else None

    def command(self, *words: str, limit_s: float = COMMAND_LIMIT_S) -> Output | None:
        """What a command says; None when it is not there, or not done in time."""
        return self.commands(words, limit_s)
