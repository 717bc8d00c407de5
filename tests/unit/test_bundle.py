"""Bundles that cannot be used: each one named, with a fix, before anything of it runs."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent import __version__
from edge_agent.bundle import load_bundle
from edge_agent.errors import BundleError
from edge_agent.manifest import MANIFEST
from edge_agent.specialists import load_specialist
from tests.support.tiny_bundle import break_bundle, entry, tiny_bundle, write_manifest

Manifest = dict[str, Any]


def edit(path: Path, change: Callable[[Manifest], Any]) -> None:
    """Changes the manifest as it stands, digests too."""
    manifest = json.loads((path / MANIFEST).read_text())
    change(manifest)
    (path / MANIFEST).write_text(json.dumps(manifest))


def problem(path: Path) -> str:
    """What is said on loading and starting it: always with the folder, and a fix."""
    with pytest.raises(BundleError) as caught:
        load_specialist(load_bundle(path), 1)
    assert caught.value.fix
    assert caught.value.problem.startswith(f"bundle {path}: ")
    return caught.value.problem


def test_a_good_bundle_gives_the_bytes_it_verified(tiny: Path) -> None:
    """And the card that events carry."""
    bundle = load_bundle(tiny)
    for name, content in bundle.contents.items():
        assert content == (tiny / name).read_bytes()
    digest = hashlib.sha256((tiny / MANIFEST).read_bytes()).hexdigest()
    assert (bundle.card.name, bundle.card.version, bundle.card.digest) == ("tiny", "1.0.0", digest)


def test_no_folder(tmp_path: Path) -> None:
    """Or a file in its place."""
    (tmp_path / "file").write_text("")
    for name in ("absent", "file"):
        assert f"{tmp_path / name}: no such directory" in problem(tmp_path / name)


def test_no_manifest(tiny: Path) -> None:
    """A folder of other things."""
    (tiny / MANIFEST).unlink()
    assert f"{MANIFEST} is missing" in problem(tiny)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\ufeff{}", '"x"', "[" * 100_000])
def test_a_manifest_that_is_no_json_object(tiny: Path, content: str) -> None:
    """However broken."""
    (tiny / MANIFEST).write_text(content)
    assert f"{MANIFEST} is not usable" in problem(tiny)


def test_a_manifest_that_is_no_text(tiny: Path) -> None:
    """Not UTF-8."""
    (tiny / MANIFEST).write_bytes(b'{"name": "\xff"}')
    assert f"{MANIFEST} is not usable" in problem(tiny)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", 2),
        ("name", "../x"),
        ("version", ""),
        ("kind", "generator"),
        ("max_tokens", 0),
        ("licence", ""),
        ("minimum_runtime", "soon"),
        ("minimum_runtime", "9" * 5000 + ".0.0"),
        ("labels", ["a/b"]),
        ("routes", ["with blank", "x"]),
        ("routes", ["a#", "b"]),
        ("calibration", {"temperature": 0}),
        ("calibration", {"temperature": 1e-40}),
        ("calibration", {"tag_temperature": math.inf}),
        ("transitions", [[math.nan] * 9] * 9),
        ("calibration", {"abstain_below": 1.5}),
        ("calibration", {"temprature": 1}),
        ("surplus", 1),
    ],
)
def test_a_manifest_with_a_wrong_or_unknown_key(tiny: Path, key: str, value: Any) -> None:
    """The key is named."""
    edit(tiny, lambda manifest: manifest.update({key: value}))
    assert key in problem(tiny)


@pytest.mark.parametrize("key", ["format", "name", "version", "kind", "max_tokens", "files"])
def test_a_manifest_that_lacks_a_key(tiny: Path, key: str) -> None:
    """The key is named."""
    edit(tiny, lambda manifest: manifest.pop(key))
    assert f"{key}: " in problem(tiny)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"routes": [], "labels": [], "out_of_scope": None}, "neither routes nor labels"),
        ({"routes": ["a", "a"]}, "stands twice"),
        ({"labels": ["a", "a"]}, "stands twice"),
        ({"routes": ["Pump\x96fault"]}, "routes.0: String should match"),
        ({"transitions": [[0.0]]}, "transitions must be 9 x 9"),
        ({"transitions": [[0.0] * 9] * 8}, "transitions must be 9 x 9"),
        ({"transitions": [[0.0] * 9] * 8 + [[0.0] * 8]}, "transitions must be 9 x 9"),
        ({"transitions": [["x"] * 9] * 9}, "transitions"),
        ({"files": {}}, "files lacks model.onnx, tokenizer.json"),
    ],
)
def test_a_manifest_that_contradicts_itself(tiny: Path, changes: Manifest, said: str) -> None:
    """Labels, shapes and files must belong together."""
    edit(tiny, lambda manifest: manifest.update(changes))
    assert said in problem(tiny)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "golden.jsonl"])
def test_a_wrong_digest(tiny: Path, name: str) -> None:
    """One bit, in any file."""
    content = (tiny / name).read_bytes() or b"\0"
    edit(tiny, lambda manifest: manifest["files"].update({name: entry(content)}))
    (tiny / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert f"{name} is damaged" in problem(tiny)


def test_the_ways_of_the_support_module(tmp_path: Path) -> None:
    """Each kind of damage that other tests use is really one."""
    ways = ("digest", "missing-file", "manifest", "path", "link", "onnx", "tokenizer", "routes")
    for how in (*ways, "labels"):
        assert problem(break_bundle(tiny_bundle(tmp_path / how), how))  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [-1, 1])
def test_a_wrong_size(tiny: Path, change: int) -> None:
    """Shorter or longer than the manifest says."""
    content = (tiny / "model.onnx").read_bytes()
    (tiny / "model.onnx").write_bytes(content[:change] if change < 0 else content + b"\0")
    assert "model.onnx is damaged" in problem(tiny)


def test_a_missing_file(tiny: Path) -> None:
    """Named."""
    (tiny / "tokenizer.json").unlink()
    assert "tokenizer.json is missing" in problem(tiny)


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/hostname",
        "..\\outside",
        "a/../../outside",
        ".",
        "",
        "./golden.jsonl",
        "a\0b",
    ],
)
def test_a_name_that_leads_outside(tiny: Path, name: str) -> None:
    """Refused before anything is read, also when the digest would be right."""
    (tiny.parent / "outside").write_bytes(b"secret")
    edit(tiny, lambda manifest: manifest["files"].update({name: entry(b"secret")}))
    assert "leads outside the bundle" in problem(tiny)


@pytest.mark.parametrize("name", ["model.onnx", MANIFEST])
def test_a_symbolic_link(tiny: Path, name: str) -> None:
    """Also to the right content."""
    (tiny / name).rename(tiny.parent / "elsewhere")
    (tiny / name).symlink_to(tiny.parent / "elsewhere")
    assert f"{name} is a link" in problem(tiny)


def test_a_hard_link(tiny: Path) -> None:
    """Its content can be changed from elsewhere."""
    os.link(tiny / "model.onnx", tiny.parent / "elsewhere")
    assert "model.onnx is a link" in problem(tiny)


def test_a_folder_that_is_a_link(tiny: Path) -> None:
    """On the way to a file."""
    (tiny.parent / "real").mkdir()
    (tiny.parent / "real" / "data").write_bytes(b"x")
    (tiny / "sub").symlink_to(tiny.parent / "real")
    edit(tiny, lambda manifest: manifest["files"].update({"sub/data": entry(b"x")}))
    assert "sub/data is a link" in problem(tiny)


def test_a_real_folder_inside_is_fine(tiny: Path) -> None:
    """External data may lie in one."""
    (tiny / "sub").mkdir()
    (tiny / "sub" / "data").write_bytes(b"x")
    edit(tiny, lambda manifest: manifest["files"].update({"sub/data": entry(b"x")}))
    assert load_bundle(tiny).contents["sub/data"] == b"x"


def test_a_pipe_is_not_waited_for(tiny: Path) -> None:
    """Nor a device read for ever."""
    (tiny / "model.onnx").unlink()
    os.mkfifo(tiny / "model.onnx")
    assert "model.onnx is not a plain file" in problem(tiny)


def test_a_folder_in_the_place_of_a_file(tiny: Path) -> None:
    """Not a plain file either."""
    (tiny / "tokenizer.json").unlink()
    (tiny / "tokenizer.json").mkdir()
    assert "tokenizer.json is not a plain file" in problem(tiny)


def test_a_bundle_for_a_newer_runtime(tiny: Path) -> None:
    """Both versions are named; our own is new enough."""
    edit(tiny, lambda manifest: manifest.update(minimum_runtime=__version__))
    assert load_bundle(tiny)
    edit(tiny, lambda manifest: manifest.update(minimum_runtime="999.10.0"))
    assert f"needs edge-agent 999.10.0, this is {__version__}" in problem(tiny)


@pytest.mark.parametrize("content", ["", "{}", "no json", '{"model": {"type": "BPE"}}'])
def test_a_tokenizer_that_is_none(tiny: Path, content: str) -> None:
    """With the right digest: only the runtime can notice."""
    (tiny / "tokenizer.json").write_text(content)
    write_manifest(tiny, json.loads((tiny / MANIFEST).read_text()))
    assert "tokenizer.json cannot be read" in problem(tiny)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x07" * 50])
def test_a_model_that_is_none(tiny: Path, content: bytes) -> None:
    """With the right digest."""
    (tiny / "model.onnx").write_bytes(content)
    write_manifest(tiny, json.loads((tiny / MANIFEST).read_text()))
    assert "model.onnx cannot be loaded" in problem(tiny)


@pytest.mark.parametrize(
    ("routes", "labels", "output"),
    [
        ({"a": ("x",), "other": ()}, None, "route_logits"),
        (None, {"asset": ("pump",)}, "tag_logits"),
        ({}, None, "route_logits"),
        (None, {}, "tag_logits"),
    ],
)
def test_a_model_of_another_shape(
    tiny: Path, routes: Any, labels: Any, output: str, tmp_path: Path
) -> None:
    """Its outputs must fit the manifest's routes and labels."""
    given = {
        name: words for name, words in (("routes", routes), ("labels", labels)) if words is not None
    }
    other = tiny_bundle(tmp_path / "other", **given)
    shutil.copy(other / "model.onnx", tiny / "model.onnx")
    shutil.copy(other / "tokenizer.json", tiny / "tokenizer.json")
    write_manifest(tiny, json.loads((tiny / MANIFEST).read_text()))
    assert f"output {output} has shape" in problem(tiny)


def test_a_model_with_other_inputs(tiny: Path) -> None:
    """It fails on the first text, at the start and not in service."""
    import onnx  # noqa: PLC0415

    model = onnx.load(tiny / "model.onnx")
    for node in model.graph.node:
        node.input[:] = ["ids" if name == "input_ids" else name for name in node.input]
    model.graph.input[0].name = "ids"
    onnx.save(model, tiny / "model.onnx")
    write_manifest(tiny, json.loads((tiny / MANIFEST).read_text()))
    assert "the model reads attention_mask, ids, not" in problem(tiny)
