"""Changed bundles taken up by the real agent while real messages flow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent_process import ROOT, AgentProcess
from tests.support.broker import Broker
from tests.support.reliability import Traffic, judge
from tests.support.reloads import ReloadRun, Shelf
from tests.support.site import Site, unique_topic
from tests.support.versions import damage, make_huge, make_version, misrecord, point
from tests.support.waiting import PATIENCE_S, wait_until

MakeSite = Callable[..., Site]
TEXT = "pump 7 is leaking"


@pytest.fixture
def current(tiny: Path, tmp_path: Path) -> Path:
    """A link to version 1.0.0; 2.0.0 stands beside it."""
    make_version(tiny, tmp_path / "two", "2.0.0")
    link = tmp_path / "current"
    link.symlink_to(tiny)
    return link


def command(agent: AgentProcess, *more: str) -> subprocess.CompletedProcess[str]:
    """``edge-agent reload`` on that agent."""
    return subprocess.run(
        [sys.executable, "-m", "edge_agent", "reload", "--config", str(agent.config), *more],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def model_of(site: Site) -> str:
    """The version that answers now."""
    version: str = site.event(unique_topic(), TEXT)["model"]["version"]
    return version


def states(site: Site) -> list[dict[str, Any]]:
    return [m.json for m in site.client.received if m.topic == "edge/t/state"]


def last_state(site: Site) -> dict[str, Any]:
    """Empty before the first has come."""
    return (states(site) or [{}])[-1]


def test_the_command_swaps_the_bundle_and_says_so(
    make_site: MakeSite, current: Path, tmp_path: Path
) -> None:
    """Events name the new bundle; the retained state names both; nothing restarts."""
    site = make_site(bundle=current, reload={"watch_s": 0})
    site.agent.start()
    pid = site.agent.pid
    assert model_of(site) == "1.0.0"
    point(current, tmp_path / "two")
    done = command(site.agent)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("changed: tiny 1.0.0 (")
    assert " -> tiny 2.0.0 (" in done.stdout
    assert model_of(site) == "2.0.0"
    site.client.wait(lambda: "reload" in last_state(site), PATIENCE_S, "the new state")
    said = last_state(site)
    assert said["model"]["version"] == "2.0.0"
    assert said["reload"]["before"]["version"] == "1.0.0"
    assert command(site.agent).stdout.startswith("unchanged: tiny 2.0.0")
    assert site.agent.pid == pid
    assert site.counter("reloads_changed") == 1


def test_the_command_names_no_bundle_that_it_does_not_know(
    make_site: MakeSite, tiny: Path, current: Path, tmp_path: Path
) -> None:
    """A challenger changed, or a specialist: either way the one that answers is the one before."""
    trial = {"bundle": str(current), "mode": "shadow", "share": 1.0}
    site = make_site(bundle=tiny, challenger=trial, reload={"watch_s": 0})
    site.agent.start()
    point(current, tmp_path / "two")
    done = command(site.agent)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("changed: another bundle than that of [model]; tiny 1.0.0 (")
    assert done.stdout.endswith(") stays in place\n")


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (damage, "model.onnx is damaged"),
        (misrecord, "does not answer as golden.jsonl has it"),
        (make_huge, "MiB are to be had"),
    ],
)
def test_a_bundle_that_cannot_be_used_leaves_the_old_one(
    make_site: MakeSite,
    current: Path,
    tmp_path: Path,
    spoil: Callable[[Path], Path],
    problem: str,
) -> None:
    """The command fails with problem and fix, health has them, events go on."""
    site = make_site(bundle=current, reload={"watch_s": 0})
    site.agent.start()
    point(current, spoil(tmp_path / "two"))
    done = command(site.agent)
    assert done.returncode == 78
    assert problem in done.stderr
    assert "tiny 1.0.0 (" in done.stderr
    assert "\n  fix: " in done.stderr
    assert model_of(site) == "1.0.0"
    told = site.health()["reload"]
    assert (told["outcome"], told["reason"]) == ("failed", "SIGHUP")
    assert problem in told["problem"]


def test_a_swapped_link_is_noticed(make_site: MakeSite, current: Path, tmp_path: Path) -> None:
    """Without anybody asking."""
    site = make_site(bundle=current, reload={"watch_s": 0.1})
    site.agent.start()
    point(current, tmp_path / "two")
    wait_until(lambda: site.health()["model"]["version"] == "2.0.0", PATIENCE_S, "the new bundle")
    assert site.health()["reload"]["reason"] == "bundle changed"
    assert site.counter("reloads_changed") == 1


@pytest.mark.parametrize("allowed", [True, False])
def test_a_request_asks_for_a_reload(
    make_site: MakeSite, current: Path, tmp_path: Path, allowed: bool
) -> None:
    """Where the configuration permits it; the reply is the outcome."""
    site = make_site(bundle=current, reload={"watch_s": 0, "allow_request": allowed})
    site.agent.start()
    point(current, tmp_path / "two")
    reply = site.request("reload")
    assert reply["ok"] is allowed
    if allowed:
        assert reply["result"]["model"]["version"] == "2.0.0"
    else:
        assert reply["error"]["code"] == "operation-disabled"
        assert "reload.allow_request" in reply["error"]["fix"]
    assert model_of(site) == ("2.0.0" if allowed else "1.0.0")


def test_no_agent_to_reload(make_site: MakeSite, current: Path) -> None:
    """Before its start and after its end, the command says so, and how to start it."""
    site = make_site(bundle=current)
    for _ in range(2):
        done = command(site.agent)
        assert done.returncode == 78
        assert "no agent runs" in done.stderr
        assert "systemctl start edge-agent" in done.stderr
        site.agent.start()
        assert site.agent.stop() == 0


def test_a_stop_during_a_reload_is_clean(make_site: MakeSite, current: Path) -> None:
    """Exit 0, and the state is `stopped`."""
    site = make_site(bundle=current)
    site.agent.start()
    os.kill(site.agent.pid, signal.SIGHUP)
    assert site.agent.stop() == 0
    site.client.wait(lambda: last_state(site).get("state") == "stopped", PATIENCE_S, "the farewell")


def test_reloads_of_all_kinds_while_messages_flow(
    broker: Broker, tiny: Path, tmp_path: Path
) -> None:
    """Good, damaged, misrecorded, too large and unsigned: no message lost, all in order."""
    shelf = Shelf(tmp_path / "shelf", tiny)
    agent = shelf.agent(tmp_path / "agent", broker.port)
    with closing(agent), Traffic(broker) as traffic:
        agent.start()
        run = ReloadRun(traffic, agent, shelf)
        run.run(12)
        assert agent.stop() == 0, agent.stderr
        traffic.flush()
        verdict = judge(traffic.sent, traffic.records())
        verdict.require()
        assert verdict.duplicates == 0
        assert run.versions() == ["two", "one", "two", "one", "two"]
