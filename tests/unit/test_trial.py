"""A challenger beside the champion: canary, shadow, and what becomes of its failures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_agent.bundle import load_bundle
from edge_agent.errors import InferenceFailed
from edge_agent.fleet import Fleet, Trial, sampled
from edge_agent.loading import next_fleet
from edge_agent.shadow import MAX_WAITING_CHARS, MAX_WAITING_MESSAGES
from edge_agent.specialists import load_specialist
from edge_agent.transport.base import Reload
from edge_agent.types import TrialMode
from tests.support.tiny_bundle import LABELS, ROUTES, break_bundle, tiny_bundle
from tests.support.versions import make_version, point
from tests.unit.site import Site, Watched, health

MakeSite = Callable[..., Site]
OTHER_ROUTES = {**ROUTES, "fault": (*ROUTES["fault"], "gas"), "alarm": ("alarm", "fire")}
"""Takes a smell of gas for a fault."""
OTHER_LABELS = {**LABELS, "location": ()}
"""Sees no places."""


@pytest.fixture
def challenger(tmp_path: Path, tiny: Path) -> Watched:
    """Answers like the champion."""
    bundle = load_bundle(make_version(tiny, tmp_path / "next", "2.0.0"))
    return Watched(load_specialist(bundle, 1))


@pytest.fixture
def dissenter(tmp_path: Path) -> Watched:
    """Answers otherwise on ``gas`` and ``hall``."""
    bundle = load_bundle(tiny_bundle(tmp_path / "other", OTHER_ROUTES, OTHER_LABELS))
    return Watched(load_specialist(bundle, 1))


def give(site: Site, specialist: Watched, mode: TrialMode, share: float = 1.0) -> None:
    """Puts a challenger beside the site's champion."""
    fleet = Fleet(site.supply.fleet.champion, Trial(specialist, mode, share))
    site.supply = replace(site.supply, fleet=fleet)


def texts_asked(specialist: Watched) -> set[str]:
    return {text for texts in specialist.asked for text in texts}


def versions(site: Site) -> list[str]:
    return [event["data"]["model"]["version"] for event in site.said("event")]


def test_the_share_is_kept() -> None:
    """Of many ids, about as many as asked for; all, none; a larger share keeps the smaller."""
    ids = [f"{number:032x}" for number in range(2000)]
    chosen = [name for name in ids if sampled(name, 0.3)]
    assert 0.25 < len(chosen) / len(ids) < 0.35
    assert all(sampled(name, 0.5) for name in chosen)
    assert all(sampled(name, 1.0) and not sampled(name, 0.0) for name in ids)


def test_a_canary_answers_its_share(site: Site, challenger: Watched) -> None:
    """Each event names the bundle that answered; the order stays; a reply names it as well."""
    give(site, challenger, "canary", 0.5)
    texts = [f"pump {i}" for i in range(40)]
    ask = site.send("gas", topic="edge/t/request/classify", response_topic="edge/t/reply/a")
    site.run(site.send(*texts), ask)
    assert site.events == texts
    seen = dict(zip(site.events, versions(site), strict=True))
    assert set(seen.values()) == {"1.0.0", "2.0.0"}
    assert texts_asked(challenger) - {"gas"} == {
        text for text, version in seen.items() if version == "2.0.0"
    }
    for event in site.said("event"):
        by_canary = sampled(event["id"], 0.5)
        assert event["data"]["model"]["version"] == ("2.0.0" if by_canary else "1.0.0")
    assert site.said("reply")[0]["result"]["model"]["version"] in {"1.0.0", "2.0.0"}


def test_a_redelivery_meets_the_same_bundle(site: Site, challenger: Watched) -> None:
    """So the copies of an event are equal in that too."""
    give(site, challenger, "canary", 0.5)
    site.broker.answering = False
    site.run(site.send(*(f"pump {i}" for i in range(10))), lambda: None)
    first = texts_asked(challenger)
    challenger.asked = []
    site.broker.answering = True
    site.run()
    assert texts_asked(challenger) == first
    assert 0 < len(first) < 10


def test_what_a_canary_fails_on_the_champion_answers(site: Site, challenger: Watched) -> None:
    """No dead letter for it; it is counted."""
    challenger.failures = {"bad": InferenceFailed("cannot", "try")}
    give(site, challenger, "canary")
    site.run(site.send("pump", "bad one", "tank"), site.wait(61))
    assert site.events == ["pump", "bad one", "tank"]
    assert versions(site) == ["2.0.0", "1.0.0", "2.0.0"]
    assert site.codes == []
    assert health(site)["counters"]["canary_failed"] == 1


@pytest.mark.parametrize("mode", ["canary", "shadow"])
def test_a_challenger_that_crashes_is_left_out(
    site: Site, challenger: Watched, mode: TrialMode
) -> None:
    """One crash is enough; no message is suspected; state and health tell of it."""
    challenger.failures = {"boom": RuntimeError("a bug")}
    give(site, challenger, mode)
    with pytest.raises(RuntimeError, match="a bug"):
        site.run(site.send("pump", "boom", "tank"), lambda: None, lambda: None)
    asked = len(challenger.asked)
    site.run(site.send("boom again"), site.wait(61))
    assert sorted(set(site.events)) == ["boom", "boom again", "pump", "tank"]
    assert versions(site)[-1] == "1.0.0"
    assert site.codes == []
    assert len(challenger.asked) == asked
    assert site.said("state")[-1]["challenger"]["active"] is False
    assert health(site)["challenger"]["active"] is False


def test_a_person_may_give_it_another_chance(site: Site, challenger: Watched) -> None:
    """A reload that is asked for; one that the watch begins does not."""
    challenger.failures = {"boom": RuntimeError("a bug")}
    give(site, challenger, "canary")
    site.supply.loader._load = lambda current: current
    with pytest.raises(RuntimeError, match="a bug"):
        site.run(site.send("boom"))
    challenger.failures = {}

    def reload(reason: str) -> Callable[[], None]:
        def step() -> None:
            site.inbox.put(Reload(reason))
            site.agent._take_signals()
            site.supply.loader.wait(60)

        return step

    site.run(reload("bundle changed"), site.send("pump"), reload("SIGHUP"), site.send("tank"))
    assert dict(zip(site.events, versions(site), strict=True)) == {
        "boom": "1.0.0",
        "pump": "1.0.0",
        "tank": "2.0.0",
    }


def test_a_shadow_only_looks(site: Site, dissenter: Watched) -> None:
    """The champion answers all; health says how far the shadow agrees."""
    give(site, dissenter, "shadow")
    site.run(site.send("pump", "gas", "hall", "pump leaking"), site.wait(61), lambda: None)
    assert site.events == ["pump", "gas", "hall", "pump leaking"]
    assert {e["data"]["model"]["digest"] for e in site.said("event")} == {
        site.supply.fleet.card.digest
    }
    seen = health(site)["shadow"]
    assert (seen["compared"], seen["same_route"], seen["same_entities"]) == (4, 3, 3)
    assert (seen["failed"], seen["dropped"]) == (0, 0)


def test_a_shadow_waits_until_the_events_are_out(site: Site, challenger: Watched) -> None:
    """While the broker owes a PUBACK, or messages wait, it is not asked."""
    give(site, challenger, "shadow")
    site.broker.answering = False

    def not_yet() -> None:
        assert challenger.asked == []
        site.broker.answering = True

    site.run(site.send("pump"), not_yet, site.cut, lambda: None)
    assert challenger.asked == [["pump"]]


@pytest.mark.parametrize(("other", "compared"), [("writers", 2), ("champion", 1)])
def test_the_counts_begin_anew_with_either_bundle(
    site: Site, challenger: Watched, other: str, compared: int
) -> None:
    """And go on when only what writes has changed: the comparison is the same."""
    give(site, challenger, "shadow")
    changes = {"writers": {"stages": {"elsewhere": "new"}}, "champion": {"champion": challenger}}

    def reload() -> None:
        site.agent._work.take_over(replace(site.supply.fleet, **changes[other]))

    site.run(site.send("pump"), reload, site.send("tank"), site.wait(61), lambda: None)
    assert health(site)["shadow"]["compared"] == compared


def test_a_failing_shadow_is_counted(site: Site, challenger: Watched) -> None:
    """Nothing else comes of it."""
    challenger.failures = {"bad": InferenceFailed("cannot", "try")}
    give(site, challenger, "shadow")
    site.run(site.send("bad", "pump"), site.wait(61), lambda: None)
    assert site.events == ["bad", "pump"]
    assert site.codes == []
    seen = health(site)["shadow"]
    assert (seen["compared"], seen["failed"]) == (1, 1)


def test_a_busy_agent_leaves_messages_out_of_the_comparison(
    make_site: MakeSite, challenger: Watched
) -> None:
    """As many as fit wait; the rest is counted."""
    site = make_site(batch={"max_messages": 500})
    give(site, challenger, "shadow")
    texts = [f"pump {i}" for i in range(MAX_WAITING_MESSAGES + 20)]
    site.run(site.send(*texts), site.wait(61), lambda: None)
    seen = health(site)["shadow"]
    assert (seen["compared"], seen["dropped"]) == (MAX_WAITING_MESSAGES, 20)


def test_long_messages_do_not_wait_in_numbers(make_site: MakeSite, challenger: Watched) -> None:
    """Their characters are bounded too."""
    site = make_site()
    give(site, challenger, "shadow")
    site.run(site.send(*["x" * (MAX_WAITING_CHARS // 2)] * 3), site.wait(61), lambda: None)
    assert health(site)["shadow"]["dropped"] == 1


def test_what_was_looked_at_makes_room(site: Site, challenger: Watched) -> None:
    """Long messages one after the other are all compared."""
    give(site, challenger, "shadow")
    turns = [site.send("x" * (MAX_WAITING_CHARS // 2)), lambda: None]
    site.run(*turns * 4, site.wait(61), lambda: None)
    seen = health(site)["shadow"]
    assert (seen["compared"], seen["dropped"]) == (4, 0)


def test_only_the_share_is_looked_at(site: Site, challenger: Watched) -> None:
    """By the same choice as a canary's."""
    give(site, challenger, "shadow", 0.5)
    site.run(site.send(*(f"pump {i}" for i in range(30))), site.wait(61), lambda: None)
    asked = texts_asked(challenger)
    wanted = {e["data"]["text"] for e in site.said("event") if sampled(e["id"], 0.5)}
    assert asked == wanted
    assert 0 < len(asked) < 30


def test_a_champion_on_trial_against_itself_answers_once(site: Site) -> None:
    """The same bundle configured twice."""
    champion: Any = site.supply.fleet.champion
    give(site, champion, "canary", 0.5)
    site.run(site.send("pump", "tank", "gas"))
    assert site.events == ["pump", "tank", "gas"]


def test_a_challenger_that_cannot_be_loaded_is_left_out(
    make_site: MakeSite, tiny: Path, tmp_path: Path
) -> None:
    """The agent starts without it; state and health say why."""
    other = break_bundle(make_version(tiny, tmp_path / "next", "2.0.0"), "digest")
    site = make_site(challenger={"bundle": str(other), "mode": "canary", "share": 1.0})
    site.run(site.send("pump"), site.wait(61))
    assert versions(site) == ["1.0.0"]
    told = site.said("state")[0]["reload"]
    assert (told["outcome"], told["reason"]) == ("failed", "start")
    assert "model.onnx is damaged" in told["problem"]
    assert health(site)["reload"] == told


def test_a_promoted_challenger_is_not_loaded_again(
    make_site: MakeSite, tiny: Path, tmp_path: Path
) -> None:
    """The reload finds it in the Fleet."""
    other = make_version(tiny, tmp_path / "next", "2.0.0")
    current = tmp_path / "current"
    current.symlink_to(tiny)
    trial = {"bundle": str(other), "mode": "canary", "share": 0.5}
    site = make_site(model={"bundle": str(current)}, challenger=trial)
    before = site.supply.fleet
    assert before.trial is not None
    after = next_fleet(site.config, before)
    assert after == before
    point(current, other)
    promoted = next_fleet(site.config, before)
    assert promoted.champion is before.trial.challenger
    assert promoted.specialists == (promoted.champion,)
