"""The doctor's runner: preconditions, limits, crashes, exit codes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.doctor.advice import next_command
from edge_agent.doctor.check import Check
from edge_agent.doctor.examine import examine
from edge_agent.doctor.finding import Finding, Status, error, ok, skipped, warning
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.report import Report
from edge_agent.errors import BundleError

TOTAL_S = 0.5
"""A limit that the first check has not used up before it begins."""


def patient(**changes: object) -> Patient:
    return Patient(Path("/nowhere.toml"), **changes)  # type: ignore[arg-type]


def check(name: str, *found: Finding, **changes: object) -> Check:
    return Check(name, "a test", lambda _: found, **changes)  # type: ignore[arg-type]


def report(*checks: Check, **changes: object) -> Report:
    return examine(checks, patient(**changes))


def test_several_findings_and_the_most_urgent_counts() -> None:
    """One check may find several things; its status is that of the worst."""
    (result,) = report(check("a.b", ok("one"), warning("two", "mend it"), skipped("three"))).results
    assert [f.text for f in result.findings] == ["one", "two", "three"]
    assert result.status is Status.WARNING


@pytest.mark.parametrize("bad", [error("it is broken", "mend it"), skipped("not here")])
def test_what_builds_on_a_failed_check_is_skipped_and_says_so(bad: Finding) -> None:
    """Also through a chain; what builds on something else still runs."""
    results = report(
        check("a.first", bad),
        check("a.second", ok("fine"), needs=("a.first",)),
        check("a.third", ok("fine"), needs=("a.second",)),
        check("a.other", ok("fine")),
    ).results
    assert [r.status for r in results[1:]] == [Status.SKIPPED, Status.SKIPPED, Status.OK]
    assert results[1].findings[0].text.startswith("because a.first ")
    assert results[2].findings[0].text == "because a.second was skipped"


def test_a_precondition_that_was_not_asked_for_stops_nothing() -> None:
    """``--only model.golden`` runs alone."""
    (result,) = report(check("a.second", ok("fine"), needs=("a.first",))).results
    assert result.status is Status.OK


def test_what_is_not_used_stops_nothing() -> None:
    """Where there is nothing to look at it says why, and is no failed precondition."""
    first = check("a.first", error("broken", "mend it"))
    second = check("a.second", ok("fine"), needs=("a.first",), unless=lambda _: "not configured")
    results = report(first, second, check("a.third", ok("fine"), needs=("a.second",))).results
    assert [r.findings[0].text for r in results] == ["broken", "not configured", "fine"]
    assert results[1].status is Status.SKIPPED


def raising(exception: Exception) -> Check:
    def run(_: Patient) -> Iterator[Finding]:
        yield ok("so far")
        raise exception

    return Check("a.raises", "a test", run)


def test_a_crash_is_one_more_finding() -> None:
    """With the traceback in its details; the next check runs."""
    results = report(raising(ZeroDivisionError("by zero")), check("a.b", ok("fine"))).results
    assert [r.status for r in results] == [Status.CRASHED, Status.OK]
    (finding,) = results[0].findings
    assert "ZeroDivisionError: by zero" in finding.text
    assert any("test_examine.py" in line for line in finding.details)
    assert finding.fix is not None


def test_a_check_that_says_nothing_is_a_crash() -> None:
    """Silence is a bug of the check."""
    assert report(check("a.b")).results[0].status is Status.CRASHED


def test_our_own_errors_are_findings_with_their_fix_and_causes() -> None:
    """Problem, fix, and the chain of causes for --verbose."""
    caused = BundleError("the bundle is damaged", "copy it again")
    caused.__cause__ = OSError("input/output error")
    (finding,) = report(raising(caused)).results[0].findings
    assert (finding.status, finding.text, finding.fix) == (
        Status.ERROR,
        "the bundle is damaged",
        "copy it again",
    )
    assert finding.details == ("caused by OSError: input/output error",)


def test_what_only_root_may_read_is_skipped() -> None:
    """And says what root would add; for root itself it is a crash."""
    closed = raising(PermissionError(13, "Permission denied", "/etc/secret"))
    (finding,) = report(closed, is_root=False).results[0].findings
    assert (finding.text, finding.wants_root) == ("only root can see /etc/secret", True)
    assert report(closed, is_root=True).results[0].status is Status.CRASHED


def test_a_reason_not_to_look_that_cannot_be_found() -> None:
    """Does not stop the doctor: the check itself is tried."""
    one = check("a.b", ok("fine"), unless=lambda _: str(1 // 0))
    assert report(one).results[0].status is Status.OK


def hanging(name: str, release: threading.Event, time_limit_s: float = 0.05) -> Check:
    return Check(name, "a test", lambda _: ok(str(release.wait(30))), time_limit_s=time_limit_s)


def test_an_overrun_is_a_finding_and_the_rest_runs() -> None:
    """A check that hangs is abandoned after its limit."""
    release = threading.Event()
    results = report(hanging("a.hangs", release), check("a.b", ok("fine"))).results
    release.set()
    assert [r.status for r in results] == [Status.ERROR, Status.OK]
    assert "not done after" in results[0].findings[0].text


def test_when_the_total_is_used_up_the_rest_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor ends in time; what it left out is named with the command for it."""
    monkeypatch.setattr("edge_agent.doctor.examine.TOTAL_LIMIT_S", TOTAL_S)
    release = threading.Event()
    whole = report(
        hanging("a.hangs", release, TOTAL_S), check("a.b", ok("fine")), check("c.d", ok("fine"))
    )
    release.set()
    assert [f.text for r in whole.results[1:] for f in r.findings] == ["no time was left"] * 2
    rest = Report(whole.results[1:], whole.took_s)
    command = "`edge-agent doctor --config /nowhere.toml --only a c`"
    assert next_command(rest, patient()) == f"what there was no time for: {command}"


def test_what_may_take_all_the_time_comes_last() -> None:
    """A writer may be slow: what is shown below it is examined all the same."""
    run: list[str] = []

    def noting(name: str, **changes: float) -> Check:
        return Check(name, "a test", lambda _: ok(str(run.append(name))), **changes)

    whole = report(noting("a.writes", time_limit_s=60.0), noting("a.b"), noting("c.d"))
    assert run == ["a.b", "c.d", "a.writes"]
    assert [result.check.id for result in whole.results] == ["a.writes", "a.b", "c.d"]


def test_what_was_left_out_is_named_beside_the_fixes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nobody would know that there is more to see."""
    monkeypatch.setattr("edge_agent.doctor.examine.TOTAL_LIMIT_S", TOTAL_S)
    release = threading.Event()
    whole = report(hanging("a.hangs", release, TOTAL_S), check("c.d", ok("fine")))
    release.set()
    doctor = "edge-agent doctor --config /nowhere.toml"
    assert next_command(whole, patient()) == (
        f"do the fixes above, then `{doctor} --only a.hangs`; "
        f"what there was no time for: `{doctor} --only c`"
    )


def test_probes_run_only_when_asked() -> None:
    """They send messages: without --probe they are skipped."""
    probe = check("probes.canary", ok("fine"), probe=True)
    assert report(probe).results[0].status is Status.SKIPPED
    assert report(probe, probe=True).results[0].status is Status.OK


@pytest.mark.parametrize(
    ("found", "name", "strict", "code"),
    [
        (ok("fine"), "a.b", True, 0),
        (skipped("not here"), "a.b", True, 0),
        (warning("soon", "mend it"), "a.b", False, 0),
        (warning("soon", "mend it"), "a.b", True, 1),
        (error("now", "mend it"), "a.b", False, 1),
        (error("now", "mend it"), "config.valid", False, 78),
        (Finding(Status.CRASHED, "bug", "report it"), "a.b", False, 70),
    ],
)
def test_exit_codes(found: Finding, name: str, strict: bool, code: int) -> None:
    """0 in order, 1 errors, 78 no usable configuration, 70 a crash of the doctor's own."""
    assert report(check(name, found)).exit_code(strict=strict) == code
