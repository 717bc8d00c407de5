"""`python -m tools give-task`: the same weights, another task, checked before it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_agent.bundle import load_bundle
from edge_agent.generator import GeneratorSpecialist
from edge_agent.manifest import MANIFEST, SIGNATURE
from tests.support.tiny_bundle import tiny_bundle, write_manifest
from tests.support.tiny_generator import PROMPT, tiny_generator
from tools.__main__ import main

SUMMARY = {"prompt": PROMPT, "max_output_tokens": 12}


def give(folder: Path, task: Any, out: str = "out", *more: str, bundle: str = "in") -> int:
    (folder / "task.json").write_text(task if isinstance(task, str) else json.dumps(task))
    places = [str(folder / bundle), "--task", str(folder / "task.json"), "--out", str(folder / out)]
    return main(["give-task", *places, *more])


def test_a_bundle_gets_another_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under its folder's name; the one it came from stays as it was, and it can be given again."""
    source = tiny_generator(tmp_path / "in")
    before = (source / "bundle.json").read_bytes()
    for _ in range(2):
        assert give(tmp_path, SUMMARY, "summary", "--version", "2") == 0
    bundle = load_bundle(tmp_path / "summary")
    assert (bundle.manifest.name, bundle.manifest.version) == ("summary", "2")
    output = GeneratorSpecialist(bundle, 1, lambda: 0.0).write("pump P-101 leaks")
    assert output.text is not None
    assert output.tokens <= 12
    assert (source / "bundle.json").read_bytes() == before
    assert "edge-agent infer --bundle" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("{", "task.json: the file: Invalid JSON"),
        ({"prompt": "no place"}, "must hold {text}"),
        ({**SUMMARY, "max_tokens": 3}, "max_tokens: Extra inputs"),
        ({**SUMMARY, "temperature": 3}, "temperature: "),
        ({**SUMMARY, "output_schema": {"type": "string", "format": "date"}}, "/format"),
        ({**SUMMARY, "prompt": "{text}" + "word " * 300}, "leaves 0 tokens"),
        ({**SUMMARY, "prompt": "{text}{text}"}, "must hold more than {text}"),
    ],
)
def test_a_task_that_cannot_be_done_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], task: Any, said: str
) -> None:
    """And nothing is written."""
    tiny_generator(tmp_path / "in")
    assert give(tmp_path, task) == 2
    assert said in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"in", "task.json"}


def test_what_is_said_of_it_follows(tmp_path: Path) -> None:
    """The heading of its card, and where it came from."""
    source = tiny_generator(tmp_path / "in")
    manifest = json.loads((source / MANIFEST).read_text())
    (source / "MODEL_CARD.md").write_text("# tiny-generator 1.0.0\n\nWrites.\n")
    write_manifest(source, manifest)
    assert give(tmp_path, SUMMARY, "summary", "--version", "2") == 0
    bundle = load_bundle(tmp_path / "summary")
    assert bundle.contents["MODEL_CARD.md"] == b"# summary 2\n\nWrites.\n"
    origin = bundle.manifest.provenance["packed_from"]
    assert (origin["name"], origin["digest"]) == ("tiny-generator", load_bundle(source).digest)


def test_a_name_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is refused with the option."""
    tiny_generator(tmp_path / "in")
    assert give(tmp_path, SUMMARY, "out", "--name", "Work Order") == 2
    assert "--name 'Work Order' cannot stand in a manifest" in capsys.readouterr().err


def test_an_encoder_cannot_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its manifest would contradict itself."""
    tiny_bundle(tmp_path / "in")
    assert give(tmp_path, SUMMARY) == 2
    assert "routes messages, it writes nothing" in capsys.readouterr().err


def test_places_that_are_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bundle itself, and a folder of something else."""
    tiny_generator(tmp_path / "in")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("x")
    for place in ("in", "in/new"):
        assert give(tmp_path, SUMMARY, place) == 2
        assert "is the bundle itself" in capsys.readouterr().err
    for manifest in (None, "", "[]", '{"name": "not of ours"}'):
        if manifest is not None:
            (tmp_path / "notes" / MANIFEST).write_text(manifest)
        assert give(tmp_path, SUMMARY, "notes") == 2
        assert "is no bundle" in capsys.readouterr().err


def test_a_signed_bundle_is_replaced_too(tmp_path: Path) -> None:
    """Its signature is of it, and says nothing of the new one."""
    tiny_generator(tmp_path / "in")
    (tiny_generator(tmp_path / "out") / SIGNATURE).write_text("of the old one")
    assert give(tmp_path, SUMMARY, "out") == 0
    assert not (tmp_path / "out" / SIGNATURE).exists()
