"""The screens as a technician sees them. ``UPDATE_GOLDEN=1`` writes them anew: read them then."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent import __version__
from edge_agent.doctor.advice import next_command
from edge_agent.doctor.examine import examine
from edge_agent.doctor.finding import Finding
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.report import Report, Result
from edge_agent.doctor.screen import Style, draw, draw_list
from edge_agent.doctor.table import CHECKS, selected
from tests.support.machines import machine
from tests.support.tiny_bundle import break_bundle, tiny_bundle

GOLDEN = Path(__file__).parents[1] / "golden"
LOCAL = ("config", "install", "model", "hardware", "storage", "time")
VARYING = (
    (r"in [\d.]+ s, \d+ MiB, with onnxruntime [\d.]+", "in 0.9 s, 44 MiB, with onnxruntime 1.31.1"),
    (r"up to \d+ MiB while", "up to 138 MiB while"),
    (r"p50 .* a second", "p50 9.1 ms, p95 12.4 ms, 110 a second"),
    (r"onnxruntime [\d.]+, numpy [\d.]+, tokenizers [\d.]+, paho-mqtt [\d.]+",
     "onnxruntime 1.31.1, numpy 2.4.6, tokenizers 0.23.3, paho-mqtt 2.2.0"),
    (r"gateway-default \S+: \d+ files, \d+ MiB", "gateway-default 1.0.0: 4 files, 14 MiB"),
    (r"temperature [\d.]+, abstains below [\d.]+", "temperature 0.785, abstains below 0"),
    (r"small writes \d+ ms", "small writes 8 ms"),
    (rf"edge-agent {re.escape(__version__)}", "edge-agent 0.1.0"),
)  # fmt: skip
"""What differs between machines and runs, and what stands for it."""
PLAIN = Style()


def steady(patient: Patient, finding: Finding) -> Finding:
    """The finding without what varies."""

    def plain(text: str) -> str:
        text = text.replace(str(patient.root), "").replace(str(Path(__file__).parents[2]), "/repo")
        for pattern, stand_in in VARYING:
            text = re.sub(pattern, stand_in, text)
        return text

    return replace(finding, text=plain(finding.text), fix=finding.fix and plain(finding.fix))


def screen(patient: Patient, style: Style = PLAIN) -> str:
    """The whole examination of a machine, drawn."""
    report = examine(selected(LOCAL, []), patient)
    results = tuple(
        Result(r.check, tuple(steady(patient, f) for f in r.findings)) for r in report.results
    )
    return draw(Report(results, 1.4), style, next_command(report, patient))


def compare(name: str, text: str) -> None:
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def healthy(folder: Path) -> Patient:
    return machine("pi5", folder)


def broken_config(folder: Path) -> Patient:
    patient = machine("pi5", folder)
    text = patient.config_file.read_text().replace("port = 1883", "port = 0")
    patient.config_file.write_text(text + "\n[batch]\nmax_mesages = 8\n")
    return patient


def damaged_bundle(folder: Path) -> Patient:
    patient = machine("pi5", folder)
    bundle = break_bundle(tiny_bundle(patient.root / "models/tiny"), "digest")
    patient.config_file.write_text(
        patient.config_file.read_text().replace("[model]", f'[model]\nbundle = "{bundle}"')
    )
    return patient


def throttled_pi(folder: Path) -> Patient:
    return machine("pi4", folder)


def jetson(folder: Path) -> Patient:
    return machine("jetson", folder)


@pytest.mark.parametrize(
    "make", [healthy, broken_config, damaged_bundle, throttled_pi, jetson], ids=lambda m: m.__name__
)
def test_screen(make: Callable[[Path], Patient], tmp_path: Path) -> None:
    """Each state of a machine has its screen."""
    compare(make.__name__, screen(make(tmp_path)))


def test_ascii_screen(tmp_path: Path) -> None:
    """Where the locale has no other characters."""
    text = screen(machine("pi4", tmp_path), Style(ascii_only=True))
    assert text.isascii()
    compare("ascii", text)


def test_list() -> None:
    """Every check with what it examines."""
    compare("list", draw_list([c for c in CHECKS if c.group in LOCAL], Style()))


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.txt")), ids=lambda f: f.stem)
def test_screens_fit_80_columns(file: Path) -> None:
    """Only a command that could not be copied otherwise may be longer."""
    for line in file.read_text(encoding="utf-8").splitlines():
        assert len(line) <= 80 or "`" in line, line


def test_colours_only_where_asked(tmp_path: Path) -> None:
    """The same screen but for the escape sequences."""
    patient = machine("pi5", tmp_path)
    report = examine(selected(["hardware"], []), patient)
    coloured, plain = (draw(report, Style(colour=c), "x") for c in (True, False))
    assert "\x1b[32m✓\x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    assert "\x1b" not in plain
