"""What ``check-data`` reads, counts and prints."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.labelled import WORDS, codes, found, item, only, sound, sound_folder, write
from tools.checking.checks import check, files_of
from tools.checking.findings import places, quote
from tools.checking.reading import read_file
from tools.checking.report import as_json, print_result
from tools.commands import check_data
from tools.data import read_jsonl, split, topic_name
from tools.errors import ToolError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sound_folder(tmp_path / "site")


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    check_data.arguments(parser)
    return check_data.run(parser.parse_args(words))


def test_nothing_is_found_in_sound_data(folder: Path) -> None:
    assert found(folder) == []


def test_the_next_command_of_sound_data_trains_on_it(folder: Path, capsys) -> None:
    assert run(str(folder)) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"next: python -m tools train --data {folder} --out models/site"


@pytest.mark.parametrize(
    ("line", "code", "problem"),
    [
        ('{"text": "a", ', "not-json", "EOF"),
        (b'{"text": "caf\xe9"}', "not-utf8", "byte 0xe9 at column 14"),
        ('{"route": "fault"}', "wrong-shape", "text: Field required"),
        ('{"text": 5}', "wrong-shape", "text: Input should be a valid string"),
        ('["pump"]', "wrong-shape", "should be an object"),
        ('{"text": "a b", "entities": [{"start": "0", "end": 1}]}', "wrong-shape", "[0].start"),
        ('{"text": "a b", "entities": [{"start": true, "end": 2}]}', "wrong-shape", "[0].start"),
        ('{"text": "  ", "route": "fault"}', "empty-text", "empty"),
        ('{"text": "half \\ud83d"}', "not-json", "JSON"),
    ],
)
def test_a_line_that_is_no_message_is_named(
    folder: Path, line: str | bytes, code: str, problem: str
) -> None:
    """Each with file and line, as an error, and the lines after it are still read."""
    write(folder, train=[*sound(60, "a"), line, *sound(1, "c")])
    finding = only(folder, code)
    assert (finding.severity, finding.where) == ("error", f"{folder}/train.jsonl:61")
    assert problem in finding.problem
    assert len(check([folder]).data.splits[0].entries) == 61


def test_every_problem_is_reported_at_once(folder: Path) -> None:
    write(folder, train=["{", *sound(60, "a"), "[]"], dev=["nothing", *sound(50, "b")])
    assert codes(folder) == {"not-json": 2, "wrong-shape": 1}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (json.dumps(sound(20, "a")).encode(), "json-array"),
        (json.dumps(sound(20, "a"), indent=1).encode(), "json-array"),
        (json.dumps(item("pump broke")).encode("utf-16"), "not-utf8"),
        (json.dumps(item("pump broke")).encode("utf-16-le"), "not-utf8"),
    ],
)
def test_a_file_of_another_kind_is_one_finding(tmp_path: Path, raw: bytes, code: str) -> None:
    """Not one a line: the fix is one command."""
    path = tmp_path / "train.jsonl"
    path.write_bytes(raw)
    _, findings = read_file(path)
    assert [f.code for f in findings] == [code]
    assert str(path) in findings[0].fix


def test_a_byte_order_mark_is_named_and_the_first_line_read(folder: Path) -> None:
    path = folder / "train.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert codes(folder) == {"byte-order-mark": 1}
    assert len(check([folder]).data.splits[0].entries) == 60


def test_a_missing_file_is_a_finding_and_the_other_is_still_read(folder: Path) -> None:
    (folder / "train.jsonl").unlink()
    write(folder, dev=[*sound(50, "b"), "{"])
    assert codes(folder) == {"missing-file": 1, "not-json": 1}


def test_without_dev_is_told_what_training_will_hold_out(folder: Path) -> None:
    """Training accepts such a folder, so the check does as well."""
    (folder / "dev.jsonl").unlink()
    assert codes(folder) == {"no-dev": 1}
    finding = only(folder, "no-dev")
    assert (finding.severity, finding.where) == ("info", f"{folder}/train.jsonl")
    assert "about 6 of its messages" in finding.fix
    assert run(str(folder)) == 0


def test_without_dev_the_messages_told_are_those_that_training_holds_out(folder: Path) -> None:
    """Repeated ones too."""
    rows = [item("ping", "heartbeat")] * 10 + [item(f"pump {i // 3} leaks") for i in range(60)]
    write(folder, train=rows)
    (folder / "dev.jsonl").unlink()
    assert "about 6 of its messages" in only(folder, "no-dev").fix
    assert len(split(read_jsonl(folder / "train.jsonl"))[1]) == 6


def test_without_dev_and_with_nothing_to_hold_out_is_an_error(folder: Path) -> None:
    write(folder, train=[item("pump broke"), item("fan runs", "reading")])
    (folder / "dev.jsonl").unlink()
    assert only(folder, "no-dev").severity == "error"


def test_a_train_file_named_alone_is_not_asked_for_its_dev(folder: Path) -> None:
    (folder / "dev.jsonl").unlink()
    assert check([folder / "train.jsonl"]).findings == ()


def test_a_name_unfit_for_topics_is_told_with_what_it_becomes(folder: Path) -> None:
    rows = [item(f"line {i} choked {i * 7:05d}", "Plugged / choked") for i in range(20)]
    write(folder, train=[*sound(60, "a"), *rows])
    finding = only(folder, "unfit-name")
    assert (finding.severity, finding.where) == ("warning", f"{folder}/train.jsonl:61")
    assert "'Plugged_choked'" in finding.problem
    assert topic_name("Plugged / choked") == "Plugged_choked"


def test_names_that_become_one_are_told(folder: Path) -> None:
    rows = [item(f"{i * 7919} {WORDS[i % 10]}", ("a b", "a/b")[i % 2]) for i in range(40)]
    write(folder, train=[*sound(60, "a"), *rows])
    assert codes(folder) == {"merged-names": 2, "unmeasured-route": 1}
    assert all("'a_b'" in f.problem for f in found(folder) if f.code == "merged-names")


def test_a_name_of_which_nothing_is_left_is_an_error(folder: Path) -> None:
    write(folder, train=[*sound(60, "a"), item("hm hm", " / ")])
    assert only(folder, "unfit-name").severity == "error"


def test_names_that_differ_in_case_only_are_told(folder: Path) -> None:
    write(folder, train=[*sound(60, "a"), item("valve broke", "Fault")])
    assert "'Fault' (1), 'fault' (55)" in only(folder, "similar-names").problem


def test_names_that_train_lacks_are_errors(folder: Path) -> None:
    rows = [item("hoist tripped", "alarm", ("hoist", "machine"))]
    write(folder, dev=[*sound(50, "b"), *rows], test=[*sound(3, "c"), *rows[:0]])
    assert codes(folder) == {"unknown-route": 1, "unknown-label": 1}
    assert only(folder, "unknown-route").where == f"{folder}/dev.jsonl:51"
    assert run(str(folder)) == 2


def test_rare_names_are_told_the_rarest_as_warnings(folder: Path) -> None:
    rows = [item(f"gate {i * 7919} stuck", "rare") for i in range(4)]
    rows += [item(f"hoist {i * 7919} up", "scarce") for i in range(19)]
    write(folder, train=[*sound(60, "a"), *rows])
    few = [f for f in found(folder) if f.code == "few-examples"]
    assert [(f.severity, re.findall(r"'(\w+)'", f.problem)) for f in few] == [
        ("warning", ["rare"]),
        ("info", ["scarce"]),
    ]


def test_imbalance_is_told_with_both_ends(folder: Path) -> None:
    rows = [item(f"{i * 7919} {WORDS[i % 10]} {i}", "alarm") for i in range(600)]
    write(folder, train=[*sound(60, "a"), *rows])
    assert "20 to 1: 'alarm' 600, 'fault' 30" in only(folder, "imbalance").problem


def test_texts_beyond_the_models_window_are_told(folder: Path) -> None:
    text = "pump " * 410 + "tail"
    write(folder, train=[*sound(60, "a"), item(text, "fault", ("tail", "asset"))])
    finding = only(folder, "long-text")
    assert (finding.severity, finding.where) == ("warning", f"{folder}/train.jsonl:61")
    assert "1 of its spans beyond" in finding.problem


@pytest.mark.parametrize(
    ("dev", "code", "severity"), [(0, "empty-split", "error"), (49, "small-dev", "warning")]
)
def test_a_dev_split_too_small_is_told(folder: Path, dev: int, code: str, severity: str) -> None:
    write(folder, dev=sound(dev, "b"))
    assert only(folder, code).severity == severity


@pytest.mark.parametrize(
    ("change", "code", "severity"),
    [
        ({"route": None}, "entities-only", "info"),
        ({"entities": []}, "route-only", "info"),
        ({"route": None, "entities": []}, "nothing-labelled", "error"),
    ],
)
def test_what_the_bundle_will_not_say_is_told(
    folder: Path, change: dict, code: str, severity: str
) -> None:
    write(
        folder,
        train=[row | change for row in sound(60, "a")],
        dev=[row | change for row in sound(50, "b")],
    )
    assert codes(folder) == {code: 1}
    assert only(folder, code).severity == severity


def test_an_unknown_key_is_told_once_a_file_with_the_likely_one(folder: Path) -> None:
    rows = [item(f"fan {i * 7919}", entites=[], operator="me") for i in range(3)]
    write(folder, train=[*sound(60, "a"), *rows])
    fixes = {f.problem.split("'")[1]: f.fix for f in found(folder) if f.code == "unknown-key"}
    assert fixes["entites"].startswith("write 'entities'")
    assert "no harm" in fixes["operator"]


@pytest.mark.parametrize("name", ["other", "oos", "out_of_scope"])
def test_the_out_of_scope_route_is_told(folder: Path, name: str) -> None:
    write(folder, train=[*sound(60, "a"), *[item(f"hello {i * 7919}", name) for i in range(20)]])
    assert "out-of-scope route" in only(folder, "out-of-scope-route").fix


def test_strict_fails_on_warnings_and_info_never_does(folder: Path, capsys) -> None:
    write(folder, dev=[row | {"entities": []} for row in sound(50, "b")])
    assert run(str(folder), "--strict") == 0
    write(folder, dev=sound(49, "b"))
    assert run(str(folder)) == 0
    assert run(str(folder), "--strict") == 2
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"fix these, then: python -m tools check-data {folder} --strict"


def test_people_see_ten_of_each_kind_and_programs_all(folder: Path, capsys) -> None:
    write(folder, train=[*sound(60, "a"), *["{"] * 47])
    assert run(str(folder)) == 2
    shown = capsys.readouterr().out
    assert shown.count("train.jsonl:") == 10
    assert "and 37 more" in shown
    assert run(str(folder), "--json") == 2
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert len(report["findings"]) == 47
    assert (report["ok"], report["counts"]["error"]) == (False, 47)
    assert report["splits"][f"{folder}/train.jsonl"]["routes"] == {"fault": 30, "reading": 30}
    assert printed.err.splitlines()[-1] == report["next"]


def test_texts_are_shown_as_they_are_not_as_markup_or_control_characters(tmp_path: Path) -> None:
    """A bracket is no style, an escape sequence never reaches the terminal."""
    rows = [item("[red]pump[/red] \x1b[2J dead"), item("[red]pump[/red] \x1b[2J dead", "[b]")]
    result = check([write(tmp_path / "d", train=rows, dev=[]) / "train.jsonl"])
    console = Console(width=200, record=True, file=(tmp_path / "shown").open("w"))
    print_result(result, console)
    shown = console.export_text()
    assert "[red]pump[/red] \\x1b[2J dead" in shown
    assert "[b]" in shown
    assert "\x1b" not in shown
    assert json.loads(as_json(result, "", strict=False))["counts"]["warning"] == 4


def test_files_may_be_named_one_by_one(folder: Path, capsys) -> None:
    assert run(str(folder / "train.jsonl"), str(folder / "dev.jsonl")) == 0
    assert "check-data DIR" in capsys.readouterr().out.splitlines()[-1]


def test_a_folder_is_checked_alone(folder: Path) -> None:
    with pytest.raises(ToolError, match="is a folder"):
        files_of([folder, folder / "dev.jsonl"])


def test_what_passes_can_be_read_for_training(folder: Path) -> None:
    assert check([folder]).passes()
    assert len(read_jsonl(folder / "train.jsonl")) == 60


def test_places_name_a_file_once_and_stop_after_a_few() -> None:
    assert places(["a/x.jsonl:1", "a/x.jsonl:4", "a/y.jsonl:2"]) == "x.jsonl:1, :4, y.jsonl:2"
    assert places([f"x:{i}" for i in range(6)]) == "x:0, :1, :2, :3 and 2 more"


def test_quotes_are_short_and_printable() -> None:
    assert quote("a\nb") == "'a\\nb'"
    assert len(quote("x" * 500)) <= 70
