"""A bundle's archive, read as if an enemy had made it. The only importer of zstandard.

Knows tar and compression, not what a bundle is. Members are plain files below one top folder;
anything else is refused by its name before it is written. All reading, tar's own headers included,
is metered, so that neither a file nor a header can grow beyond what the archive's size permits.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from edge_agent.errors import BundleError, SetupError

ZST, GZ = ".tar.zst", ".tar.gz"
FORMATS = (ZST, GZ)
MAX_MEMBERS = 1000
MAX_NAME_BYTES = 255
MAX_DEPTH_FOLDERS = 32
"""Python walks folders by recursion: it could not even remove what lies a thousand deep."""
MAX_MEMBER_BYTES = 4 << 30
MAX_HEADER_BYTES = 128 << 10
MAX_TRAILER_BYTES = 1 << 20
MAX_WINDOW_BYTES = 128 << 20
MAX_RATIO = 20
FREE_BYTES = 16 << 20
"""Unpacked, an archive may have ``MAX_RATIO`` times its size, and so many bytes more."""
BLOCK_BYTES = 1 << 20


class _TooLarge(Exception):
    """The meter's refusal; whoever knows the member names it."""


class _Meter:
    """A stream that gives at most so many bytes, and so many until the next ``allow``."""

    def __init__(self, stream: IO[bytes], limit_bytes: int) -> None:
        self._stream = stream
        self._left_bytes = limit_bytes
        self._step_bytes = MAX_HEADER_BYTES

    def allow(self, size_bytes: int) -> None:
        """What the step that now begins may read."""
        self._step_bytes = size_bytes

    def read(self, size: int) -> bytes:
        """As of a file. Raises _TooLarge."""
        block = self._stream.read(size)
        self._left_bytes -= len(block)
        self._step_bytes -= len(block)
        if min(self._left_bytes, self._step_bytes) < 0:
            raise _TooLarge
        return block


def check_format(path: Path) -> None:
    """Refuses a name whose ending says no format, or one that cannot be used here."""
    if not path.name.endswith(FORMATS) or path.name in FORMATS:
        raise BundleError(
            f"{path}: the name says no format", f"name it {path.name or 'bundle'}{GZ}, or …{ZST}"
        )
    if path.name.endswith(ZST):
        zstandard_library()


def read_archive(path: Path, into: Path) -> Path:
    """Unpacks into the folder ``into``, which does not exist yet; gives the top folder.

    Raises BundleError; OSError when the disk does.
    """
    check_format(path)
    into.mkdir(parents=True)
    seen = ["its beginning"]
    try:
        with _opened(path) as (tar, meter):
            for member in _members(tar, meter):
                seen.append(repr(member.name))
                _unpack(path, tar, member, into)
    except _TooLarge as error:
        raise _refusal(path, f"unpacks to more than any bundle, at {seen[-1]}") from error
    except (tarfile.TarError, EOFError, ValueError, zlib.error, gzip.BadGzipFile) as error:
        raise _refusal(path, f"cannot be read after {seen[-1]}: {error}") from error
    tops = list(into.iterdir())
    if len(tops) != 1:
        raise _refusal(path, f"has {len(tops)} top folders, not one")
    return tops[0]


def _members(tar: tarfile.TarFile, meter: _Meter) -> Iterator[tarfile.TarInfo]:
    for count, member in enumerate(tar, 1):
        if count > MAX_MEMBERS or not 0 <= member.size <= MAX_MEMBER_BYTES:
            raise _TooLarge
        meter.allow(member.size + MAX_HEADER_BYTES)
        yield member
        meter.allow(MAX_HEADER_BYTES)
    meter.allow(MAX_TRAILER_BYTES)
    while meter.read(BLOCK_BYTES):
        """To the end, where the checksum stands."""


def _unpack(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    name = _checked(path, member)
    to = into / name
    if any((into / folder).is_file() for folder in name.parents) or (
        to.exists() and not (member.isdir() and to.is_dir())
    ):
        raise _refusal(path, f"{member.name!r} stands twice")
    if member.isdir():
        to.mkdir(parents=True, exist_ok=True)
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    if source is not None:
        with to.open("xb") as file:
            while block := source.read(BLOCK_BYTES):
                file.write(block)


def _checked(path: Path, member: tarfile.TarInfo) -> PurePosixPath:
    """The member's name, if it is a plain file or folder that stays where it is unpacked."""
    plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
    if not (plain or member.isdir()):
        raise _refusal(path, f"{member.name!r} is no plain file")
    parts = member.name.split("/")
    if {"", ".", ".."} & set(parts) or set("\\\0") & set(member.name):
        raise _refusal(path, f"the name {member.name!r} leads elsewhere")
    if max(len(part.encode(errors="surrogateescape")) for part in parts) > MAX_NAME_BYTES:
        raise _refusal(path, f"the name {member.name[:40]!r}… is too long")
    if len(parts) - 1 > MAX_DEPTH_FOLDERS:
        raise _refusal(path, f"{parts[-1]!r} lies more than {MAX_DEPTH_FOLDERS} folders deep")
    if plain and len(parts) == 1:
        raise _refusal(path, f"{member.name!r} lies in no folder")
    return PurePosixPath(member.name)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[tarfile.TarFile, _Meter]]:
    limit_bytes = MAX_RATIO * path.stat().st_size + FREE_BYTES
    with path.open("rb") as raw, _decompressed(path, raw) as stream:
        meter = _Meter(stream, limit_bytes)
        with tarfile.open(fileobj=meter, mode="r|") as tar:  # type: ignore[call-overload]
            yield tar, meter


@contextmanager
def _decompressed(path: Path, raw: IO[bytes]) -> Iterator[Any]:
    if not path.name.endswith(ZST):
        with gzip.GzipFile(fileobj=raw) as stream:
            yield stream
        return
    zstandard = zstandard_library()
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    try:
        with decompressor.stream_reader(raw) as stream:
            yield stream
    except zstandard.ZstdError as error:
        raise _refusal(path, f"cannot be read: {error}") from error


def zstandard_library() -> Any:
    """The library that reads and writes .tar.zst. Raises SetupError when it is missing."""
    try:
        import zstandard  # noqa: PLC0415
    except ImportError as error:
        raise SetupError(
            f"{ZST} cannot be read or written: {error}",
            f"pip install 'edge-agent[zstd]', or use an archive that ends in {GZ}",
        ) from error
    return zstandard


def _refusal(path: Path, problem: str) -> BundleError:
    return BundleError(
        f"archive {path}: {problem}",
        "use one from a source you trust, made by `python -m tools pack`",
    )
