"""``pack``: a verified bundle as one archive, the same bytes each time, and nothing odd inside."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard

from edge_agent.archive import read_archive
from edge_agent.bundle import load_bundle
from edge_agent.errors import BundleError
from edge_agent.specialists import load_specialist
from tests.support.tiny_bundle import break_bundle, tiny_bundle, write_manifest
from tests.support.tiny_generator import tiny_generator
from tools.bundling.pack import as_golden
from tools.commands import pack
from tools.errors import ToolError

TEXTS = ("pump 7 is leaking", "open the valve", "fire in hall today", "hello")
CARD = b"# tiny 1.0.0\n\nReads words.\n"
BOTH = pytest.mark.parametrize("ending", [".tar.zst", ".tar.gz"])


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A tiny bundle with golden messages and a card."""
    path = tiny_bundle(tmp_path / "tiny")
    record(path, [golden(path, text) for text in TEXTS])
    return path


def golden(path: Path, text: str) -> dict:
    (prediction,) = load_specialist(load_bundle(path), threads=1).predict([text])
    return as_golden(text, prediction)


def record(path: Path, lines: list[dict]) -> None:
    """Writes golden lines and the card, and lists both with true digests."""
    (path / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (path / "MODEL_CARD.md").write_bytes(CARD)
    manifest = json.loads((path / "bundle.json").read_text())
    write_manifest(path, manifest)
    manifest = json.loads((path / "bundle.json").read_text())
    digest = hashlib.sha256(CARD).hexdigest()
    manifest["files"]["MODEL_CARD.md"] = {"sha256": digest, "size_bytes": len(CARD)}
    (path / "bundle.json").write_text(json.dumps(manifest))


def run(*words: object) -> int:
    parser = argparse.ArgumentParser()
    pack.arguments(parser)
    return pack.run(parser.parse_args([str(word) for word in words]))


def members(path: Path) -> list[tarfile.TarInfo]:
    raw = path.read_bytes()
    if path.name.endswith(".zst"):
        raw = zstandard.ZstdDecompressor().decompressobj().decompress(raw)
        return tarfile.open(fileobj=io.BytesIO(raw)).getmembers()
    return tarfile.open(path).getmembers()


def state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


@BOTH
def test_what_is_packed_is_the_bundle_and_the_source_stays_as_it_was(
    bundle: Path, tmp_path: Path, ending: str
) -> None:
    before, out = state_of(bundle), tmp_path / "out" / f"tiny{ending}"
    assert run(bundle, "--out", out) == 0
    unpacked = load_bundle(read_archive(out, tmp_path / "unpacked"))
    source = load_bundle(bundle)
    assert (unpacked.digest, unpacked.contents) == (source.digest, source.contents)
    assert unpacked.path == tmp_path / "unpacked" / "tiny-1.0.0"
    assert state_of(bundle) == before
    assert [p.name for p in out.parent.iterdir()] == [out.name]


@BOTH
def test_the_same_bundle_gives_the_same_bytes_wherever_and_whenever(
    bundle: Path, tmp_path: Path, ending: str
) -> None:
    """Dates, modes, and the archive's own name leave no trace."""
    first, second = tmp_path / f"a{ending}", tmp_path / "elsewhere" / f"b{ending}"
    run(bundle, "--out", first)
    for path in bundle.iterdir():
        os.utime(path, (1e9, 1e9))
        path.chmod(0o600)
    run(bundle, "--out", second)
    raw = first.read_bytes()
    assert raw == second.read_bytes()
    assert ending != ".tar.gz" or raw[4:8] == bytes(4)  # the date in the header


@BOTH
def test_members_are_plain_files_of_nobody_under_one_folder(
    bundle: Path, tmp_path: Path, ending: str
) -> None:
    (bundle / "notes.txt").write_text("not in the manifest")
    out = tmp_path / f"tiny{ending}"
    run(bundle, "--out", out)
    top, *files = members(out)
    assert (top.name, top.isdir(), top.mode) == ("tiny-1.0.0", True, 0o755)
    assert [m.name for m in files] == [
        f"tiny-1.0.0/{name}"
        for name in (
            "MODEL_CARD.md", "bundle.json", "golden.jsonl", "model.onnx", "tokenizer.json",
        )
    ]  # fmt: skip
    assert all(m.isreg() and m.mode == 0o644 for m in files)
    for member in (top, *files):
        assert (member.mtime, member.uid, member.gid) == (0, 0, 0)
        assert (member.uname, member.gname, member.pax_headers) == ("", "", {})


def test_the_system_tar_unpacks_it(bundle: Path, tmp_path: Path) -> None:
    out, into = tmp_path / "tiny.tar.gz", tmp_path / "models"
    run(bundle, "--out", out)
    into.mkdir()
    subprocess.run(["tar", "-xf", out, "-C", into], check=True)
    assert load_bundle(into / "tiny-1.0.0").digest == load_bundle(bundle).digest


def test_a_copy_under_another_name_and_version_is_whole(bundle: Path, tmp_path: Path) -> None:
    """Manifest, card heading, digests and top folder follow; the origin is on record."""
    out, before = tmp_path / "x.tar.gz", state_of(bundle)
    run(bundle, "--out", out, "--name", "hall-b", "--version", "2.1+x")
    copy, source = load_bundle(read_archive(out, tmp_path / "unpacked")), load_bundle(bundle)
    assert (copy.card.name, copy.card.version) == ("hall-b", "2.1+x")
    assert copy.path.name == "hall-b-2.1+x"
    assert copy.contents["MODEL_CARD.md"] == b"# hall-b 2.1+x\n\nReads words.\n"
    assert copy.manifest.provenance["packed_from"] == {
        "name": "tiny", "version": "1.0.0", "digest": source.digest,
    }  # fmt: skip
    changed = {"name", "version", "provenance", "files"}
    assert copy.manifest.model_dump(exclude=changed) == source.manifest.model_dump(exclude=changed)
    assert copy.contents["model.onnx"] == source.contents["model.onnx"]
    assert state_of(bundle) == before


@pytest.mark.parametrize(
    ("option", "value"), [("--name", "Hall B"), ("--name", "../up"), ("--version", "1 0")]
)
def test_a_name_that_cannot_stand_in_a_manifest_is_refused(
    bundle: Path, tmp_path: Path, option: str, value: str
) -> None:
    with pytest.raises(ToolError, match=f"{option} '{value}' cannot stand"):
        run(bundle, "--out", tmp_path / "x.tar.gz", option, value)
    assert not (tmp_path / "x.tar.gz").exists()


def test_nothing_is_replaced_without_force(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.tar.gz"
    out.write_bytes(b"mine")
    with pytest.raises(ToolError, match="exists") as refused:
        run(bundle, "--out", out)
    assert "--force" in refused.value.fix
    assert out.read_bytes() == b"mine"
    assert run(bundle, "--out", out, "--force") == 0
    assert members(out)[0].name == "tiny-1.0.0"


def test_a_folder_is_not_replaced_even_with_force(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").mkdir()
    with pytest.raises(ToolError, match="exists"):
        run(bundle, "--out", tmp_path / "x.tar.gz", "--force")


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x", ".tar.gz"])
def test_a_name_that_says_no_format_is_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="says no format"):
        run(bundle, "--out", tmp_path / name)


def test_an_archive_inside_its_own_bundle_is_refused(bundle: Path) -> None:
    with pytest.raises(ToolError, match="inside the bundle"):
        run(bundle, "--out", bundle / "x.tar.gz")


@pytest.mark.parametrize("how", ["digest", "missing-file", "manifest", "path", "link", "onnx"])
def test_a_broken_bundle_is_never_packed(bundle: Path, tmp_path: Path, how: str) -> None:
    break_bundle(bundle, how)
    with pytest.raises(BundleError):
        run(bundle, "--out", tmp_path / "x.tar.gz")
    assert not (tmp_path / "x.tar.gz").exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"route": {"label": "alarm", "confidence": 0.98, "abstained": False}}, "recorded"),
        ({"entities": []}, "entities"),
        ({"entities": [{"label": "time", "start": 0, "end": 6}]}, "entities"),
        ({"route": None}, "a route, where there was none"),
    ],
)
def test_a_bundle_that_answers_otherwise_than_recorded_is_refused(
    bundle: Path, tmp_path: Path, change: dict, problem: str
) -> None:
    record(bundle, [golden(bundle, TEXTS[0]) | change])
    with pytest.raises(BundleError, match="does not answer") as refused:
        run(bundle, "--out", tmp_path / "x.tar.gz")
    assert problem in refused.value.problem
    assert repr(TEXTS[0]) in refused.value.problem
    assert not (tmp_path / "x.tar.gz").exists()


@pytest.mark.parametrize(("off", "refused"), [(0.04, False), (0.06, True)])
def test_confidence_may_differ_a_little(
    bundle: Path, tmp_path: Path, off: float, refused: bool
) -> None:
    """Processors round differently."""
    line = golden(bundle, TEXTS[0])
    line["route"]["confidence"] -= off
    record(bundle, [line])
    if refused:
        with pytest.raises(BundleError, match="confidence"):
            run(bundle, "--out", tmp_path / "x.tar.gz")
    else:
        assert run(bundle, "--out", tmp_path / "x.tar.gz") == 0


def test_golden_lines_that_are_none_are_refused(bundle: Path, tmp_path: Path) -> None:
    record(bundle, [{"text": "pump"}])
    with pytest.raises(BundleError, match="cannot be read"):
        run(bundle, "--out", tmp_path / "x.tar.gz")


def test_bundles_with_one_head_are_packed(tmp_path: Path) -> None:
    """No routes, or no labels."""
    for name, words in {"routes": {"routes": {}}, "labels": {"labels": {}}}.items():
        path = tiny_bundle(tmp_path / name, **words)
        record(path, [golden(path, text) for text in TEXTS])
        assert run(path, "--out", tmp_path / f"{name}.tar.gz") == 0


def test_a_bundle_that_writes_is_packed(tmp_path: Path, capsys) -> None:
    """Weights and all; without golden messages that is said."""
    assert run(tiny_generator(tmp_path / "writer"), "--out", tmp_path / "writer.tar.gz") == 0
    assert ": no golden messages" in capsys.readouterr().out


def test_what_comes_next_is_printed(bundle: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "tiny.tar.zst"
    run(bundle, "--out", out)
    shown = capsys.readouterr().out
    assert "4 golden messages answered alike" in shown
    assert hashlib.sha256(out.read_bytes()).hexdigest() in shown
    assert f"next: scp {out} GATEWAY:" in shown
    assert "then, on the gateway: sudo edge-agent bundle install tiny.tar.zst" in shown


def test_a_place_that_cannot_be_written_is_said_with_its_fix(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolError, match=r"Not a directory|File exists") as refused:
        run(bundle, "--out", tmp_path / "file" / "x.tar.gz")
    assert "folder" in refused.value.fix


def test_what_is_no_folder_is_said_in_words_of_the_tools(bundle: Path, tmp_path: Path) -> None:
    """Nothing here has a configuration."""
    packed = tmp_path / "x.tar.gz"
    run(bundle, "--out", packed)
    for path, fix in ((packed, f"tar -xf {packed}"), (tmp_path / "no", "python -m tools train")):
        with pytest.raises(ToolError) as caught:
            run(path, "--out", tmp_path / "y.tar.gz")
        assert fix in caught.value.fix
