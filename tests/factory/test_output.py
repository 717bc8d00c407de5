"""Scores on their way out: readers that leave, pages that cannot be written, heads left out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tiny_bundle import LABELS, ROUTES, tiny_bundle
from tools.__main__ import main
from tools.errors import ToolError
from tools.evaluation.comparison import compare
from tools.evaluation.evaluate import Job, evaluate
from tools.evaluation.html import page
from tools.evaluation.output import check_writable

ROOT = Path(__file__).parents[2]
LEAK = {
    "text": "pump leaking",
    "route": "fault",
    "entities": [{"start": 0, "end": 4, "label": "asset"}],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two messages, with as many to train on beside them."""
    lines = "\n".join(json.dumps(item) for item in (LEAK, {"text": "fire", "route": "alarm"}))
    for name in ("dev.jsonl", "train.jsonl"):
        (tmp_path / name).write_text(lines, encoding="utf-8")
    return tmp_path / "dev.jsonl"


# --- heads


def test_a_bundle_without_labels_has_no_entity_scores_at_all(file: Path, tmp_path: Path) -> None:
    """Nor does the baseline, the difference, the list of errors or the page."""
    found = evaluate(Job(tiny_bundle(tmp_path / "b", ROUTES, {}), file))
    scores = found.as_dict()
    assert scores["entity_f1"] is None
    assert scores["exact"] == scores["route_accuracy"] == 1
    names = {"route_accuracy", "route_macro_f1", "exact"}
    assert set(scores["intervals"]) == set(scores["baselines"]["differences"]) == names
    assert "<h2>Errors</h2><p>None.</p>" in page(found)


def test_a_bundle_without_routes_has_no_route_scores_at_all(file: Path, tmp_path: Path) -> None:
    scores = evaluate(Job(tiny_bundle(tmp_path / "b", {}, LABELS), file)).as_dict()
    assert scores["route_accuracy"] is scores["calibration_error"] is None
    names = {"entity_f1", "entity_precision", "entity_recall", "exact"}
    assert set(scores["intervals"]) == set(scores["baselines"]["differences"]) == names


def test_a_baseline_that_learnt_no_entities_is_not_compared_in_them(
    tiny: Path, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "train.jsonl").write_text('{"text": "fire", "route": "alarm"}\n')
    found = evaluate(Job(tiny, file))
    assert set(found.differences) == {"route_accuracy", "route_macro_f1"}


# --- readers that leave


def unread(command: str, *arguments: object) -> None:
    """Runs a command whose reader leaves at once: it ends well, and says nothing of that."""
    with subprocess.Popen(
        [sys.executable, "-m", "tools", command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 0, said
    assert "Broken pipe" not in said
    assert "BrokenPipe" not in said


@pytest.mark.parametrize("form", [["--json"], []])
@pytest.mark.parametrize("command", ["evaluate", "compare", "check-data"])
def test_a_reader_that_leaves_ends_it_quietly(
    command: str, form: list[str], tiny: Path, file: Path, tmp_path: Path
) -> None:
    """And a page that was asked for is written all the same."""
    html = tmp_path / "page.html"
    arguments = {
        "evaluate": [tiny, file, "--no-baselines", "--html", html],
        "compare": [tiny, tiny, file],
        "check-data": [file],
    }[command]
    unread(command, *arguments, *form)
    assert command != "evaluate" or html.read_text("utf-8").endswith("</html>\n")


def test_an_archive_whose_digest_nobody_reads_is_packed(tiny: Path, tmp_path: Path) -> None:
    unread("pack", tiny, "--out", tmp_path / "tiny.tar.gz")
    assert (tmp_path / "tiny.tar.gz").is_file()


# --- pages


def test_a_page_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a fix that helps; neither the bundle nor the messages are looked at."""
    html = tmp_path / "no" / "page.html"
    assert main(["evaluate", "none", "none.jsonl", "--html", str(html)]) == 2
    assert f"fix: mkdir -p {html.parent}\n" in capsys.readouterr().err
    with pytest.raises(ToolError) as folder:
        check_writable(tmp_path)
    assert folder.value.fix == f"name a file in it: --html {tmp_path}/report.html"
    (tmp_path / "plain").write_text("")
    with pytest.raises(ToolError, match="cannot be written"):
        check_writable(tmp_path / "plain" / "page.html")


def test_trying_a_place_leaves_it_as_it_was(tmp_path: Path) -> None:
    old = tmp_path / "old.html"
    old.write_text("kept")
    check_writable(old)
    check_writable(tmp_path / "new.html")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("old.html", "kept")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_scores_are_shown_even_when_the_page_fails_in_the_end(
    tiny: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [str(tiny), str(file), "--no-baselines", "--json"]
    assert main(["evaluate", *where, "--html", "/dev/full"]) == 2
    shown = capsys.readouterr()
    assert json.loads(shown.out)["messages"] == 2
    assert "--html /dev/full: cannot be written (No space left on device)" in shown.err


# --- bundles that are not there


def test_a_missing_bundle_says_how_to_make_one(tiny: Path, file: Path, tmp_path: Path) -> None:
    none = tmp_path / "none"
    fix = f"python -m tools train --data DIR --out {none}"
    with pytest.raises(ToolError) as one:
        evaluate(Job(none, file))
    with pytest.raises(ToolError) as two:
        compare(tiny, none, file)
    assert one.value.fix == two.value.fix == fix
    with pytest.raises(ToolError, match="is a file") as archive:
        evaluate(Job(file, file))
    assert "tar -xf" in archive.value.fix
