"""Counters and percentiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.metrics import WINDOW, Metrics, percentile
from edge_agent.types import Prediction, Route, Timing

FAULT = Prediction(Route("fault", 0.9), ())


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 100))
def test_percentile_is_the_nearest_rank(values: list[float], percent: int) -> None:
    """The smallest value that at least so many percent do not exceed."""
    found = percentile(sorted(values), percent)
    enough = [v for v in values if sum(w <= v for w in values) * 100 >= percent * len(values)]
    assert found == min(enough)


@pytest.mark.parametrize("percent", [50, 95])
def test_percentile_of_nothing_is_0(percent: int) -> None:
    """Health is published before the first message too."""
    assert percentile([], percent) == 0.0


def test_counts_events_by_route() -> None:
    """Every message handled counts once, under its route."""
    metrics = Metrics(0.0)
    for route in ("fault", "alarm", "fault"):
        metrics.handled(Prediction(Route(route, 0.9), ()), Timing(1.0, 2.0), "digest")
    metrics.handled(Prediction(None, ()), Timing(), "digest")
    metrics.count("received", 5)
    assert metrics.counters == {"events": 4, "received": 5}
    assert metrics.routes == {"fault": 2, "alarm": 1, "": 1}


def test_latencies_are_of_the_latest_messages() -> None:
    """Old ones fall out of the window."""
    metrics = Metrics(0.0)
    metrics.handled(FAULT, Timing(1e9, 1e9), "digest")
    for i in range(WINDOW):
        metrics.handled(FAULT, Timing(10.0 if i % 20 else 30.004, 2.0), "digest")
    assert metrics.latencies_ms() == {
        "queue_p50": 10.0,
        "queue_p95": 30.0 if -(-WINDOW // 20) > WINDOW * 5 // 100 else 10.0,
        "model_p50": 2.0,
        "model_p95": 2.0,
    }


def test_latencies_since_the_start() -> None:
    """In seconds, and nothing falls out."""
    metrics = Metrics(0.0)
    for _ in range(2 * WINDOW):
        metrics.handled(FAULT, Timing(30.0, 2.0), "digest")
    data = metrics.queue_s.data()
    counts = dict(zip(data["le"], data["counts"], strict=False))
    assert (counts[0.025], counts[0.05], data["counts"][-1]) == (0, 2 * WINDOW, 2 * WINDOW)
    assert data["sum"] == pytest.approx(2 * WINDOW * 0.030)


def test_ages_begin_with_the_first() -> None:
    """Nothing is said of what has not happened."""
    metrics = Metrics(0.0)
    assert metrics.ages_s(10.0) == {}
    metrics.received(10.0)
    metrics.delivered(12.0, heard=False)
    assert metrics.ages_s(15.5) == {"received": 5.5, "delivered": 3.5}
    assert metrics.counters == {"received": 1, "unheard": 1}
