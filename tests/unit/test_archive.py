"""What an archive may hold, and what is refused, by its name, before it is written anywhere."""

from __future__ import annotations

import gzip
import io
import os
import random
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import zstandard

from edge_agent import archive
from edge_agent.archive import read_archive
from edge_agent.errors import BundleError
from tools.bundling.archive import write_archive

BOTH = pytest.mark.parametrize("ending", [".tar.zst", ".tar.gz"])


def files_of(top: Path) -> dict[str, bytes]:
    return {str(p.relative_to(top)): p.read_bytes() for p in top.rglob("*") if p.is_file()}


def tar_gz(path: Path, *members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.GNU_FORMAT):
    """Writes whatever it is told to. Returns ``path``."""
    with tarfile.open(path, "w:gz", format=form) as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def odd(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def refusal(path: Path) -> str:
    """What is said of it; nothing is left but plain files below the given folder."""
    into = path.parent / "deep" / "er"
    with pytest.raises(BundleError, match=rf"^archive {path}: ") as caught:
        read_archive(path, into)
    found = [p for p in path.parent.rglob("*") if not p.is_relative_to(into)]
    assert {p.name for p in found} <= {path.name, "deep"}
    assert all(not p.is_symlink() and (p.is_file() or p.is_dir()) for p in into.rglob("*"))
    return caught.value.problem


@BOTH
def test_files_in_folders_come_back(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x{ending}"
    contents = {"a/b/c": b"1", "a/d": b"2", "e": b"", "long" * 60: b"3"}
    write_archive(path, "top", contents)
    assert files_of(read_archive(path, tmp_path / "back")) == contents


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_each_form_of_tar_is_read(tmp_path: Path, form: int) -> None:
    """Whatever tar a person has."""
    names = ["top/a", f"top/{'f' * 90}/{'n' * 90}"]
    path = tar_gz(tmp_path / "x.tar.gz", *((odd(n), n.encode()) for n in names), form=form)
    read_archive(path, tmp_path / "back")
    assert files_of(tmp_path / "back") == {name: name.encode() for name in names}


def test_what_the_system_tar_packs_is_read(tmp_path: Path) -> None:
    (tmp_path / "my-site").mkdir()
    (tmp_path / "my-site" / "bundle.json").write_bytes(b"{}")
    path = tmp_path / "x.tar.gz"
    subprocess.run(["tar", "-czf", path, "-C", tmp_path, "my-site"], check=True)
    top = read_archive(path, tmp_path / "back")
    assert (top.name, files_of(top)) == ("my-site", {"bundle.json": b"{}"})


@pytest.mark.parametrize(
    "member",
    [
        odd("/etc/passwd"),
        odd("top/../../up"),
        odd("top/./x"),
        odd("./top/x"),
        odd("top//x"),
        odd("top\\x/y"),
        odd("alone"),
        odd("top/link", tarfile.SYMTYPE, "bundle.json"),
        odd("top/hard", tarfile.LNKTYPE, "top/bundle.json"),
        odd("top/pipe", tarfile.FIFOTYPE),
        odd("top/device", tarfile.CHRTYPE),
        odd("top/disk", tarfile.BLKTYPE),
        odd("top/unknown", b"Z"),
        odd("top/sparse", tarfile.GNUTYPE_SPARSE),
        odd("top/bundle.json"),
        odd("top/bundle.json", tarfile.DIRTYPE),
        odd("top/bundle.json/below"),
        odd("top/folder"),
    ],
    ids=lambda member: f"{member.name}-{member.type.decode()}",
)
def test_odd_members_are_refused_by_name(tmp_path: Path, member: tarfile.TarInfo) -> None:
    """Nothing leads elsewhere, is no plain file, or stands twice."""
    path = tar_gz(
        tmp_path / "x.tar.gz",
        (odd("top/bundle.json"), b""),
        (odd("top/folder", tarfile.DIRTYPE), b""),
        (member, b""),
    )
    assert repr(member.name) in refusal(path)


def test_names_too_long_for_a_disk(tmp_path: Path) -> None:
    path = tar_gz(tmp_path / "x.tar.gz", (odd("top/" + "é" * 128), b""))
    assert "is too long" in refusal(path)


def test_folders_too_deep_to_walk(tmp_path: Path) -> None:
    """Python could not remove them again: one such archive would block a store for good."""
    deep = [(odd("t/" + "a/" * depth + "x"), b"") for depth in (800, 1500)]
    assert "more than 32 folders deep" in refusal(tar_gz(tmp_path / "x.tar.gz", *deep))
    path = tar_gz(tmp_path / "y.tar.gz", (odd("t/" + "a/" * 31 + "x"), b""))
    assert read_archive(path, tmp_path / "in").name == "t"


@pytest.mark.parametrize("names", [["one/x", "two/x"], []])
def test_there_is_one_top_folder(tmp_path: Path, names: list[str]) -> None:
    path = tar_gz(tmp_path / "x.tar.gz", *((odd(name), b"") for name in names))
    assert f"has {len(names)} top folders" in refusal(path)


@BOTH
def test_a_bomb_is_stopped_at_its_member(tmp_path: Path, ending: str) -> None:
    """Long before it fills the disk: here 200 MB in 200 KB or fewer."""
    path = tmp_path / f"x{ending}"
    write_archive(path, "top", {"a": b"", "zeros": bytes(200 << 20)})
    assert "unpacks to more than any bundle, at 'top/zeros'" in refusal(path)
    written = sum(p.stat().st_size for p in tmp_path.rglob("zeros"))
    assert written <= archive.FREE_BYTES + archive.MAX_RATIO * path.stat().st_size


def test_too_many_members(tmp_path: Path) -> None:
    members = [(odd(f"top/{i}"), b"") for i in range(archive.MAX_MEMBERS + 1)]
    path = tar_gz(tmp_path / "x.tar.gz", *members)
    assert f"at 'top/{archive.MAX_MEMBERS - 1}'" in refusal(path)


def test_a_member_larger_than_any_file(tmp_path: Path) -> None:
    """By what it says, before it is read."""
    member = odd("top/huge")
    member.size = archive.MAX_MEMBER_BYTES + 1
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(member.tobuf() + bytes(1024)))
    assert "unpacks to more than any bundle" in refusal(tmp_path / "x.tar.gz")
    assert not list(tmp_path.rglob("huge"))


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_larger_than_any_name(tmp_path: Path, kind: bytes) -> None:
    """Although the whole archive is not too large."""
    header = odd("././@LongLink", kind)
    header.size = 2 * archive.MAX_HEADER_BYTES
    raw = header.tobuf(tarfile.GNU_FORMAT) + os.urandom(header.size)
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(raw))
    assert "unpacks to more than any bundle" in refusal(tmp_path / "x.tar.gz")


def test_a_file_with_holes(tmp_path: Path) -> None:
    """It needs no bytes in the archive to become gigabytes."""
    (tmp_path / "top").mkdir()
    with (tmp_path / "top" / "holes").open("wb") as file:
        file.truncate(3 << 30)
    path = tmp_path / "x" / "x.tar.gz"
    path.parent.mkdir()
    command = ["tar", "--sparse", "--format=posix", "-czf", path, "-C", tmp_path, "top"]
    subprocess.run(command, check=True)
    assert "'top/holes' is no plain file" in refusal(path)


def test_holes_that_are_nonsense(tmp_path: Path) -> None:
    member = odd("top/holes")
    sparse = {"major": "1", "minor": "0", "realsize": "5"}
    member.pax_headers = {f"GNU.sparse.{key}": value for key, value in sparse.items()}
    path = tar_gz(tmp_path / "x.tar.gz", (member, b"x\n" * 256), form=tarfile.PAX_FORMAT)
    assert "cannot be read" in refusal(path)


def test_a_header_that_would_fill_the_memory(tmp_path: Path) -> None:
    """Tar keeps names and attributes in headers of any size, which its readers read whole."""
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE):
        header = odd("././@LongLink", kind)
        header.size = 100 << 20
        path = tmp_path / f"{kind.decode()}.tar.gz"
        path.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + b"a" * header.size))
        code = (
            "import resource, sys; from pathlib import Path\n"
            "from edge_agent.archive import read_archive\n"
            "resource.setrlimit(resource.RLIMIT_DATA, (90 << 20, 90 << 20))\n"
            "read_archive(Path(sys.argv[1]), Path(sys.argv[2]))"
        )
        command = [sys.executable, "-c", code, path, tmp_path / f"{kind.decode()}-into"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "unpacks to more than any bundle" in done.stderr.splitlines()[-1]


def test_rubbish_behind_the_end_is_not_read_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    tail = os.urandom(2 * archive.MAX_TRAILER_BYTES)
    raw = gzip.decompress(tar_gz(path, (odd("top/a"), b"")).read_bytes())
    path.write_bytes(gzip.compress(raw + tail))
    assert "unpacks to more than any bundle" in refusal(path)


@BOTH
def test_a_damaged_archive_is_refused(tmp_path: Path, ending: str) -> None:
    """Cut anywhere, or with a bit changed anywhere: never a traceback, never other contents."""
    path, chance = tmp_path / f"x{ending}", random.Random(7)
    contents = {"a": os.urandom(20_000), "b/c": b"text " * 9000}
    write_archive(path, "top", contents)
    raw = path.read_bytes()
    cut = [raw[: chance.randrange(len(raw))] for _ in range(40)]
    places = [chance.randrange(len(raw)) for _ in range(120)]
    bits = [raw[:i] + bytes([raw[i] ^ 1 << chance.randrange(8)]) + raw[i + 1 :] for i in places]
    refused = 0
    for number, damaged in enumerate([*cut, *bits]):
        path.write_bytes(damaged)
        try:
            assert files_of(read_archive(path, tmp_path / str(number))) == contents
        except BundleError:
            refused += 1
    assert refused > 140, "some header bytes (a date, an operating system) change nothing"


def test_what_is_no_archive(tmp_path: Path) -> None:
    for name in ("x.tar.gz", "x.tar.zst"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(BundleError, match="cannot be read"):
            read_archive(tmp_path / name, tmp_path / f"into-{name}")


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x", ".tar.gz"])
def test_a_name_that_says_no_format(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="says no format"):
        read_archive(tmp_path / name, tmp_path / "into")


def test_a_window_that_would_fill_the_memory(tmp_path: Path) -> None:
    """zstd lets an archive ask its reader for gigabytes."""
    path = tmp_path / "x.tar.zst"
    parameters = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    frame = compressor.compressobj()
    path.write_bytes(frame.compress(bytes(10)) + frame.flush())
    assert "cannot be read" in refusal(path)


def test_an_archive_of_several_frames(tmp_path: Path) -> None:
    """As programs write it that compress with several threads."""
    tar = gzip.decompress(tar_gz(tmp_path / "x.tar.gz", (odd("top/a"), b"b" * 9000)).read_bytes())
    frames = [zstandard.compress(part) for part in (tar[:5000], b"", tar[5000:])]
    (tmp_path / "x.tar.zst").write_bytes(b"".join(frames))
    top = read_archive(tmp_path / "x.tar.zst", tmp_path / "back")
    assert files_of(top) == {"a": b"b" * 9000}
