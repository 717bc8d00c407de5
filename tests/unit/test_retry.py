"""When to connect again, and as what."""

from __future__ import annotations

import pytest

from edge_agent.transport.retry import FIRST_RETRY_S, Retry

LIMIT_S = 30.0


def failed(retry: Retry, *, refused: bool = False, hung_up: bool = False) -> None:
    retry.ended(accepted=False, version_refused=refused, hung_up=hung_up)


def test_waits_double_up_to_the_limit_and_are_jittered() -> None:
    """Between half and all of a ceiling; never at the same pace twice."""
    retry = Retry("5", LIMIT_S)
    for failures in range(1, 40):
        failed(retry)
        ceiling_s = min(LIMIT_S, FIRST_RETRY_S * 2.0 ** min(failures, 20))
        waits = {retry.wait_s() for _ in range(200)}
        assert min(waits) >= round(ceiling_s / 2, 2)
        assert max(waits) <= round(ceiling_s, 2)
        assert len(waits) > 20


def test_a_connection_that_worked_starts_the_waits_anew() -> None:
    """A broker that restarts is found again quickly."""
    retry = Retry("5", LIMIT_S)
    for _ in range(10):
        failed(retry)
    retry.ended(accepted=True, version_refused=False, hung_up=False)
    assert retry.wait_s() <= 2 * FIRST_RETRY_S


def test_auto_falls_back_when_the_version_is_refused() -> None:
    """And tries 5 again after it: the broker may have been upgraded."""
    retry = Retry("auto", LIMIT_S)
    assert retry.protocol == "5"
    failed(retry, refused=True)
    assert retry.protocol == "3.1.1"
    failed(retry)
    assert retry.protocol == "5"


def test_auto_falls_back_when_hung_up_on_twice_in_a_row() -> None:
    """Old brokers close the connection without a word; once may be chance."""
    retry = Retry("auto", LIMIT_S)
    failed(retry, hung_up=True)
    failed(retry)
    failed(retry, hung_up=True)
    assert retry.protocol == "5"
    failed(retry, hung_up=True)
    assert retry.protocol == "3.1.1"


@pytest.mark.parametrize("wanted", ["5", "3.1.1"])
def test_a_chosen_version_stays(wanted: str) -> None:
    """Whatever happens."""
    retry = Retry(wanted, LIMIT_S)
    for _ in range(3):
        failed(retry, refused=True, hung_up=True)
        assert retry.protocol == wanted


def test_auto_never_gives_up_on_either_version() -> None:
    """A 3.1.1 broker that hung at our first try of 3.1.1 is asked in 3.1.1 again and again."""
    retry = Retry("auto", LIMIT_S)
    asked = []
    for _ in range(30):
        asked.append(retry.protocol)
        failed(retry, hung_up=True)
    assert {"5", "3.1.1"} <= set(asked[:6])
    assert {"5", "3.1.1"} <= set(asked[-6:])
