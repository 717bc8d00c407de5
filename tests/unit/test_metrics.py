"""Counters and percentiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.metrics import WINDOW, Metrics, percentile


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
        metrics.handled(route, 1.0, 2.0)
    metrics.count("received", 5)
    assert metrics.counters == {"events": 3, "received": 5}
    assert metrics.routes == {"fault": 2, "alarm": 1}


def test_latencies_are_of_the_latest_messages() -> None:
    """Old ones fall out of the window."""
    metrics = Metrics(0.0)
    metrics.handled("fault", 1e9, 1e9)
    for i in range(WINDOW):
        metrics.handled("fault", 10.0 if i % 20 else 30.004, 2.0)
    assert metrics.latencies_ms() == {
        "queue_p50": 10.0,
        "queue_p95": 30.0 if -(-WINDOW // 20) > WINDOW * 5 // 100 else 10.0,
        "model_p50": 2.0,
        "model_p95": 2.0,
    }
