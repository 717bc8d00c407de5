"""The program in trouble: crashes, failing models, floods, a broker that says no."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from edge_agent.errors import BrokerRefused, InferenceFailed
from edge_agent.systemd import Notifier
from edge_agent.transport.base import Asked, Crashed
from edge_agent.types import Publication
from tests.unit.site import Site, health, watched

MakeSite = Callable[..., Site]
NOT_AUTHORIZED, QUOTA_EXCEEDED = 0x87, 0x97


def test_a_message_that_kills_is_poison_on_its_third_delivery(site: Site) -> None:
    """It sees the model twice; those that were in its batch become events."""
    specialist = watched(site, boom=RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        site.run(site.send("pump", "boom", "tank"))
    with pytest.raises(RuntimeError, match="a bug"):
        site.run()
    assert site.acked == []
    site.run()
    assert site.events == ["pump", "tank"]
    assert site.codes == ["poison"]
    assert site.acked == ["pump", "boom", "tank"]
    assert sum("boom" in texts for texts in specialist.asked) == 2


def test_a_failing_model_run_costs_only_the_message_at_fault(site: Site) -> None:
    """A dead letter for it, events for the others, and the agent goes on."""
    watched(site, bad=InferenceFailed("cannot", "try"))
    site.run(site.send("pump", "bad one", "tank"), site.send("hall"))
    assert site.events == ["pump", "tank", "hall"]
    assert site.codes == ["inference-failed"]
    assert len(site.acked) == 4


def test_a_bug_in_the_network_thread_ends_the_process(site: Site) -> None:
    """It is raised here, for systemd to see."""
    with pytest.raises(ZeroDivisionError):
        site.run(lambda: site.inbox.put(Crashed(ZeroDivisionError())))


def test_qos_0_is_bounded_and_the_newest_win(make_site: MakeSite) -> None:
    """What is dropped is counted in health."""
    site = make_site(limits={"max_lossy_messages": 3})
    site.run(site.send(*(f"pump {i}" for i in range(10)), qos=0), site.wait(61))
    assert site.events == ["pump 7", "pump 8", "pump 9"]
    assert health(site)["counters"]["dropped_qos0"] == 7
    assert site.acked == []


@pytest.mark.parametrize("text", ["pump", ""])
def test_results_of_qos_0_do_not_pile_up(site: Site, text: str) -> None:
    """Events or dead letters: a broker that does not answer stops the work, not the memory."""
    site.broker.answering = False
    site.run(site.send(*[text] * 900, qos=0), lambda: None)
    assert len(site.agent._outbox) <= 64 + 3 * site.config.batch.max_messages + 2


def test_results_of_qos_1_do_not_pile_up(site: Site) -> None:
    """And all of it goes out, in order, when the broker answers again."""
    specialist = watched(site)
    site.broker.answering = False
    texts = [f"pump {i}" for i in range(500)]

    def bounded() -> None:
        assert sum(len(asked) for asked in specialist.asked) < 150
        site.broker.answering = True

    rests = [lambda: None] * 40
    site.run(site.send(*texts), *rests, bounded, site.cut)
    assert site.events == texts
    assert site.acked == texts


def test_a_refused_event_is_a_persons_to_mend_and_nothing_is_lost(site: Site) -> None:
    """Nothing of it is acknowledged; after mending not one message is missing."""
    site.broker.refused_topics = {"edge/t/event/fault": NOT_AUTHORIZED}
    texts = ["tank", "pump leaking", "hall"]
    with pytest.raises(BrokerRefused, match="edge/t/event/fault") as caught:
        site.run(site.send(*texts))
    assert "ACL" in caught.value.fix
    assert "pump leaking" not in site.acked
    assert "hall" not in site.acked
    site.broker.refused_topics = {}
    site.run()
    assert set(site.events) == set(texts)
    assert set(site.acked) == set(texts)


def test_a_quota_is_waited_out(site: Site) -> None:
    """The broker refuses for a while: the connection is made anew, nothing is lost."""
    site.broker.refused_topics = {"edge/t/event/other": QUOTA_EXCEEDED}
    judge = site.broker.judge

    def mend(publication: Publication) -> tuple[int, str]:
        verdict = judge(publication)
        if verdict[0]:
            site.broker.refused_topics = {}
        return verdict

    site.broker.judge = mend  # type: ignore[method-assign]
    site.run(site.send("pump", "tank"))
    assert site.broker.acked[0].epoch == 2
    assert sorted(set(site.events)) == ["pump", "tank"]
    assert site.acked == ["pump", "tank"]


def packet_bytes(publication: Publication) -> int:
    more = publication.correlation_data or b""
    return len(publication.payload) + len(publication.topic.encode()) + len(more)


LARGE = "pump " * 400
LIMIT = 1900


@pytest.mark.parametrize("with_payload", [False, True])
def test_a_result_larger_than_the_broker_takes_is_a_dead_letter(
    make_site: MakeSite, with_payload: bool
) -> None:
    """Which itself always fits: sending it would cost the connection, again and again."""
    site = make_site(output={"dead_letter_payload": with_payload})
    site.broker.max_packet_bytes = LIMIT
    site.run(site.send("tank", LARGE, b"\xff" * 1500))
    assert site.events == ["tank"]
    assert site.codes == ["undecodable", "oversized"]
    assert len(site.acked) == 3
    assert max(packet_bytes(p) for p in site.broker.published) <= LIMIT


def test_bad_items_of_one_payload_carry_it_once(make_site: MakeSite) -> None:
    """A thousand of them would make a small payload a flood, all of it in memory."""
    site = make_site(output={"dead_letter_payload": True})
    payload = json.dumps(["", "pump", "", ""])
    site.run(site.send(payload, b"\xff"))
    letters = site.said("error")
    assert site.events == ["pump"]
    assert [letter.get("payload_base64") for letter in letters] == [
        *(b64encode(payload.encode()).decode(), None, None),
        b64encode(b"\xff").decode(),
    ]
    assert len({letter["input"]["sha256"] for letter in letters[:3]}) == 1


@pytest.mark.parametrize(
    ("changes", "payload", "answered"),
    [
        ({"response_topic": "edge/t/reply/a"}, LARGE, True),
        ({}, json.dumps({"text": "x", "id": "i" * 1800, "reply_to": "edge/t/reply/a"}), False),
        ({"response_topic": "edge/t/reply/a", "correlation_data": b"c" * 1800}, "x", False),
    ],
)
def test_a_reply_larger_than_the_broker_takes(
    site: Site, changes: dict[str, Any], payload: str, answered: bool
) -> None:
    """An error reply; where the asker's own marks are too large, a dead letter."""
    site.broker.max_packet_bytes = LIMIT
    site.run(site.send(payload, topic="edge/t/request/extract", **changes))
    assert [r["error"]["code"] for r in site.said("reply")] == ["oversized"] * answered
    assert site.codes == ["oversized"] * (not answered)
    assert len(site.acked) == 1
    assert max(packet_bytes(p) for p in site.broker.published) <= LIMIT


def test_health_larger_than_the_broker_takes(site: Site) -> None:
    """Who asks for it gets an error reply, and it is not said unasked: else no connection lasts."""
    site.broker.max_packet_bytes = 1000
    ask = site.send(b"", topic="edge/t/request/health", response_topic="edge/t/reply/a")
    site.run(ask, site.wait(61))
    (reply,) = site.said("reply")
    assert reply["error"]["code"] == "oversized"
    assert "digest" not in reply["error"]["fix"]
    assert site.said("health") == []
    assert len(site.acked) == 1
    assert max(packet_bytes(p) for p in site.broker.published) <= 1000


def test_slow_signals_do_not_starve_the_watchdog(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many wait: it is fed between two of them, at most one after it was due."""
    fed: list[float] = []
    monkeypatch.setattr(Notifier, "alive", lambda _: fed.append(site.now_s))
    site.watchdog_s = 5
    slow = Asked(lambda _: site.wait(3)())
    site.run(lambda: [site.inbox.put(slow) for _ in range(20)])
    assert max(after - before for before, after in pairwise(fed)) <= 5 + 2 * 3
