"""A bundle on its way into the store: unpacked, verified, alone in a folder, safe on the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge_agent.archive import read_archive
from edge_agent.bundle import Claim, read_claim, verify_bundle
from edge_agent.errors import BundleError
from edge_agent.manifest import MANIFEST, SIGNATURE
from edge_agent.plain_files import plain_file
from edge_agent.signing import PublicKeys

FILE_MODE, FOLDER_MODE = 0o644, 0o755
"""Whoever installs, the agent's own user can read it."""


@dataclass(frozen=True)
class Staged:
    """A verified bundle in ``folder``. ``left_out`` are files that its manifest does not list."""

    claim: Claim
    folder: Path
    left_out: tuple[str, ...]


def stage(source: Path, work: Path, keys: PublicKeys | None) -> Staged:
    """Copies or unpacks ``source`` into the folder ``work``, and verifies what lies there then.

    Raises BundleError; OSError when the disk does.
    """
    origin, folder = opened(source, work), work / "bundle"
    with called(source, origin, folder):
        listed = read_claim(origin, keys)
        left_out = tuple(_unlisted(listed))
        for name in _names(listed):
            _take(plain_file(listed.path, name), folder / name, move=origin != source)
        _settle(folder)
        return Staged(verify_bundle(folder, keys), folder, left_out)


def opened(source: Path, work: Path) -> Path:
    """The bundle's folder: ``source`` itself, or what it holds as an archive, below ``work``."""
    if source.is_dir():
        return source
    if not source.exists():
        raise BundleError(f"{source}: no such file or folder", "correct the path; `ls` shows names")
    return read_archive(source, work / "unpacked")


def make_folder(folder: Path) -> None:
    """Makes it, and those above it, to be read by everybody whatever the umask."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir()
        folder.chmod(FOLDER_MODE)
        sync(folder.parent)


def sync(path: Path, mode: int | None = None) -> None:
    """Makes a file's bytes, or a folder's entries, outlive a loss of power; sets its mode first."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        if mode is not None:
            os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def called(source: Path, *folders: Path) -> Iterator[None]:
    """Errors name what the person named, not where it lies meanwhile."""
    try:
        yield
    except BundleError as error:
        problem = error.problem
        for folder in folders:
            problem = problem.replace(str(folder.resolve()), str(source))
        raise BundleError(problem, error.fix) from error


def _names(claim: Claim) -> Iterator[str]:
    yield MANIFEST
    if claim.signature is not None:
        yield SIGNATURE
    yield from claim.manifest.files


def _unlisted(claim: Claim) -> Iterator[str]:
    listed = set(_names(claim))
    for path in sorted(claim.path.rglob("*")):
        name = str(path.relative_to(claim.path))
        if name not in listed and (path.is_symlink() or not path.is_dir()):
            yield name


def _take(file: Path, to: Path, *, move: bool) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if move:
        file.rename(to)
    else:
        shutil.copyfile(file, to)


def _settle(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        sync(path, FOLDER_MODE if path.is_dir() else FILE_MODE)
