"""The program: what is acknowledged when, and what becomes of each message."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from edge_agent.errors import BrokerRefused, BrokerUnavailable, ConfigError, InferenceFailed
from edge_agent.specialists import EncoderSpecialist
from edge_agent.transport.base import Crashed
from edge_agent.transport.loopback import LoopbackBroker
from edge_agent.types import Prediction, Publication
from edge_agent.wire.schema import json_schema
from tests.support.agent_process import NotifySocket
from tests.support.waiting import wait_until
from tests.unit.site import Site

MakeSite = Callable[..., Site]
NOT_AUTHORIZED, QUOTA_EXCEEDED = 0x87, 0x97


class Watched(EncoderSpecialist):
    """A specialist that notes what it is asked, and fails on some words as told."""

    def __init__(self, inner: EncoderSpecialist, **failures: Exception) -> None:
        self.__dict__.update(vars(inner))
        self.asked: list[list[str]] = []
        self.failures = failures

    def predict(self, texts: list[str]) -> list[Prediction]:
        self.asked.append(texts)
        for word, error in self.failures.items():
            if any(word in text for text in texts):
                raise error
        return super().predict(texts)


class Witness(LoopbackBroker):
    """Notes how many deliveries had been acknowledged at each event."""

    def judge(self, publication: Publication) -> tuple[int, str]:
        if "/event/" in publication.topic:
            self.__dict__.setdefault("acked_before", []).append(len(self.acked))
        return super().judge(publication)


def watched(site: Site, **failures: Exception) -> Watched:
    site.specialist = specialist = Watched(site.specialist, **failures)
    return specialist


def health(site: Site) -> dict[str, Any]:
    """The latest."""
    return site.said("health")[-1]


# the straight path


def test_a_message_becomes_an_event_and_is_then_acknowledged(site: Site) -> None:
    """The event says what the model found, and the ack is for that delivery."""
    site.run(site.send("pump 7 leaking today"))
    (event,) = site.said("event/fault")
    jsonschema.validate(event, json_schema("event"))
    assert [e["text"] for e in event["data"]["entities"]] == ["pump 7", "leaking", "today"]
    assert site.acked == ["pump 7 leaking today"]


def test_no_ack_before_the_puback_of_the_event(site: Site) -> None:
    """However long the broker takes."""
    site.broker.answering = False

    def still_owed() -> None:
        assert site.acked == []
        site.broker.answering = True

    site.run(site.send("pump", "tank"), still_owed, site.cut)
    assert site.events == ["pump", "tank"]
    assert site.acked == ["pump", "tank"]


def test_events_and_acks_keep_the_order(make_site: MakeSite) -> None:
    """Over batches and small windows on both sides."""
    site = make_site(batch={"max_messages": 3})
    site.broker.window, site.broker.receive_maximum = 4, 2
    texts = [f"pump {i}" for i in range(20)]
    site.run(site.send(*texts))
    assert site.events == texts
    assert site.acked == texts


def test_several_messages_of_one_payload_are_one_ack(make_site: MakeSite) -> None:
    """After the last of their events, whatever batches they went through."""
    site = make_site(batch={"max_messages": 2})
    site.broker = Witness(now_s=lambda: site.now_s)
    site.run(site.send('["pump", "tank", "hall", "", "gas"]', "valve"))
    assert site.events == ["pump", "tank", "hall", "gas", "valve"]
    assert vars(site.broker)["acked_before"][:4] == [0, 0, 0, 0]
    assert len(site.acked) == 2
    assert [e["data"]["input"]["index"] for e in site.said("event")] == [0, 1, 2, 4, 0]
    assert [letter["input"]["index"] for letter in site.said("error")] == [3]


@pytest.mark.parametrize("bad", [b"\xff", b"", b'{"a": ', b"[]", b"x" * 300_000])
def test_a_bad_message_is_a_dead_letter_and_acknowledged(site: Site, bad: bytes) -> None:
    """Its neighbours become events."""
    site.run(site.send("pump", bad, "tank"))
    assert site.events == ["pump", "tank"]
    assert len(site.codes) == 1
    assert len(site.acked) == 3
    for letter in site.said("error"):
        jsonschema.validate(letter, json_schema("dead-letter"))


def test_retained_messages_are_ignored(make_site: MakeSite) -> None:
    """And acknowledged; unless their source wants them."""
    site = make_site(
        source=[{"filter": "site/#"}, {"filter": "kept/#", "retained": True}],
    )
    site.run(site.send("pump", retain=True), site.send("tank", topic="kept/a", retain=True))
    assert site.events == ["tank"]
    assert site.acked == ["pump", "tank"]


def test_the_first_filter_that_fits_counts(make_site: MakeSite) -> None:
    """Each source reads its payloads its own way."""
    site = make_site(
        source=[{"filter": "site/json", "field": "/m"}, {"filter": "site/#", "format": "text"}]
    )
    site.run(site.send('{"m": "pump"}', topic="site/json"), site.send('{"m": "tank"}'))
    assert site.events == ["pump", '{"m": "tank"}']


# time


def test_an_expired_message_is_a_dead_letter(make_site: MakeSite) -> None:
    """Its own expiry, counted from when it came, passed while it waited for its batch."""
    site = make_site(batch={"max_wait_ms": 3000})
    site.run(site.send("pump", expiry_s=1), site.send("tank", expiry_s=60), site.wait(2))
    assert site.events == ["tank"]
    assert site.codes == ["expired"]
    assert site.acked == ["pump", "tank"]


def test_our_own_deadline(make_site: MakeSite) -> None:
    """For messages without expiry too; the model does not see them."""
    site = make_site(batch={"max_wait_ms": 60_000}, limits={"deadline_s": 5})
    specialist = watched(site)
    site.run(site.send("pump"), site.wait(4), site.send("tank"), site.wait(2))
    assert site.codes == ["expired"]
    assert specialist.asked == [["tank"]]


def test_a_batch_waits_for_company_as_configured(make_site: MakeSite) -> None:
    """And no longer."""
    site = make_site(batch={"max_wait_ms": 500})
    specialist = watched(site)
    site.run(site.send("pump"), site.wait(0.3), site.send("tank"), site.wait(0.3))
    assert specialist.asked == [["pump", "tank"]]


def test_no_puback_in_time_reconnects(site: Site) -> None:
    """And everything is sent again; the model does not run again."""
    specialist = watched(site)
    site.broker.answering = False

    def answer() -> None:
        site.broker.answering = True

    site.run(site.send("pump"), site.wait(19), answer, site.wait(2))
    assert site.events == ["pump"]
    assert site.acked == ["pump"]
    assert site.broker.acked[0].epoch == 2
    assert specialist.asked == [["pump"]]


def test_health_is_renewed(make_site: MakeSite) -> None:
    """On time, valid, and with what happened."""
    site = make_site(health={"interval_s": 10})
    site.run(site.send("pump", "leaking"), site.wait(10), site.wait(10))
    assert len(site.said("health")) == 3
    jsonschema.validate(health(site), json_schema("health"))
    assert health(site)["counters"]["events"] == 2
    assert health(site)["routes"] == {"fault": 1, "other": 1}


# crashes and failures


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


# QoS 0


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

    site.run(site.send(*texts), bounded, site.cut)
    assert site.events == texts
    assert site.acked == texts


# sessions


def test_a_redelivery_is_worked_on_once(site: Site) -> None:
    """The entry takes up where it was; the ack goes over the new connection."""
    specialist = watched(site)
    site.broker.answering = False

    def answer() -> None:
        site.broker.answering = True

    site.run(site.send("pump"), site.cut, site.cut, answer, site.cut)
    assert specialist.asked == [["pump"]]
    assert site.events == ["pump"]
    assert site.broker.acked[0].epoch == 4


def test_a_new_session_gets_no_old_acks(site: Site) -> None:
    """Its packet identifiers name other messages; those become events of their own."""
    site.broker.answering = False

    def lose() -> None:
        site.broker.answering = True
        site.broker.lose_session()
        site.cut()

    site.run(site.send("pump"), lose, site.send("tank"))
    assert site.events == ["pump", "tank"]
    assert site.acked == ["tank"]


def test_copies_have_one_id_within_a_session_and_others_in_the_next(site: Site) -> None:
    """The id survives the agent, not the broker's session."""

    def forget_acks() -> None:
        site.broker.acknowledged = lambda _: None  # type: ignore[method-assign]

    site.run(forget_acks, site.send("pump"))
    site.run()
    site.broker.lose_session()
    site.run(site.send("pump"))
    first, copy, other = (event["id"] for event in site.said("event"))
    assert first == copy
    assert first != other


def test_birth_on_every_connect_and_farewell_at_the_end(site: Site) -> None:
    """Before anything else, and after everything else."""
    site.run(site.send("pump"), site.cut)
    states = [state["state"] for state in site.said("state")]
    assert states == ["online", "online", "stopped"]
    first, last = site.broker.published[0], site.broker.published[-1]
    assert (first.topic, first.retain) == ("edge/t/state", True)
    assert json.loads(last.payload)["state"] == "stopped"
    for state in site.said("state"):
        jsonschema.validate(state, json_schema("state"))


def test_filters_no_longer_configured_are_dropped(make_site: MakeSite) -> None:
    """On a resumed session, which still has them."""
    site = make_site(source=[{"filter": "site/#"}, {"filter": "old/#"}])
    site.run()
    later = make_site(source=[{"filter": "site/#"}])
    later.broker = site.broker
    site.broker.now_s = lambda: later.now_s
    later.run()
    assert site.broker.filters == {"site/#", "edge/t/request/+"}


def test_a_refused_subscription_is_a_persons_to_mend(site: Site) -> None:
    """The filter is named."""
    site.broker.refused_filters = {"site/#": "Not authorized"}
    with pytest.raises(BrokerRefused, match="site/#: Not authorized"):
        site.run()


def test_a_refused_connection_is_a_persons_to_mend(site: Site) -> None:
    """Credentials, for instance."""
    site.broker.refused_connects.append(ConfigError("no password", "write one"))
    with pytest.raises(ConfigError, match="no password"):
        site.run()


def test_an_absent_broker_is_waited_for(site: Site) -> None:
    """With READY said after the first try, once; and the watchdog is fed."""
    systemd = NotifySocket()
    site.watchdog_s = 5
    site.broker.refused_connects.extend([BrokerUnavailable("gone", "start it")] * 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOTIFY_SOCKET", systemd.path)
        site.run(site.send("pump"), site.wait(5), site.wait(5))
    wait_until(lambda: "STOPPING=1" in systemd.lines)
    assert site.events == ["pump"]
    assert systemd.lines.count("READY=1") == 1
    assert systemd.lines.count("WATCHDOG=1") >= 3
    assert "STATUS=waiting for the broker" in systemd.lines
    assert "STATUS=subscribed" in systemd.lines
    systemd.close()


# refusals


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


# requests


@pytest.mark.parametrize("operation", ["classify", "extract", "health"])
def test_requests_are_answered(site: Site, operation: str) -> None:
    """On the reply topic, with the asker's marks; then acknowledged; they are no events."""
    site.run(
        site.send(
            "pump 7 leaking",
            topic=f"edge/t/request/{operation}",
            response_topic="edge/t/reply/me",
            correlation_data=b"c",
        )
    )
    (reply,) = (p for p in site.broker.published if p.topic == "edge/t/reply/me")
    document = json.loads(reply.payload)
    jsonschema.validate(document, json_schema("reply"))
    assert reply.correlation_data == b"c"
    assert document["ok"] is True
    keys = {"classify": "route", "extract": "entities", "health": "counters"}
    assert keys[operation] in document["result"]
    assert site.events == []
    assert len(site.acked) == 1


def test_a_request_of_a_3_1_1_client(site: Site) -> None:
    """Id and reply topic inside the payload; at QoS 0 too."""
    asked = {"text": "pump 7", "id": 5, "reply_to": "edge/t/reply/old"}
    site.run(site.send(json.dumps(asked), topic="edge/t/request/extract", qos=0))
    (reply,) = site.said("reply/old")
    assert (reply["id"], reply["operation"], reply["ok"]) == (5, "extract", True)
    assert reply["result"]["entities"][0]["text"] == "pump 7"


def test_a_request_for_an_unknown_operation(site: Site) -> None:
    """An error reply; without a permitted reply topic, a dead letter."""
    for topic in ("edge/t/reply/me", "site/elsewhere"):
        site.run(site.send("x", topic="edge/t/request/fly", response_topic=topic))
    (reply,) = site.said("reply")
    assert reply["error"]["code"] == "unknown-operation"
    assert site.codes == ["reply-topic-refused"]
    assert len(site.acked) == 2


# stopping


def test_a_stop_finishes_what_is_in_hand(make_site: MakeSite) -> None:
    """Without waiting for a batch to fill; then says `stopped`."""
    site = make_site(batch={"max_wait_ms": 60_000, "max_messages": 4})
    before_s = site.now_s
    site.run(site.send(*(f"pump {i}" for i in range(3))), site.stop)
    assert len(site.events) == len(site.acked) == 3
    assert site.said("state")[-1]["state"] == "stopped"
    assert site.now_s - before_s < 1


def test_a_stop_does_not_wait_for_ever(make_site: MakeSite) -> None:
    """At most the configured time, resting meanwhile; the rest is done by the next start."""
    site = make_site(limits={"stop_timeout_s": 7}, health={"interval_s": 2})
    site.broker.answering = False
    site.run(site.send("pump"), site.wait(3), site.stop)
    assert site.now_s == pytest.approx(1000 + 3 + 7, abs=0.01)
    assert site.inbox.turns < 60
    assert site.acked == []
    site.broker.answering = True
    site.run()
    assert site.events == ["pump"]
    assert site.acked == ["pump"]


def test_a_second_stop_is_at_once(site: Site) -> None:
    """Ctrl-C twice."""
    site.broker.answering = False
    site.run(site.send("pump"), site.stop, site.wait(1), site.stop)
    assert site.now_s == 1001


def test_what_arrives_while_stopping_is_left_to_the_broker(site: Site) -> None:
    """Neither worked on nor acknowledged: the next start gets it."""
    site.broker.answering = False
    specialist = watched(site)
    site.run(site.send("pump"), site.stop, site.send("tank"))
    assert specialist.asked == [["pump"]]
    site.broker.answering = True
    site.run()
    assert site.events == ["pump", "tank"]
    assert site.acked == ["pump", "tank"]
