"""`edge-agent bench` as a person runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_agent.cli import main
from edge_agent.commands import bench as command
from tests.support.agent_process import HEEDING_CTRL_C, write_config
from tests.support.tiny_bundle import break_bundle
from tests.support.tiny_generator import tiny_generator
from tests.support.versions import make_version

ROOT = Path(__file__).parents[2]


def bench(capsys: Any, *arguments: str) -> str:
    assert main(["bench", *arguments]) == 0
    shown: str = capsys.readouterr().out
    return shown


def test_a_run(tiny: Path, tmp_path: Path) -> None:
    """Champion and writer of a configuration, measured by a real process, drawn on 80 columns."""
    writer = tiny_generator(tmp_path / "writer")
    config = write_config(
        tmp_path / "edge-agent.toml", 1, tiny, specialists={"w": {"bundle": str(writer)}}
    )
    done = subprocess.run(
        [
            sys.executable,
            *["-m", "edge_agent", "bench", "--seconds", "6", "--threads", "1,2", "--config"],
            config,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    screen = done.stdout
    assert "tiny 1.0.0: milliseconds a batch, messages a second" in screen
    assert "tiny-generator 1.0.0: milliseconds an output, tokens read and written" in screen
    assert f"# {config}\n[model]\n" in screen
    assert "\n[batch]\n" in screen
    assert all(len(line) <= 80 for line in screen.splitlines() if str(config) not in line)
    assert "Traceback" not in done.stderr


def test_json(tiny: Path, tmp_path: Path, capsys: Any) -> None:
    """Every setting that was tried has its figures, with the bundle they are of."""
    writer = tiny_generator(tmp_path / "writer")
    options = ["--bundle", str(tiny), str(writer), "--threads", "1", "--seconds", "4", "--json"]
    data = json.loads(bench(capsys, *options))
    encoder, generator = data["bundles"]
    assert (encoder["name"], encoder["kind"], generator["kind"]) == ("tiny", "encoder", "generator")
    tried = [(f["text"], f["batch"], f["threads"]) for f in encoder["figures"]]
    assert tried == [
        *((length, batch, 1) for length in ("short", "medium") for batch in (1, 4, 16)),
        ("long", 1, 1),
    ]
    for figure in encoder["figures"]:
        assert 0 < figure["p50_ms"] <= figure["p95_ms"]
        assert figure["messages_per_s"] == pytest.approx(
            1000 * figure["batch"] / figure["p50_ms"], rel=0.05
        )
        assert figure["written_tokens_per_s"] is None
    tokens = [f["tokens"] for f in encoder["figures"]]
    assert tokens == sorted(tokens)
    assert encoder["figures"][-1]["truncated"]
    for figure in generator["figures"]:
        assert figure["read_tokens_per_s"] > 0
        assert figure["written_tokens_per_s"] > 0
    assert data["suggestion"]["model.threads"] == 1
    assert data["suggestion"]["batch.max_messages"] in {1, 4, 16}


def test_ctrl_c(tiny: Path) -> None:
    """It ends at once, without figures and without a traceback."""
    words = [sys.executable, "-c", HEEDING_CTRL_C, "bench", "--bundle", str(tiny)]
    with subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "measuring for 45 s\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    assert err == "edge-agent: interrupted\n"


def test_the_settings_in_force_are_tried(tiny: Path, tmp_path: Path, capsys: Any) -> None:
    """Whatever the machine's cores are, so that the suggestion can be compared with them."""
    config = write_config(tmp_path / "c.toml", 1, tiny, model={"threads": 3, "bundle": str(tiny)})
    data = json.loads(bench(capsys, "--config", str(config), "--seconds", "1", "--json"))
    assert 3 in {figure["threads"] for figure in data["bundles"][0]["figures"]}


def test_the_challenger_is_measured_too(tiny: Path, tmp_path: Path, capsys: Any) -> None:
    """After the champion, under its own version."""
    other = make_version(tiny, tmp_path / "next", "2.0.0")
    config = write_config(tmp_path / "c.toml", 1, tiny, challenger={"bundle": str(other)})
    data = json.loads(bench(capsys, "--config", str(config), "--seconds", "1", "--json"))
    assert [bundle["version"] for bundle in data["bundles"]] == ["1.0.0", "2.0.0"]


def test_without_a_configuration(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundle of the installation, as `infer` does."""
    monkeypatch.setattr(command, "DEFAULT_CONFIG", Path("/absent/edge-agent.toml"))
    data = json.loads(bench(capsys, "--seconds", "1", "--threads", "1", "--json"))
    assert [bundle["name"] for bundle in data["bundles"]] == ["gateway-default"]


@pytest.mark.parametrize(
    "arguments",
    [["--threads", "0"], ["--threads", "1,x"], ["--seconds", "0"], ["--seconds", "soon"]],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: Any) -> None:
    """What would measure nothing, or for ever."""
    with pytest.raises(SystemExit) as caught:
        main(["bench", *arguments])
    assert caught.value.code == 2
    assert arguments[1] in capsys.readouterr().err


def test_what_a_person_must_mend_is_78(tiny: Path, tmp_path: Path, capsys: Any) -> None:
    """A damaged bundle, a broken configuration, two answers to which bundles."""
    config = write_config(tmp_path / "edge-agent.toml", 1, tiny)
    assert main(["bench", "--bundle", str(tiny), "--config", str(config)]) == 78
    assert "of no use together with --bundle" in capsys.readouterr().err
    assert main(["bench", "--bundle", str(tiny), "--secnds=3"]) == 78
    assert "--secnds=3" in capsys.readouterr().err
    assert main(["bench", "--config", str(tmp_path / "absent.toml")]) == 78
    assert "no such file" in capsys.readouterr().err
    assert main(["bench", "--bundle", str(break_bundle(tiny, "digest"))]) == 78
    assert "model.onnx is damaged" in capsys.readouterr().err
