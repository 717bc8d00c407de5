"""The promise: whoever kills the agent, no message is lost and every copy is known as one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent_process import AgentProcess
from tests.support.broker import Broker
from tests.support.reliability import (
    KillPlan,
    Record,
    Traffic,
    judge,
    prepare_agent,
    run_kills,
)

KILLS, MESSAGES, SEED = 50, 3000, 20


@pytest.fixture
def agent(broker: Broker, tiny: Path, tmp_path: Path) -> Iterator[AgentProcess]:
    prepared = prepare_agent(tmp_path / "agent", broker.port, tiny)
    yield prepared
    prepared.close()


@pytest.mark.slow
def test_nothing_is_lost_over_fifty_kills(broker: Broker, agent: AgentProcess) -> None:
    """Each message has an event, copies bear the first one's id, first-seen order is kept."""
    with Traffic(broker) as traffic:
        result = run_kills(traffic, agent, KillPlan(KILLS, MESSAGES, SEED))
    print(result)
    result.verdict.require()
    assert result.verdict.sent == MESSAGES
    assert result.kills_in_flight >= KILLS // 2, "the kills hit an idle agent: they prove nothing"


GOOD = [Record("a", 1), Record("b", 2), Record("b", 2), Record("c", 3)]


def test_copies_with_the_same_id_are_accepted() -> None:
    """Delivery at least once: a copy known as such is no fault."""
    verdict = judge([1, 2, 3], GOOD)
    verdict.require()
    assert verdict.duplicates == 1


@pytest.mark.parametrize(
    ("records", "name"),
    [
        (GOOD[:3], "lost"),
        ([*GOOD, Record("d", 3)], "another id"),
        ([Record("a", 1), Record("a", 2), Record("c", 3)], "several messages"),
        ([GOOD[1], GOOD[0], GOOD[3]], "after a later one"),
        ([*GOOD, Record("c", 3, dead_letter=True)], "1 dead letters"),
    ],
)
def test_the_verdict_notices(records: list[Record], name: str) -> None:
    """The check itself: each way of breaking the promise is found."""
    with pytest.raises(AssertionError, match=name):
        judge([1, 2, 3], records).require()
