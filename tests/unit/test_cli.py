"""The command line, as a real process where bytes and exit codes matter."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_agent import __version__
from edge_agent.cli import main
from edge_agent.wire.schema import DOCUMENTS, json_schema
from tests.support.agent_process import HEEDING_CTRL_C, write_config
from tests.support.tiny_bundle import break_bundle, write_manifest
from tests.support.tiny_generator import tiny_generator
from tests.support.versions import make_version

ROOT = Path(__file__).parents[2]


def edge_agent(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "edge_agent", *arguments],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        check=False,
    )


def infer(capfdbinary: Any, *arguments: str) -> list[dict[str, Any]]:
    assert main(["infer", *arguments]) == 0
    return [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]


def test_infer_prints_a_line_for_each_argument(tiny: Path, capfdbinary: Any) -> None:
    """In order, each the shape of an event's data."""
    texts = [f"pump {i} is leaking" for i in range(20)]
    lines = infer(capfdbinary, "--bundle", str(tiny), *texts)
    assert [line["text"] for line in lines] == texts
    for line in lines:
        jsonschema.validate(line, json_schema("result"))
        assert line["route"]["label"] == "fault"
    (asset, symptom) = lines[7]["entities"]
    assert (asset["text"], asset["start"], asset["end"]) == ("pump 7", 0, 6)
    assert symptom["label"] == "symptom"


def test_ctrl_c_ends_a_command_without_a_traceback(tiny: Path) -> None:
    """Whichever waits: here for the next line."""
    words = [sys.executable, "-c", HEEDING_CTRL_C, "infer", "--bundle", str(tiny)]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"pump leaks\n")
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"edge-agent: interrupted\n")


def test_infer_writes_with_a_bundle_that_writes(tmp_path: Path, capfdbinary: Any) -> None:
    """One line a text, with what was written."""
    folder = tiny_generator(tmp_path / "g")
    lines = infer(capfdbinary, "--bundle", str(folder), "pump P-101 leaks", "valve 7")
    assert [line["text"] for line in lines] == ["pump P-101 leaks", "valve 7"]
    for line in lines:
        jsonschema.validate(line, json_schema("written"))
        assert line["output"]["value"]["priority"] in {"low", "high"}


def test_infer_reads_lines(tiny: Path) -> None:
    """Blank ones are left out; bytes that are no UTF-8 are replaced; the last may lack its end."""
    stdin = b"pump leaking\r\n\n  \nfire in hall 3\ngas \xff\xfe\ntank today"
    done = edge_agent("infer", "--bundle", str(tiny), "--threads", "1", stdin=stdin)
    texts = [json.loads(line)["text"] for line in done.stdout.splitlines()]
    assert texts == ["pump leaking", "fire in hall 3", "gas \ufffd\ufffd", "tank today"]
    assert (done.returncode, done.stderr) == (0, b"")


def test_infer_takes_arguments_that_are_no_utf_8(tiny: Path) -> None:
    """A shell can pass any bytes."""
    command = [sys.executable, "-m", "edge_agent", "infer", "--bundle", str(tiny), b"gas \xff"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["route"]["label"] == "alarm"


def test_infer_ends_quietly_when_nobody_reads(tiny: Path) -> None:
    """As in ``edge-agent infer | head -1``."""
    command = [sys.executable, "-m", "edge_agent", "infer", "--bundle", str(tiny)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(b"pump leaking\n" * 50)
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_infer_uses_the_default_bundle(capfdbinary: Any) -> None:
    """The one that came with the installation."""
    (line,) = infer(capfdbinary, "pump P-101 is leaking")
    assert line["model"]["name"] == "gateway-default"


def test_infer_with_a_damaged_bundle(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Problem and fix on standard error, 78, nothing on standard output."""
    assert main(["infer", "--bundle", str(break_bundle(tiny, "digest")), "x"]) == 78
    shown = capsys.readouterr()
    assert "model.onnx is damaged" in shown.err
    assert "\n  fix: copy model.onnx again" in shown.err
    assert shown.out == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Name and number."""
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"edge-agent {__version__}\n"


@pytest.mark.parametrize("name", [*DOCUMENTS, "config"])
def test_schema_of_one(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A JSON Schema."""
    assert main(["schema", name]) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))


def test_schema_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    """By name."""
    assert main(["schema"]) == 0
    assert set(json.loads(capsys.readouterr().out)) >= {*DOCUMENTS, "config"}


def test_check_config_prints_what_is_in_force(tiny: Path, capsys: Any) -> None:
    """File and flags together, as JSON."""
    config = write_config(tiny.parent / "c.toml", 1883, tiny)
    assert main(["check-config", "--config", str(config), "--mqtt.host=flag"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["mqtt"]["host"] == "flag"
    assert "bundle tiny are usable" in shown.err


def test_check_config_looks_at_the_challenger(tiny: Path, tmp_path: Path, capsys: Any) -> None:
    """A bundle on trial that the agent would leave out at its start is said here."""
    other = make_version(tiny, tmp_path / "next", "2.0.0")
    config = write_config(tmp_path / "c.toml", 1883, tiny, challenger={"bundle": str(other)})
    assert main(["check-config", "--config", str(config)]) == 0
    assert "challenger: bundle tiny is usable" in capsys.readouterr().err
    break_bundle(other, "digest")
    assert main(["check-config", "--config", str(config)]) == 78
    assert "model.onnx is damaged" in capsys.readouterr().err


def test_check_config_looks_at_what_writes(tiny: Path, tmp_path: Path, capsys: Any) -> None:
    """A generator that nobody gave a task is refused here as by the agent, with the command."""
    writer = tiny_generator(tmp_path / "writer")
    named = {"work-order": {"bundle": str(writer)}}
    config = write_config(tmp_path / "c.toml", 1883, tiny, specialists=named)
    assert main(["check-config", "--config", str(config)]) == 0
    assert "specialist work-order: bundle tiny-generator is usable" in capsys.readouterr().err
    manifest = json.loads((writer / "bundle.json").read_text())
    del manifest["task"]
    write_manifest(writer, manifest)
    assert main(["check-config", "--config", str(config)]) == 78
    assert "give-task" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check-config", "run"])
def test_a_bundle_in_the_place_of_the_other_kind(
    tiny: Path, tmp_path: Path, capsys: Any, command: str
) -> None:
    """What cannot answer, or cannot write, is not called usable; the fix names its place."""
    writer = tiny_generator(tmp_path / "writer")
    swapped = {"specialists": {"order": {"bundle": str(tiny)}}}
    for config, said in (
        (write_config(tmp_path / "a.toml", 1, writer), "it writes texts, it routes no messages"),
        (write_config(tmp_path / "b.toml", 1, tiny, **swapped), "it writes no texts"),
    ):
        assert main([command, "--config", str(config)]) == 78
        told = capsys.readouterr().err
        assert said in told
        assert "model.bundle" in told


@pytest.mark.parametrize("command", ["check-config", "run"])
def test_what_a_person_must_mend_is_78(tiny: Path, capsys: Any, command: str) -> None:
    """Wrong settings, a wrong bundle, no file; all problems at once."""
    folder = tiny.parent
    wrong = write_config(folder / "c.toml", 0, tiny, batch={"max_mesages": 1})
    assert main([command, "--config", str(wrong)]) == 78
    said = capsys.readouterr().err
    assert "mqtt.port: " in said
    assert "batch.max_mesages: unknown key; did you mean max_messages?" in said
    assert "\n  fix: edit " in said
    damaged = write_config(folder / "d.toml", 1, break_bundle(tiny, "missing-file"))
    assert main([command, "--config", str(damaged)]) == 78
    assert "model.onnx is missing" in capsys.readouterr().err
    assert main([command, "--config", str(folder / "absent")]) == 78
    assert "no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["version", "--loud"], ["infer", "--bundel=x", "y"], ["schema", "nonsense"]],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With the usage on standard error."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: edge-agent" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["infer", "--help"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """On standard output, 0."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    assert "usage: edge-agent" in capsys.readouterr().out
