"""The whole bench on a recorded machine, with real bundles and a clock of our own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edge_agent.bench.measure import Outcome, bench
from edge_agent.bench.plan import Plan
from edge_agent.bundle import load_bundle
from edge_agent.doctor.patient import Output
from tests.support.machines import machine, recorded
from tests.support.tiny_bundle import tiny_bundle
from tests.support.tiny_generator import tiny_generator

TICK_S = 0.005
IDLE_W, WORK_W = 3.0, 5.5


class Board:
    """A Raspberry Pi 5 whose power chip says what it takes: less to whom reads it at rest.

    Its clock goes on with what the main thread does, not with what it is read for.
    """

    def __init__(self, folder: Path) -> None:
        self.now_s = 0.0
        self._rester: threading.Thread | None = None
        self.patient = machine("pi5", folder)
        self._others = recorded(self.patient.root)
        self.patient.commands = self._say

    def _say(self, words: Sequence[str], limit_s: float) -> Output | None:
        if words[1:] != ("pmic_read_adc",):
            return self._others(words, limit_s)
        reader = threading.current_thread()
        if self._rester is None and reader is not threading.main_thread():
            self._rester = reader  # rest is measured first
        power_w = IDLE_W if reader is self._rester else WORK_W
        return Output(0, f"VDD_CORE_A current(7)={power_w}A\nVDD_CORE_V volt(15)=1.0V\n")

    def clock(self) -> float:
        if threading.current_thread() is threading.main_thread():
            self.now_s += TICK_S
        return self.now_s

    def rest(self, seconds: float) -> None:
        """Takes no time but on the clock."""
        self.now_s += seconds


def measure(folder: Path, *bundles: Path, board: Board | None = None, **changes: Any) -> Outcome:
    board = board or Board(folder)
    given: dict[str, Any] = {
        "threads": (1, 2),
        "usual_threads": 1,
        "batches": (1, 4),
        "seconds": 45.0,
        "cores": 4,
        "clock": board.clock,
        "rest": board.rest,
        "read_every_s": 3600.0,
    }
    plan = Plan(bundles=[load_bundle(path) for path in bundles], **{**given, **changes})
    return bench(plan, board.patient)


def test_all_settings_of_all_bundles(tmp_path: Path) -> None:
    """Each has figures from several rounds; the settings are for the bundle that routes."""
    writer, encoder = (
        tiny_generator(tmp_path / "g", max_output_tokens=12),
        tiny_bundle(tmp_path / "t"),
    )
    outcome = measure(tmp_path, writer, encoder, seconds=20.0)
    assert outcome.machine == "Raspberry Pi 5 Model B Rev 1.0, Cortex-A76: dotprod, 4 cores"
    written, routed = outcome.bundles
    assert len(written.figures) == 3 * 2
    assert len(routed.figures) == (2 * 2 + 1) * 2
    for found in (*written.figures.values(), *routed.figures.values()):
        assert found is not None
        assert found.rounds >= 3
    assert outcome.suggestion is not None
    assert outcome.suggestion.batch is not None
    assert outcome.notes == []


def test_what_a_message_costs(tmp_path: Path) -> None:
    """Work less rest, by the messages that were worked on; within the time that was given."""
    bundles = [tiny_bundle(tmp_path / "t"), tiny_generator(tmp_path / "g", max_output_tokens=12)]
    board = Board(tmp_path)
    outcome = measure(tmp_path, *bundles, seconds=45.0, board=board)
    assert board.now_s == pytest.approx(45.0, abs=1.0)
    (cost,) = outcome.costs
    assert cost.entrant.card.name == "tiny"
    assert (cost.energy.idle_w, cost.energy.work_w) == pytest.approx((IDLE_W, WORK_W), rel=0.01)
    assert cost.setting.batch == 4  # a run takes as long as one message alone, on this clock
    runs = cost.energy.work_s / (3 * TICK_S)
    assert cost.energy.messages == pytest.approx(4 * runs, rel=0.01)
    assert cost.energy.work_s >= 10
    assert outcome.no_energy == "tiny-generator: no time left; --seconds 60 is enough"
    both = measure(tmp_path / "again", *bundles, seconds=60.0)
    assert [c.entrant.card.name for c in both.costs] == ["tiny", "tiny-generator"]
    assert both.no_energy == ""


def test_time_that_energy_does_not_need(tmp_path: Path) -> None:
    """Is for the timings: nothing is kept back for bundles that are not there."""
    board = Board(tmp_path)
    measure(tmp_path, tiny_bundle(tmp_path / "t"), board=board, seconds=80.0)
    assert board.now_s == pytest.approx(80.0, abs=1.0)


def test_too_little_time_for_energy(tmp_path: Path) -> None:
    """The timings come first, and how long would be enough is said."""
    outcome = measure(tmp_path, tiny_bundle(tmp_path / "t"), seconds=20.0)
    assert outcome.costs == []
    assert outcome.no_energy == "tiny: no time left; --seconds 40 is enough"


def test_a_sensor_that_stops(tmp_path: Path) -> None:
    """It answered once: that is no measurement."""
    board = Board(tmp_path)
    answers = iter([Output(0, "VDD_CORE_A current(7)=3.0A\nVDD_CORE_V volt(15)=1.0V\n")])
    board.patient.commands = lambda *_: next(answers, None)
    outcome = measure(tmp_path, tiny_bundle(tmp_path / "t"), board=board, rest=lambda _: None)
    assert outcome.costs == []
    assert outcome.no_energy == "the sensor stopped answering"


def test_a_machine_without_a_sensor(tmp_path: Path) -> None:
    """All of the time is for the timings."""
    board = Board(tmp_path)
    board.patient.commands = lambda *_: None
    outcome = measure(tmp_path, tiny_bundle(tmp_path / "t"), board=board)
    assert outcome.costs == []
    assert "vcgencmd says nothing" in outcome.no_energy


def test_a_hurried_run_says_so(tmp_path: Path) -> None:
    """No settings are chosen from what had no turn."""
    outcome = measure(tmp_path, tiny_bundle(tmp_path / "t"), seconds=0.3)
    assert outcome.suggestion is None
    assert [name for name, _ in outcome.notes] == ["haste"]


def test_little_memory(tmp_path: Path) -> None:
    """Sessions for other threads are not loaded where they could take the agent's memory."""
    board = Board(tmp_path)
    (board.patient.root / "proc/meminfo").write_text("MemAvailable: 1 kB\nMemTotal: 900000 kB\n")
    outcome = measure(tmp_path, tiny_bundle(tmp_path / "t"), board=board, seconds=20.0)
    assert {setting.threads for setting in outcome.bundles[0].figures} == {1}
    assert [name for name, _ in outcome.notes] == ["memory"]
