"""What an archive may hold, and what is refused before it is written anywhere."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tools.bundling.archive import read_archive, write_archive
from tools.errors import ToolError


def test_files_in_folders_come_back(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    write_archive(path, "top", {"a/b/c": b"1", "a/d": b"2", "e": b""})
    top = read_archive(path, tmp_path / "back")
    files = {str(p.relative_to(top)): p.read_bytes() for p in top.rglob("*") if p.is_file()}
    assert files == {"a/b/c": b"1", "a/d": b"2", "e": b""}


def odd(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "member",
    [
        odd("/etc/passwd"),
        odd("top/../../up"),
        odd("top/./x"),
        odd("top//x"),
        odd("top\\x/y"),
        odd("alone"),
        odd("top/link", tarfile.SYMTYPE, "bundle.json"),
        odd("top/hard", tarfile.LNKTYPE, "top/bundle.json"),
        odd("top/pipe", tarfile.FIFOTYPE),
        odd("top/device", tarfile.CHRTYPE),
        odd("second/file"),
    ],
    ids=lambda member: member.name,
)
def test_odd_members_are_refused_before_they_are_written(
    tmp_path: Path, member: tarfile.TarInfo
) -> None:
    path, into = tmp_path / "x.tar.gz", tmp_path / "deep" / "er"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(odd("top/bundle.json"), io.BytesIO(b""))
        tar.addfile(member, io.BytesIO(b""))
    with pytest.raises(ToolError, match=r"archive .*x\.tar\.gz"):
        read_archive(path, into)
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert left <= {"x.tar.gz", "deep/er/top/bundle.json", "deep/er/second/file"}
