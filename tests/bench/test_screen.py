"""The screen as a technician sees it. ``UPDATE_GOLDEN=1`` writes it anew: read it then."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.bench.energy import Energy
from edge_agent.bench.entrants import Entrant
from edge_agent.bench.measure import Outcome, Timed
from edge_agent.bench.runs import LENGTHS, Figures, Setting
from edge_agent.bench.screen import draw
from edge_agent.bench.sensors import NoMeter, PowerMeter
from edge_agent.bench.suggest import InForce, suggest
from edge_agent.bench.weigh import Cost
from edge_agent.doctor.finding import warning
from edge_agent.doctor.screen import Style
from edge_agent.types import ModelCard

GOLDEN = Path(__file__).parents[1] / "golden"
THREADS = (1, 2, 4)
TOKENS = {"short": 7.5, "medium": 33.5, "long": 108.25}
NOW = InForce(2, 16, "/etc/edge-agent/edge-agent.toml")
STRAINED = [
    (
        "agent",
        warning(
            "the agent runs here (process 811) and shares the machine",
            "measure in a quiet hour, or `sudo systemctl stop edge-agent` before "
            "and `sudo systemctl start edge-agent` after",
        ),
    ),
    (
        "throttled",
        warning("since boot: throttled (0x40000)", "give it air, a heat sink or a fan"),
    ),
]


def router() -> Timed:
    """Faster by threads, but not as much as there are of them; a little faster by batches."""
    settings = [
        Setting(length, batch, threads)
        for length in LENGTHS
        for batch in ((1,) if length == "long" else (1, 4, 16))
        for threads in THREADS
    ]
    entrant = Entrant(ModelCard("gateway-default", "1.1.0", "0" * 64), "encoder", {}, TOKENS)
    return Timed(entrant, {s: router_figures(s) for s in settings})


def router_figures(setting: Setting) -> Figures:
    gain = {1: 1.0, 2: 1.8, 4: 1.9}[setting.threads] * {1: 1.0, 4: 1.3, 16: 1.35}[setting.batch]
    batch_ms = setting.batch * (1.5 + 0.4 * TOKENS[setting.length]) / gain
    return Figures(batch_ms, 1.2 * batch_ms, 1000 * setting.batch / batch_ms, 120, 12)


def writer() -> Timed:
    """One output took no time to read, and one had no turn."""
    card = ModelCard("work-order", "2.0.0", "1" * 64)
    tokens = {length: 40 + count for length, count in TOKENS.items()}
    entrant = Entrant(card, "generator", {}, tokens, frozenset({"long"}))
    figures: dict[Setting, Figures | None] = {
        Setting(length, 1, threads): Figures(
            812.4 / threads, 950 / threads, threads / 0.8124, 5, 5, 170.2 * threads, 33.4 * threads
        )
        for length in LENGTHS
        for threads in THREADS
    }
    figures[Setting("short", 1, 1)] = Figures(0.52, 0.61, 1923, 9, 9, None, None)
    figures[Setting("long", 1, 4)] = None
    return Timed(entrant, figures)


def measured() -> Outcome:
    """On a board with a sensor, everything in order."""
    first, second = router(), writer()
    cost = Cost(first.entrant, Setting("medium", 4, 2), Energy(2.91, 6.37, 1520, 10.02))
    return Outcome(
        "Raspberry Pi 5 Model B Rev 1.0, Cortex-A76: dotprod, 4 cores",
        [first, second],
        suggest(first.figures, 4),
        PowerMeter(
            "rails of the power chip (pmic_read_adc), without USB devices and losses", float
        ),
        [cost],
        "work-order: no time left; --seconds 60 is enough",
        [],
    )


def compare(name: str, text: str) -> None:
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_everything_measured() -> None:
    """Figures side by side, cost, and lines to paste."""
    compare("bench", draw(measured(), NOW, Style()))


def test_nothing_but_doubts() -> None:
    """No sensor, no settings, and what is to be mended."""
    outcome = replace(
        measured(),
        bundles=[writer()],
        suggestion=None,
        meter=NoMeter("this machine has no sensor of its power that we know"),
        costs=[],
        no_energy="this machine has no sensor of its power that we know",
        notes=STRAINED,
    )
    compare("bench_doubtful", draw(outcome, NOW, Style()))


def test_settings_that_are_right_already() -> None:
    """Nothing is to be changed."""
    shown = draw(measured(), InForce(2, 4, NOW.file), Style())
    assert "settings: as they are\n" in shown


def test_what_cannot_be_told_from_idle() -> None:
    """No negative energy."""
    outcome = measured()
    (cost,) = outcome.costs
    none = replace(cost, energy=Energy(3.0, 2.9, 100, 10.0))
    shown = draw(replace(outcome, costs=[none]), NOW, Style())
    assert "too little to be told from idle" in shown
    assert "mJ" not in shown


def test_many_threads_take_another_table() -> None:
    """Within 80 columns."""
    timed = router()
    more = {replace(s, threads=2 * s.threads): found for s, found in timed.figures.items()}
    outcome = replace(measured(), bundles=[replace(timed, figures={**more, **timed.figures})])
    lines = draw(outcome, NOW, Style()).splitlines()
    assert [line.split() for line in lines if line.endswith("threads")] == [
        ["1", "thread", "2", "threads", "4", "threads"],
        ["8", "threads"],
    ]
    assert max(map(len, lines)) <= 80


def test_ascii() -> None:
    """Where the locale has no other characters."""
    assert draw(measured(), NOW, Style(ascii_only=True)).isascii()


@pytest.mark.parametrize("rate", [3.25, 48.0, 12345.0])
def test_why_has_readable_numbers(rate: float) -> None:
    """Neither 12345.000001 nor 3."""
    found = suggest({Setting("medium", 1, 1): Figures(1, 1, rate, 3, 3)}, 4)
    assert found is not None
    assert {"3.2", "48", "12,345"} & {word.strip(":") for word in found.threads_why.split()}
