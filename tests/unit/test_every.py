"""Duties that come back."""

from __future__ import annotations

import math

import pytest

from edge_agent.every import Every


def test_it_is_due_at_once_and_then_each_interval() -> None:
    """Counted from when it was done: a late one does not come twice."""
    duty = Every(10)
    assert duty.due_in_s(5.0) == 0.0
    assert [duty.is_due(now_s) for now_s in (5.0, 5.0, 14.9, 18.0, 25.0, 28.0)] == [
        True, False, False, True, False, True
    ]  # fmt: skip
    assert duty.due_in_s(30.0) == 8.0


@pytest.mark.parametrize("never", [None, 0])
def test_never(never: float | None) -> None:
    """Off."""
    assert not Every(never).is_due(1e9)
    assert Every(never).due_in_s(1e9) == math.inf
