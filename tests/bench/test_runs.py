"""Turns and what they come to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge_agent.bench.runs import SLICE_S, Run, Setting, figures, interleaved, percentile

ONE, TWO = Setting("short", 1, 1), Setting("short", 1, 2)


class Machine:
    """A clock that only work moves on, and a record of what ran."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.ran: list[Setting] = []

    def clock(self) -> float:
        return self.now_s

    def work(self, setting: Setting, *took_s: float) -> Callable[[], Run]:
        times = iter(took_s)

        def run() -> Run:
            seconds = next(times, took_s[-1])
            self.now_s += seconds
            self.ran.append(setting)
            return Run(seconds)

        return run


def test_settings_take_turns_there_and_back() -> None:
    """No setting has the machine for itself while it is cool, and none the end of each round."""
    machine = Machine()
    works = {s: machine.work(s, 2 * SLICE_S) for s in (ONE, TWO)}
    rounds = interleaved(works, 8 * SLICE_S, machine.clock)
    assert machine.ran == [ONE, TWO, TWO, ONE]
    assert [len(runs) for runs in rounds.values()] == [2, 2]


def test_time_is_up_within_a_round() -> None:
    """What had no turn has no runs: a slow machine is not kept longer than asked for."""
    machine = Machine()
    rounds = interleaved({s: machine.work(s, 5.0) for s in (ONE, TWO)}, 4.0, machine.clock)
    assert machine.ran == [ONE]
    assert figures(1, rounds[TWO]) is None


def test_the_first_run_of_a_turn_does_not_count() -> None:
    """It finds the caches full of the others' weights; a slow one that is alone counts."""
    machine = Machine()
    work = machine.work(ONE, 0.6 * SLICE_S, 0.15 * SLICE_S)
    (runs,) = interleaved({ONE: work}, 0.1 * SLICE_S, machine.clock)[ONE]
    assert [run.took_s for run in runs] == [0.15 * SLICE_S] * 3


def test_a_round_that_was_disturbed_moves_nothing() -> None:
    """The median of the rounds' medians: half a second in one round of three is not seen in it."""
    calm, disturbed = [Run(0.010)] * 3, [Run(0.500)] * 9
    found = figures(4, [calm, disturbed, calm])
    assert found is not None
    assert (found.p50_ms, found.messages_per_s) == (pytest.approx(10), pytest.approx(400))
    assert (found.p95_ms, found.runs, found.rounds) == (pytest.approx(500), 15, 3)


def test_tokens_a_second() -> None:
    """Of outputs that wrote something; nothing is made of the others."""
    found = figures(1, [[Run(3.0, 50, 0.5, 20, 2.0), Run(0.6, 60, 0.5, 0, 0.1)]])
    assert found is not None
    assert (found.read_per_s, found.written_per_s) == (110, 10)
    plain = figures(1, [[Run(1.0)]])
    assert plain is not None
    assert plain.read_per_s is None


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (19, 19), (20, 19), (100, 95)])
def test_percentile(count: int, expected: int) -> None:
    """A value that was measured, and of few the largest."""
    assert percentile(range(count, 0, -1), 0.95) == expected
