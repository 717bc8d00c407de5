"""A bundle as one archive: the same bytes for the same contents, and nothing odd inside.

Knows tar and compression, not what a bundle is. Members are plain files, and the folders they lie
in; names are relative, sorted, under one top folder; owner, mode and date say nothing of where the
archive was made. What is read back is held to the same rules before anything is written.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tools.errors import ToolError

ZST, GZ = ".tar.zst", ".tar.gz"
FORMATS = (ZST, GZ)
GZ_LEVEL, ZST_LEVEL = 9, 3
"""INT4 weights hardly shrink: higher levels of zstd take a hundred times as long, for nothing."""
FILE_MODE, FOLDER_MODE = 0o644, 0o755
MAX_MEMBER_BYTES = 4 << 30
MAX_MEMBERS = 1000


def check_format(path: Path) -> None:
    """Refuses a name whose ending says no format, or one that cannot be written here."""
    if not path.name.endswith(FORMATS) or path.name in FORMATS:
        raise ToolError(
            f"{path}: the name says no format", f"name it {path.name or 'bundle'}{ZST}, or …{GZ}"
        )
    if path.name.endswith(ZST):
        _zstandard()


def write_archive(path: Path, top: str, contents: Mapping[str, bytes]) -> None:
    """Writes the files of ``contents`` (relative names) below the folder ``top``."""
    with (
        path.open("xb") as raw,
        _compressed(path, raw) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in _folders(top, contents):
            tar.addfile(_member(name, FOLDER_MODE, tarfile.DIRTYPE))
        for name, content in sorted(contents.items()):
            member = _member(f"{top}/{name}", FILE_MODE, tarfile.REGTYPE)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def read_archive(path: Path, into: Path) -> Path:
    """Unpacks into the empty folder ``into``; gives the top folder. Raises ToolError."""
    tops: set[str] = set()
    try:
        with _opened(path) as tar:
            for count, member in enumerate(tar):
                name = _checked(path, member, count)
                tops.add(name.parts[0])
                _unpack(tar, member, into / name)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile) as error:
        raise _refusal(path, f"cannot be read: {error}") from error
    if len(tops) != 1:
        raise _refusal(path, f"has {len(tops)} top folders, not one")
    return into / tops.pop()


def _folders(top: str, contents: Mapping[str, bytes]) -> list[str]:
    parents = {top}
    for name in contents:
        parents |= {f"{top}/{folder}" for folder in PurePosixPath(name).parents if folder.name}
    return sorted(parents)


def _member(name: str, mode: int, kind: bytes) -> tarfile.TarInfo:
    """Date and owner are 0 and nameless, as TarInfo begins."""
    member = tarfile.TarInfo(name)
    member.mode, member.type = mode, kind
    return member


def _checked(path: Path, member: tarfile.TarInfo, count: int) -> PurePosixPath:
    """The member's name, if it is a plain file or folder that stays where it is unpacked."""
    if not (member.isreg() or member.isdir()):
        raise _refusal(path, f"{member.name!r} is no plain file")
    parts = member.name.split("/")
    if {"", ".", ".."} & set(parts) or set("\\\0") & set(member.name):
        raise _refusal(path, f"the name {member.name!r} leads elsewhere")
    if member.isreg() and len(parts) == 1:
        raise _refusal(path, f"{member.name!r} lies in no folder")
    if member.size > MAX_MEMBER_BYTES or count >= MAX_MEMBERS:
        raise _refusal(path, f"is larger than any bundle, at {member.name!r}")
    return PurePosixPath(member.name)


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, to: Path) -> None:
    if member.isdir():
        to.mkdir(parents=True, exist_ok=True)
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    if source is not None:
        with to.open("xb") as file:
            while block := source.read(1 << 20):
                file.write(block)


@contextmanager
def _compressed(path: Path, raw: IO[bytes]) -> Iterator[Any]:
    """A stream that compresses into ``raw`` without name or date in its header."""
    if path.name.endswith(ZST):
        compressor = _zstandard().ZstdCompressor(level=ZST_LEVEL, write_checksum=True)
        with compressor.stream_writer(raw, closefd=False) as stream:
            yield stream
    else:
        with gzip.GzipFile("", "wb", GZ_LEVEL, raw, mtime=0) as stream:
            yield stream


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    if not path.name.endswith(ZST):
        with tarfile.open(path, mode="r|gz") as tar:
            yield tar
        return
    zstandard = _zstandard()
    try:
        with (
            path.open("rb") as raw,
            zstandard.ZstdDecompressor().stream_reader(raw) as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            yield tar
    except zstandard.ZstdError as error:
        raise _refusal(path, f"cannot be read: {error}") from error


def _zstandard() -> Any:
    try:
        import zstandard  # noqa: PLC0415
    except ModuleNotFoundError as error:
        fix = f"pip install -e '.[train]', or choose a name that ends in {GZ}"
        raise ToolError("zstandard is not installed", fix) from error
    return zstandard


def _refusal(path: Path, problem: str) -> ToolError:
    return ToolError(f"archive {path}: {problem}", "pack the bundle again: python -m tools pack")
