"""Bundles installed on this machine, side by side, and links that say which one is in use.

::

    STORE/NAME/VERSION-DIGEST12/     one installed bundle, never changed
    STORE/NAME/current, previous     links to two of them
    STORE/.work/                     what is not finished; STORE/.lock: one change at a time

Whatever is visible is whole: bundles are made in ``.work`` and renamed into place, links are
renamed over. A change that was killed leaves the old or the new, and its leftovers go with the
next one.
"""

from __future__ import annotations

import fcntl
import filecmp
import os
import re
import shlex
import shutil
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from edge_agent.bundle import Claim, verify_bundle
from edge_agent.disk import explained
from edge_agent.errors import BundleError, SetupError
from edge_agent.signing import PublicKeys
from edge_agent.staging import FILE_MODE, FOLDER_MODE, Staged, make_folder, stage, sync
from edge_agent.state import default_state_dir

SYSTEM_STORE = Path("/var/lib/edge-agent/bundles")
CURRENT, PREVIOUS = "current", "previous"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
PLACE = re.compile(r"(?P<version>.+)-(?P<digest>[0-9a-f]{12})")
DIGEST_CHARS = 12
KEEP = 3


@dataclass(frozen=True)
class Installed:
    """One installed bundle, by its folder: nothing in it has been read."""

    path: Path
    is_current: bool
    is_previous: bool

    @property
    def version(self) -> str:
        """As its manifest said when it was installed."""
        return self.path.name[: -DIGEST_CHARS - 1]

    @property
    def digest12(self) -> str:
        """How the digest of its manifest begins."""
        return self.path.name[-DIGEST_CHARS:]


@dataclass(frozen=True)
class Change:
    """What an install or a rollback did. ``before`` is what was current, if it was another."""

    claim: Claim
    current: Path
    before: Installed | None
    is_new: bool
    repaired: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class Store:
    """A folder of installed bundles.

    ``keys``: only bundles signed by one of them come in. ``named``: folders that the configuration
    names, which are never removed.
    """

    def __init__(
        self, root: Path, keys: PublicKeys | None = None, named: Collection[Path] = ()
    ) -> None:
        self.root = root
        self._keys = keys
        self._named = set(map(os.path.realpath, named))  # pathlib's raises on a loop of links

    def names(self) -> list[str]:
        """Of all bundles, in order. A disk's lost+found is none, nor is a folder still empty."""
        with explained(self.root):
            if not self.root.is_dir():
                return []
            folders = [p for p in self.root.iterdir() if NAME.fullmatch(p.name) and p.is_dir()]
            return sorted(folder.name for folder in folders if _places(folder))

    def versions(self, name: str) -> list[Installed]:
        """Those of a bundle: the current one, the previous one, then the last installed first."""
        folder = self.root / name
        with explained(folder):
            current, previous = self._linked(folder, CURRENT), self._linked(folder, PREVIOUS)
            found = [Installed(p, p == current, p == previous) for p in _places(folder)]
            return sorted(found, key=lambda i: (i.is_current, i.is_previous, _age(i)), reverse=True)

    def install(self, source: Path, keep: int = KEEP) -> Change:
        """Verifies a bundle folder or archive, puts it in place, makes it the current one.

        At most ``keep`` versions stay, more only while they are current, previous or named.
        Raises BundleError and SetupError.
        """
        with self._work() as work:
            staged = stage(source, work, self._keys)
            card = staged.claim.card
            folder = self.root / card.name
            place = folder / f"{card.version}-{card.digest[:DIGEST_CHARS]}"
            is_new = not place.exists()
            repaired = self._put(staged, place)
            before = self._use(place, work)
            removed = tuple(self._prune(card.name, keep, work))
        claim = replace(staged.claim, path=place)
        return Change(claim, folder / CURRENT, before, is_new, repaired, staged.left_out, removed)

    def rollback(self, name: str | None = None, version: str | None = None) -> Change:
        """Makes the previous version, or the given one, the current one, after verifying it."""
        name = name or self._only_name()
        with self._work() as work:
            place = self.find(name, version).path if version else self._before(name)
            claim = verify_bundle(place, self._keys)
            before = self._use(place, work)
        return Change(claim, self.root / name / CURRENT, before, is_new=False)

    def remove(self, name: str, version: str) -> Path:
        """Removes one that is not in use; gives the folder that was removed."""
        with self._work() as work:
            found = self.find(name, version)
            if found.is_current:
                raise BundleError(
                    f"bundle {name} {version}: is the current one",
                    f"first {self._way_back(name)}",
                )
            if os.path.realpath(found.path) in self._named:
                raise BundleError(
                    f"bundle {name} {version}: the configuration names {found.path}",
                    "let the configuration name another folder first",
                )
            self._discard(found, work)
        return found.path

    def find(self, name: str, version: str) -> Installed:
        """By version, or by version and digest as in the folder's name."""
        self._known(name)
        found = [i for i in self.versions(name) if version in (i.version, i.path.name)]
        if len(found) != 1:
            there = ", ".join(i.path.name for i in found or self.versions(name))
            problem = "stands for several" if found else "is not installed"
            raise BundleError(f"bundle {name} {version}: {problem}", f"name one of: {there}")
        return found[0]

    def _only_name(self) -> str:
        names = self.names()
        if len(names) != 1:
            raise BundleError(
                f"store {self.root}: holds {len(names)} bundles",
                f"name one of: {', '.join(names)}" if names else self._command("install FILE"),
            )
        return names[0]

    def _known(self, name: str) -> str:
        if name not in self.names():
            raise BundleError(
                f"bundle {name}: none of that name in {self.root}", self._command("list")
            )
        return name

    def _before(self, name: str) -> Path:
        found = [i for i in self.versions(self._known(name)) if i.is_previous and not i.is_current]
        if not found:
            raise BundleError(
                f"bundle {name}: no previous version is known",
                self._way_back(name),
            )
        return found[0].path

    def _way_back(self, name: str) -> str:
        """The command that makes another version current."""
        others = [i for i in self.versions(name) if not i.is_current]
        target = f"rollback {name} --to {others[0].path.name}" if others else "install FILE"
        return self._command(target)

    def _command(self, words: str) -> str:
        place = "" if self.root == default_store() else f" --store {shlex.quote(str(self.root))}"
        return f"edge-agent bundle {words}{place}"

    @contextmanager
    def _work(self) -> Iterator[Path]:
        """An empty folder on the store's disk, for the one process that may change the store."""
        with explained(self.root):
            make_folder(self.root)
            with open(self.root / ".lock", "w", opener=_own_file) as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise SetupError(
                        f"store {self.root}: another edge-agent is changing it",
                        "wait until it is done, then say it again",
                    ) from error
                work = self.root / ".work"
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir()
                try:
                    yield work
                finally:
                    shutil.rmtree(work, ignore_errors=True)

    def _put(self, staged: Staged, place: Path) -> tuple[str, ...]:
        """Renames it into place. If it is there, opens folders and replaces files that differ."""
        make_folder(place.parent)
        if not place.exists():
            staged.folder.rename(place)
            sync(place.parent)
            return ()
        fresh = (path for path in sorted(staged.folder.rglob("*")) if path.is_file())
        names = [str(path.relative_to(staged.folder)) for path in fresh]
        for folder in {(place / name).parent for name in names}:
            make_folder(folder)
            sync(folder, FOLDER_MODE)
        differing = [n for n in names if not _same(staged.folder / n, place / n)]
        for name in differing:
            (staged.folder / name).replace(place / name)
            sync((place / name).parent)
        return tuple(differing)

    def _use(self, place: Path, work: Path) -> Installed | None:
        """Swaps the links, each at one stroke; gives what was current, if it was another.

        Killed between the two, the old one is current and previous: nothing is in use that was
        not asked for.
        """
        current = next((i for i in self.versions(place.parent.name) if i.is_current), None)
        if current is not None and current.path == place:
            return None
        if current is not None:
            _point(work, place.parent / PREVIOUS, current.path.name)
        _point(work, place.parent / CURRENT, place.name)
        return current

    def _prune(self, name: str, keep: int, work: Path) -> Iterator[str]:
        for installed in self.versions(name)[keep:]:
            linked = installed.is_current or installed.is_previous
            if not linked and os.path.realpath(installed.path) not in self._named:
                self._discard(installed, work)
                yield installed.path.name

    def _discard(self, installed: Installed, work: Path) -> None:
        folder = installed.path.parent
        if installed.is_previous:
            (folder / PREVIOUS).unlink()
        installed.path.rename(work / installed.path.name)
        sync(folder)

    @staticmethod
    def _linked(folder: Path, link: str) -> Path | None:
        try:
            return folder / (folder / link).readlink().name
        except OSError:
            return None


def default_store() -> Path:
    """The service's for root, else the user's own."""
    return SYSTEM_STORE if os.geteuid() == 0 else default_state_dir() / "bundles"


def _own_file(path: str, _flags: int) -> int:
    """No link is followed: the folder may belong to another user than root."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)


def _point(work: Path, link: Path, target: str) -> None:
    fresh = work / link.name
    fresh.symlink_to(target)
    fresh.replace(link)
    sync(link.parent)


def _places(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if PLACE.fullmatch(p.name) and p.is_dir()]


def _same(fresh: Path, there: Path) -> bool:
    """Whether ``there`` is a plain file of its own with the same bytes and mode."""
    if there.is_symlink() or not there.is_file() or there.stat().st_nlink > 1:
        return False
    if stat.S_IMODE(there.stat().st_mode) != FILE_MODE:
        return False
    return filecmp.cmp(fresh, there, shallow=False)


def _age(installed: Installed) -> int:
    return installed.path.stat().st_mtime_ns
