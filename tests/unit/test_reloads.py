"""Reloads in the agent's loop: what is said, what is coalesced, what stays."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_agent.reload import MAX_ASKERS
from edge_agent.transport.base import Reload
from edge_agent.wire.schema import json_schema
from tests.support.versions import damage, make_version, misrecord, point
from tests.unit.site import Site, Step, health

MakeSite = Callable[..., Site]
ASK = {"topic": "edge/t/request/reload", "response_topic": "edge/t/reply/a"}


@pytest.fixture
def linked(tmp_path: Path, tiny: Path) -> Path:
    """A link to version 1.0.0; ``tmp_path / "two"`` is 2.0.0."""
    make_version(tiny, tmp_path / "two", "2.0.0")
    make_version(tiny, tmp_path / "three", "3.0.0")
    link = tmp_path / "current"
    link.symlink_to(tiny)
    return link


@pytest.fixture
def reload_site(tmp_path: Path, linked: Path) -> Callable[..., Site]:
    """A site that follows the link; it looks for changes only where told."""

    def make(**sections: Any) -> Site:
        return Site(tmp_path, linked, **{"reload": {"watch_s": 0}, **sections})

    return make


def loaded(site: Site) -> Step:
    """A step: the loader has ended."""
    return lambda: site.supply.loader.wait(60)


def hangup(site: Site) -> Step:
    """A step: SIGHUP."""
    return lambda: site.inbox.put(Reload("SIGHUP"))


def swap(site: Site, name: str) -> Step:
    """A step: the link leads to another version."""
    return lambda: point(site.folder / "current", site.folder / name)


def versions(site: Site) -> list[str]:
    return [event["data"]["model"]["version"] for event in site.said("event")]


class Gate:
    """Holds the loader until it is opened, and counts how often it came."""

    def __init__(self, site: Site) -> None:
        self._load = site.supply.loader._load
        self._open = threading.Event()
        self.passed = 0
        site.supply.loader._load = self.load

    def load(self, current: Any) -> Any:
        assert self._open.wait(60)
        self.passed += 1
        return self._load(current)

    def open(self) -> None:
        self._open.set()


def test_a_new_bundle_is_taken_up_between_batches(reload_site: MakeSite) -> None:
    """What came before is answered by the old one; the state says what was and what is."""
    site = reload_site()
    steps = [site.send("pump"), swap(site, "two"), hangup(site), loaded(site), site.send("tank")]
    site.run(*steps, site.wait(61))
    assert versions(site) == ["1.0.0", "2.0.0"]
    birth, changed, farewell = site.said("state")
    assert "reload" not in birth
    jsonschema.validate(changed, json_schema("state"))
    assert changed["state"] == "online"
    assert changed["model"]["version"] == "2.0.0"
    assert changed["reload"]["before"]["version"] == "1.0.0"
    assert changed["reload"]["outcome"] == "changed"
    assert farewell["model"]["version"] == "2.0.0"
    jsonschema.validate(health(site), json_schema("health"))
    assert health(site)["counters"]["reloads_changed"] == 1


@pytest.mark.parametrize(
    ("spoil", "problem"), [(damage, "is damaged"), (misrecord, "does not answer as")]
)
def test_a_bad_bundle_leaves_the_old_one(
    reload_site: MakeSite, spoil: Callable[[Path], Path], problem: str
) -> None:
    """State and health say why."""
    site = reload_site()
    spoil(site.folder / "two")
    site.run(swap(site, "two"), hangup(site), loaded(site), site.send("pump"), site.wait(61))
    assert versions(site) == ["1.0.0"]
    for told in (site.said("state")[1]["reload"], health(site)["reload"]):
        assert told["outcome"] == "failed"
        assert problem in told["problem"]
        assert told["fix"]
        assert told["model"]["version"] == "1.0.0"
    assert health(site)["counters"]["reloads_failed"] == 1


def test_a_bug_while_loading_leaves_the_old_one(reload_site: MakeSite) -> None:
    """The agent that works goes on; the problem names the bug."""

    def load(current: Any) -> Any:
        raise ZeroDivisionError("here")

    site = reload_site()
    site.supply.loader._load = load
    site.run(hangup(site), loaded(site), site.send("pump"), site.wait(61))
    assert site.events == ["pump"]
    assert "ZeroDivisionError: here" in health(site)["reload"]["problem"]


def test_nothing_new_is_unchanged(reload_site: MakeSite) -> None:
    """The same Fleet goes on, with what it has counted."""
    site = reload_site()
    fleet = site.supply.fleet
    agent = site.run(hangup(site), loaded(site), site.wait(61))
    assert health(site)["reload"]["outcome"] == "unchanged"
    assert agent._work.fleet is fleet


def test_reloads_meanwhile_become_one_more(reload_site: MakeSite) -> None:
    """However many ask; and that one sees what is on disk then."""
    site = reload_site()
    gate = Gate(site)
    asks = [hangup(site)] * 5
    site.run(hangup(site), *asks, swap(site, "two"), gate.open, loaded(site), loaded(site), list)
    assert gate.passed == 2
    assert site.agent._work.fleet.card.version == "2.0.0"


def test_messages_are_answered_while_a_bundle_loads(reload_site: MakeSite) -> None:
    """By the old one, and acknowledged; the watchdog is fed."""
    site = reload_site()
    gate = Gate(site)

    def still() -> None:
        assert (site.events, site.acked) == (["pump"], ["pump"])
        gate.open()

    site.run(swap(site, "two"), hangup(site), site.send("pump"), lambda: None, still, loaded(site))
    assert versions(site) == ["1.0.0"]


def test_a_stop_meanwhile_waits_for_the_loader_only(reload_site: MakeSite) -> None:
    """What it loads is not used."""
    site = reload_site()
    gate = Gate(site)

    def stop() -> None:
        site.stop()
        gate.open()

    site.run(swap(site, "two"), hangup(site), stop)
    assert site.said("state")[-1]["state"] == "stopped"
    assert site.said("state")[-1]["model"]["version"] == "1.0.0"
    assert not site.supply.loader.busy or not site.supply.loader._thread.is_alive()


def test_a_fleet_that_comes_while_the_agent_stops_is_not_used(reload_site: MakeSite) -> None:
    """What is in hand is finished by the old one."""
    site = reload_site()
    gate = Gate(site)
    site.broker.answering = False

    def mend() -> None:
        site.broker.answering = True
        site.cut()

    asked = [swap(site, "two"), site.send("pump"), hangup(site), site.stop]
    agent = site.run(*asked, gate.open, loaded(site), list, mend)
    assert agent._work.fleet.card.version == "1.0.0"
    assert versions(site) == ["1.0.0"]
    assert [state["state"] for state in site.said("state")][-1] == "stopped"


def test_a_reload_asked_for_while_the_agent_stops_is_none(reload_site: MakeSite) -> None:
    """Nothing could come of it, and the stop would wait for it as long as it may."""
    site = reload_site()
    site.broker.answering = False

    def mend() -> None:
        site.broker.answering = True
        site.cut()

    site.run(swap(site, "two"), site.send("pump"), site.stop, hangup(site), list, mend)
    assert not site.supply.loader.busy
    assert versions(site) == ["1.0.0"]


def test_a_request_is_answered_with_the_outcome(reload_site: MakeSite) -> None:
    """And settled before: what comes after it is acknowledged meanwhile."""
    site = reload_site(reload={"watch_s": 0, "allow_request": True})
    gate = Gate(site)

    def still() -> None:
        assert site.said("reply") == []
        assert site.acked == ["", "pump"]
        gate.open()

    steps = [swap(site, "two"), site.send("", **ASK), site.send("pump"), still, loaded(site), list]
    site.run(*steps)
    (reply,) = site.said("reply")
    jsonschema.validate(reply, json_schema("reply"))
    assert (reply["ok"], reply["operation"]) == (True, "reload")
    assert reply["result"]["model"]["version"] == "2.0.0"


def test_a_request_hears_of_a_failure(reload_site: MakeSite) -> None:
    """With problem and fix."""
    site = reload_site(reload={"watch_s": 0, "allow_request": True})
    damage(site.folder / "two")
    site.run(swap(site, "two"), site.send("", **ASK), loaded(site), list)
    (reply,) = site.said("reply")
    assert reply["error"]["code"] == "reload-failed"
    assert "is damaged" in reply["error"]["problem"]


def test_who_waits_for_a_reload_hears_of_a_stop(reload_site: MakeSite) -> None:
    """Those of the reload that runs, and those of the next: their requests are settled already."""
    site = reload_site(reload={"watch_s": 0, "allow_request": True})
    gate = Gate(site)

    def stop() -> None:
        site.stop()
        gate.open()

    site.run(site.send("", **ASK), site.send("", **ASK), stop)
    replies = site.said("reply")
    assert [reply["error"]["code"] for reply in replies] == ["reload-failed"] * 2
    assert "stops" in replies[0]["error"]["problem"]


def test_requests_need_permission(reload_site: MakeSite) -> None:
    """Off unless configured."""
    site = reload_site()
    site.run(swap(site, "two"), site.send("", **ASK), site.send("pump"))
    assert site.said("reply")[0]["error"]["code"] == "operation-disabled"
    assert versions(site) == ["1.0.0"]


def test_askers_are_bounded(reload_site: MakeSite) -> None:
    """Those beyond are told to ask again; all get an answer."""
    site = reload_site(reload={"watch_s": 0, "allow_request": True})
    gate = Gate(site)
    asks = [site.send("", **ASK)] * (MAX_ASKERS + 3)
    site.run(*asks, gate.open, loaded(site), loaded(site), list)
    replies = site.said("reply")
    assert len(replies) == MAX_ASKERS + 3
    assert [r["ok"] for r in replies].count(False) == 2
    assert gate.passed == 2


def test_a_change_on_disk_is_noticed_once_it_is_at_rest(reload_site: MakeSite) -> None:
    """At the second look that finds the same; a failure is not tried again until it changes."""
    site = reload_site(reload={"watch_s": 5})
    gate = Gate(site)
    gate.open()
    damage(site.folder / "two")
    look = [site.wait(5), lambda: None, loaded(site)]
    site.run(
        *look,
        swap(site, "two"),
        *look,
        *look,
        *look,
        *look,
        swap(site, "three"),
        *look * 3,
        site.wait(61),
    )
    assert gate.passed == 2
    assert health(site)["reload"]["reason"] == "bundle changed"
    assert health(site)["counters"]["reloads_failed"] == 1
    assert health(site)["model"]["version"] == "3.0.0"
