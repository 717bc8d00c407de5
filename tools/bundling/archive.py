"""A bundle as one archive: the same bytes for the same contents, and nothing odd inside.

Members are plain files, and the folders they lie in; names are relative, sorted, under one top
folder; owner, mode and date say nothing of where the archive was made. The runtime reads it.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from edge_agent.archive import ZST, zstandard_library

GZ_LEVEL, ZST_LEVEL = 9, 3
"""INT4 weights hardly shrink: higher levels of zstd take a hundred times as long, for nothing."""
FILE_MODE, FOLDER_MODE = 0o644, 0o755


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


@contextmanager
def _compressed(path: Path, raw: IO[bytes]) -> Iterator[Any]:
    """A stream that compresses into ``raw`` without name or date in its header."""
    if path.name.endswith(ZST):
        compressor = zstandard_library().ZstdCompressor(level=ZST_LEVEL, write_checksum=True)
        with compressor.stream_writer(raw, closefd=False) as stream:
            yield stream
    else:
        with gzip.GzipFile("", "wb", GZ_LEVEL, raw, mtime=0) as stream:
            yield stream
