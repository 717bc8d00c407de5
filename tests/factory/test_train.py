"""``train`` from end to end: real data files, bases of a few KB, real bundles, a real kill -9."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from edge_agent.answers import reference_mix
from edge_agent.bundle import load_bundle
from edge_agent.manifest import MODEL
from edge_agent.specialists import load_specialist
from tests.support.killed_training import kill_after_a_checkpoint
from tests.support.small_site import small_site
from tests.support.tiny_bases import MAKERS, tiny_bert
from tests.support.tiny_generator import tiny_generator
from tools.__main__ import main
from tools.bases.base import open_base
from tools.learning.checkpoint import Checkpoint
from tools.train import window


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bases")
    return {name: maker(folder / name) for name, maker in MAKERS.items()}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return small_site(tmp_path / "site")


def arguments(base: Path, site: Path, out: Path, *more: str) -> list[str]:
    paths = ["train", "--base", str(base), "--data", str(site), "--out", str(out)]
    return [*paths, "--threads", "1", "--epochs", "12", *more]


LEARN = ("--epochs", "120")
"""Enough for a trunk of random weights."""


def digest(bundle: Path) -> str:
    return hashlib.sha256((bundle / MODEL).read_bytes()).hexdigest()


@pytest.mark.parametrize("name", MAKERS)
def test_a_folder_of_messages_becomes_a_bundle_that_the_runtime_runs(
    name: str, bases: dict[str, Path], site: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "My Site"
    assert main(arguments(bases[name], site, out, *LEARN)) == 0
    told = capsys.readouterr()
    assert f"next: python -m tools evaluate '{out}'" in told.out
    for work in ("training", "calibrating", "running my-site"):
        assert re.search(rf"{work} .*\d+/\d+", told.out + told.err), work
    bundle = load_bundle(out)
    assert bundle.manifest.name == "my-site"
    assert bundle.manifest.routes == ("fault", "command", "question")
    assert bundle.manifest.provenance["base"]["name"] == name
    dev = bundle.manifest.provenance["dev"]
    assert sum(reference_mix(bundle.manifest.provenance).values()) == dev["messages"] > 0
    assert str(tmp_path) not in (out / "bundle.json").read_text(encoding="utf-8")
    found = load_specialist(bundle, threads=1).predict(["where is pump 7 ?", "stop fan 3 now"])
    assert [prediction.route.label for prediction in found] == ["question", "command"]
    assert not out.with_name("My Site.training").exists()


def test_a_seed_gives_the_same_model_byte_for_byte(
    bases: dict[str, Path], site: Path, tmp_path: Path
) -> None:
    for out, seed in (("one", "5"), ("two", "5"), ("other", "6")):
        assert main(arguments(bases["bert"], site, tmp_path / out, "--seed", seed)) == 0
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert digest(tmp_path / "one") != digest(tmp_path / "other")


def test_a_training_killed_in_the_middle_goes_on_to_the_same_model(
    bases: dict[str, Path], site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """kill -9 soon after there is a checkpoint; the second start ends where one run would have."""
    killed = tmp_path / "killed"
    kill_after_a_checkpoint(arguments(bases["bert"], site, killed))
    assert not killed.exists()
    assert main(arguments(bases["bert"], site, killed)) == 0
    assert "going on after epoch" in capsys.readouterr().out
    assert main(arguments(bases["bert"], site, tmp_path / "whole")) == 0
    assert digest(killed) == digest(tmp_path / "whole")


@pytest.mark.parametrize(("routes", "entities"), [(True, False), (False, True)])
def test_data_of_one_task_gives_a_bundle_of_one_head(
    bases: dict[str, Path], tmp_path: Path, routes: bool, entities: bool
) -> None:
    site = small_site(tmp_path / "site", routes=routes, entities=entities)
    assert main(arguments(bases["bert"], site, tmp_path / "out")) == 0
    manifest = load_bundle(tmp_path / "out").manifest
    assert bool(manifest.routes) == routes
    assert bool(manifest.labels) == entities


def test_a_smaller_student_learns_from_a_teacher(
    bases: dict[str, Path], site: Path, tmp_path: Path
) -> None:
    """One layer, a trimmed vocabulary, and the teacher's digest in the provenance."""
    assert main(arguments(bases["bert"], site, tmp_path / "teacher", "--fp32", *LEARN)) == 0
    teacher = load_bundle(tmp_path / "teacher")
    more = ("--teacher", str(teacher.path), "--layers", "1", "--trim-vocabulary", "5", *LEARN)
    assert main(arguments(bases["bert"], site, tmp_path / "student", *more)) == 0
    student = load_bundle(tmp_path / "student")
    assert student.manifest.provenance["teachers"] == [teacher.digest]
    assert len(student.manifest.provenance["base"]["changes"]) == 2
    assert len(student.contents[MODEL]) < 0.5 * len(teacher.contents[MODEL])
    found = load_specialist(student, threads=1).predict(["where is pump 7 ?", "stop fan 3 now"])
    assert [prediction.route.label for prediction in found] == ["question", "command"]


def test_a_teacher_of_other_routes_is_refused(
    bases: dict[str, Path], site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = small_site(tmp_path / "other")
    text = (other / "train.jsonl").read_text(encoding="utf-8")
    (other / "train.jsonl").write_text(text.replace('"question"', '"asking"'), encoding="utf-8")
    assert main(arguments(bases["bert"], other, tmp_path / "teacher")) == 0
    more = ("--teacher", str(tmp_path / "teacher"))
    assert main(arguments(bases["bert"], site, tmp_path / "student", *more)) == 2
    assert "knows no question among its routes" in capsys.readouterr().err


def test_a_teacher_that_writes_or_is_missing_is_refused(
    bases: dict[str, Path], site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is read or trained."""
    writer = tiny_generator(tmp_path / "writer")
    for teacher, said in (
        (writer, "writes, and knows neither"),
        (tmp_path / "b", "no such folder"),
    ):
        more = ("--teacher", str(teacher))
        assert main(arguments(bases["bert"], site, tmp_path / "student", *more)) == 2
        shown = capsys.readouterr()
        assert said in shown.err
        assert not shown.out


def test_without_dev_some_messages_are_held_out(
    bases: dict[str, Path], site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / "dev.jsonl").unlink()
    assert main(arguments(bases["bert"], site, tmp_path / "out")) == 0
    assert "no dev.jsonl" in capsys.readouterr().out
    corpus = load_bundle(tmp_path / "out").manifest.provenance["corpus"]
    assert (corpus["train"], corpus["dev"]) == (87, 9)


def test_what_only_dev_names_counts_as_missed(
    bases: dict[str, Path], site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (site / "dev.jsonl").read_text(encoding="utf-8")
    changed = text.replace('"question"', '"riddle"').replace('"symptom"', '"sign"')
    (site / "dev.jsonl").write_text(changed, encoding="utf-8")
    assert main(arguments(bases["bert"], site, tmp_path / "out")) == 0
    assert "dev.jsonl names riddle, sign" in capsys.readouterr().out


def test_a_folder_that_is_no_bundle_is_never_replaced(
    bases: dict[str, Path], site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter-1.txt").write_text("years of work", encoding="utf-8")
    assert main(arguments(bases["bert"], site, precious)) == 2
    assert "is no bundle" in capsys.readouterr().err
    assert (precious / "chapter-1.txt").read_text(encoding="utf-8") == "years of work"


def test_a_checkpoint_of_another_job_or_a_damaged_one_starts_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.training"
    Checkpoint(path, "this").save({"marks": [1, 2]})
    assert Checkpoint(path, "this").load() == {"marks": [1, 2]}
    assert Checkpoint(path, "that").load() is None
    assert "of another training" in capsys.readouterr().out
    path.write_bytes(path.read_bytes()[:100])
    assert Checkpoint(path, "this").load() is None
    assert "cannot be read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "tokens"), [(3, 256), (254, 256), (255, 264), (400, 408), (2000, 512)]
)
def test_a_window_is_as_long_as_the_messages_need(tmp_path: Path, words: int, tokens: int) -> None:
    """A word is a token here, and two are put around a message."""
    base = open_base(tiny_bert(tmp_path / "base", max_position_embeddings=600))
    assert window(base, ["pump", "pump " * words]) == tokens


def test_a_window_is_no_longer_than_the_base_allows(tmp_path: Path) -> None:
    base = open_base(tiny_bert(tmp_path / "base", max_position_embeddings=40))
    assert window(base, ["pump " * 300]) == 40
