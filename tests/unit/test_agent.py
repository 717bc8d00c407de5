"""The program: what is acknowledged when, and what becomes of each message."""

from __future__ import annotations

import json
from collections.abc import Callable

import jsonschema
import pytest

from edge_agent.agent import SIGNALS_A_TURN
from edge_agent.transport.base import Asked
from edge_agent.transport.loopback import LoopbackBroker
from edge_agent.types import Publication
from edge_agent.wire.schema import json_schema
from tests.unit.site import Site, health, watched

MakeSite = Callable[..., Site]


class Witness(LoopbackBroker):
    """Notes how many deliveries had been acknowledged at each event."""

    def judge(self, publication: Publication) -> tuple[int, str]:
        if "/event/" in publication.topic:
            self.__dict__.setdefault("acked_before", []).append(len(self.acked))
        return super().judge(publication)


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
    site.run(site.send("pump"), site.wait(4), site.send("tank"), site.wait(2), site.stop)
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


def test_other_threads_may_ask_for_the_numbers(make_site: MakeSite) -> None:
    """They get what health would say now: what is in hand, and for how long."""
    site, told = make_site(batch={"max_wait_ms": 60000}), []

    def ask() -> None:
        site.inbox.put(Asked(told.append))

    site.run(ask, site.send("pump"), site.wait(1), site.wait(3), ask)
    assert told[0]["counters"] == {"dropped_qos0": 0, "connects": 1}
    assert "received" not in told[0]["age_s"]
    assert (told[1]["ledger"], told[1]["waiting"]) == (1, 1)
    assert told[1]["age_s"]["oldest_unacked"] == told[1]["age_s"]["received"] == 4.0
    for numbers in told:
        jsonschema.validate(numbers, json_schema("health"))


def test_health_tells_of_the_answers(make_site: MakeSite) -> None:
    """Unknown words, abstentions, and drift once there are enough messages and a reference."""
    site = make_site(health={"interval_s": 10})
    site.specialist.reference = {"fault": 100, "other": 100}
    site.run(site.send("pump qwertz"), site.wait(10), site.send(*["leaking"] * 300), site.wait(10))
    first, last = site.said("health")[1]["answers"], health(site)["answers"]
    assert (first["unknown_token_rate"], first["abstention_rate"]) == (0.5, 1.0)
    assert "drift_psi" not in first
    assert last["window"] == 301
    assert last["drift_psi"] > 0.25
    assert last["confidence"]["counts"][-1] == 301


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


def test_more_signals_than_one_turn_takes_are_all_handled(make_site: MakeSite) -> None:
    """A signal taken out of the inbox and not handled would be a message never acknowledged."""
    site = make_site()
    site.broker.window = 10_000
    texts = [f"pump {i}" for i in range(3 * SIGNALS_A_TURN)]
    site.run(site.send(*texts))
    assert site.acked == texts
