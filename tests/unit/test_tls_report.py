"""What is said of our certificates, on a clock that nobody waits for."""

from __future__ import annotations

import pytest

from edge_agent.certificates import DAY_S, Certificate
from edge_agent.errors import ConfigError
from edge_agent.surroundings import Clock
from edge_agent.tls_report import TlsReport
from edge_agent.transport.base import CredentialsSeen

NOW_S = 1_800_000_000.0


class Watch:
    """A report, and a clock to turn."""

    def __init__(self) -> None:
        self.now_s = NOW_S
        self.report = TlsReport(Clock(lambda: 0.0, lambda: self.now_s))

    def hear(self, days: float, problem: str = "") -> None:
        ends = Certificate("gw-1", 0.0, NOW_S + days * DAY_S)
        error = ConfigError(problem, "mend") if problem else None
        self.report.hear(CredentialsSeen({"client": ends}, error))


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_nothing_without_tls(watch: Watch) -> None:
    """Health has no tls then."""
    assert watch.report.data() == {}


def test_days_count_down(watch: Watch) -> None:
    """Below 0 when it is over."""
    watch.hear(40)
    assert watch.report.data() == {"tls": {"expires_in_days": {"client": 40.0}, "problem": ""}}
    watch.now_s += 40.5 * DAY_S
    assert watch.report.data()["tls"]["expires_in_days"] == {"client": -0.5}


def test_warned_daily_in_the_last_month(watch: Watch, capsys: pytest.CaptureFixture[str]) -> None:
    """Not before, and not at every look."""
    watch.hear(30.1)
    assert capsys.readouterr().out == ""
    for _ in range(3):
        watch.hear(29.9)
    said = capsys.readouterr().out
    assert said.count("TLS certificate ends") == 1
    assert "the client certificate 'gw-1' ends in 29.9 days" in said
    assert "mqtt.tls.cert_file" in said
    watch.now_s += DAY_S - 1
    watch.hear(29.9)
    assert capsys.readouterr().out == ""
    watch.now_s += 1
    watch.hear(29.9)
    assert "ends in 28.9 days" in capsys.readouterr().out
    watch.now_s += 60 * DAY_S
    watch.hear(29.9)
    assert "is over" in capsys.readouterr().out


def test_a_problem_is_said_once(watch: Watch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each new one, and again when it comes back; health has it as long as it lasts."""
    for problem in ("damaged", "damaged", "missing", "", "damaged"):
        watch.hear(99, problem)
        assert watch.report.data()["tls"]["problem"] == problem
    assert capsys.readouterr().out.count("TLS files not used") == 3
