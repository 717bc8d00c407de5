"""All that is published is valid by its schema, and events are CloudEvents."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from cloudevents.core.formats.json import JSONFormat
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.errors import ExpiredMessage, ReplyTopicRefused, UndecodableMessage
from edge_agent.types import Answer, Operation, Prediction, Publication, Reply, Timing
from edge_agent.wire.inbound import Rejection
from edge_agent.wire.outbound import CLOUDEVENT, JSON, Writer, iso_time, state_data, to_json
from edge_agent.wire.schema import DOCUMENTS, json_schema
from tests.unit.samples import ANSWER, CARD, DELIVERY, delivery, message

WRITER = Writer("edge/t")
ERROR = UndecodableMessage("the payload is empty", "send text")
REPLY = Reply("edge/t/reply/me", b"c", "q")


def body(publication: Publication, schema: str) -> dict[str, Any]:
    """The payload, which must be valid by that schema and no other JSON than the standard's."""

    def never(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    document: dict[str, Any] = json.loads(publication.payload, parse_constant=never)
    jsonschema.validate(document, json_schema(schema), cls=jsonschema.Draft202012Validator)
    return document


@pytest.mark.parametrize("name", DOCUMENTS)
def test_schemas_are_schemas(name: str) -> None:
    """By the rules of 2020-12."""
    jsonschema.Draft202012Validator.check_schema(json_schema(name))


def test_an_event_is_a_cloudevent_for_the_official_sdk() -> None:
    """Its attributes are read as meant, and its data is JSON."""
    publication = WRITER.event(message(), ANSWER, Timing(1.234, 5.678))
    event = JSONFormat().read(None, publication.payload)
    assert event.get_id() == "0" * 32
    assert event.get_source() == "edge/t"
    assert event.get_type() == "edge-agent.event.v1"
    assert event.get_subject() == "site/a"
    assert event.get_time().isoformat() == "2023-11-14T22:13:20+00:00"
    assert event.get_datacontenttype() == "application/json"
    assert event.get_data()["latency_ms"] == {"queue": 1.23, "model": 5.68}


def test_an_event_says_what_was_found_and_where() -> None:
    """Topic by route; values only where there are any; the input's digest."""
    publication = WRITER.event(message(), ANSWER, Timing())
    assert (publication.topic, publication.content_type) == ("edge/t/event/fault", CLOUDEVENT)
    assert not publication.retain
    data = body(publication, "event")["data"]
    assert data["text"] == "the pump 7 is leaking"
    assert data["route"]["alternatives"] == [{"label": "alarm", "confidence": 0.15}]
    asset, time = data["entities"]
    assert "value" not in asset
    assert time["value"] == {"iso": "T06:40"}
    assert data["input"] == {
        "topic": "site/a",
        "index": 0,
        "received_at": "2023-11-14T22:13:20.000Z",
        "sha256": hashlib.sha256(DELIVERY.payload).hexdigest(),
    }
    assert data["model"] == {"name": "tiny", "version": "1.0.0", "digest": "d" * 64}


def test_an_event_without_routes() -> None:
    """A bundle of labels only."""
    publication = WRITER.event(
        message(), Answer(Prediction(None, (), truncated=True), CARD), Timing()
    )
    data = body(publication, "event")["data"]
    assert publication.topic == "edge/t/event/none"
    assert data["route"] is None
    assert data["truncated"] is True


def test_digest_mode_lets_no_text_out() -> None:
    """Neither the message nor what was found in it; places and labels stay."""
    secret = message("secret pump, secret 06:40")
    publication = replace(WRITER, text="digest").event(secret, ANSWER, Timing())
    data = body(publication, "event")["data"]
    assert "text" not in data
    assert b"pump" not in publication.payload
    assert b"06:40" not in publication.payload
    assert [(e["label"], e["start"], e["text"]) for e in data["entities"]] == [
        ("asset", 4, ""),
        ("time", 20, ""),
    ]


def test_a_dead_letter() -> None:
    """Why, what to do, and which input; the payload only when configured."""
    rejected = Rejection(delivery(b"\xff"), ERROR, "1" * 32, index=2)
    publication = WRITER.rejection(rejected)
    letter = body(publication, "dead-letter")
    assert (publication.topic, publication.content_type) == ("edge/t/error", JSON)
    assert letter["code"] == "undecodable"
    assert (letter["stage"], letter["retryable"]) == ("parse", False)
    assert (letter["problem"], letter["fix"]) == ("the payload is empty", "send text")
    assert letter["input"]["index"] == 2
    assert "payload_base64" not in letter
    with_payload = body(
        replace(WRITER, dead_letter_payload=True).rejection(rejected), "dead-letter"
    )
    assert base64.b64decode(with_payload["payload_base64"]) == b"\xff"


def test_an_expired_message_may_be_sent_again() -> None:
    """The one rejection that time may mend."""
    rejected = Rejection(DELIVERY, ExpiredMessage("late", "hurry"), "1" * 32)
    letter = body(WRITER.rejection(rejected), "dead-letter")
    assert (letter["code"], letter["stage"], letter["retryable"]) == ("expired", "queue", True)


def test_a_refused_request_is_answered() -> None:
    """To the asker, with the asker's marks."""
    rejected = Rejection(
        delivery("x", topic="edge/t/request/extract"), ERROR, "1" * 32, reply=REPLY
    )
    publication = WRITER.rejection(rejected)
    reply = body(publication, "reply")
    assert (publication.topic, publication.correlation_data) == (REPLY.topic, b"c")
    assert (reply["id"], reply["operation"], reply["ok"]) == ("q", "extract", False)
    assert reply["error"]["code"] == "undecodable"


def test_a_request_that_cannot_be_answered_is_a_dead_letter() -> None:
    """Nobody to answer to."""
    error = ReplyTopicRefused("missing", "set it")
    publication = WRITER.rejection(Rejection(DELIVERY, error, "1" * 32))
    assert body(publication, "dead-letter")["stage"] == "request"


@pytest.mark.parametrize(
    ("operation", "there", "absent"),
    [(Operation.CLASSIFY, "route", "entities"), (Operation.EXTRACT, "entities", "route")],
)
def test_an_answer_holds_what_was_asked_for(operation: Operation, there: str, absent: str) -> None:
    """The route alone, or the entities alone."""
    asked = message(operation=operation, reply=REPLY)
    publication = WRITER.answer_prediction(asked, ANSWER)
    reply = body(publication, "reply")
    assert (publication.topic, publication.correlation_data) == (REPLY.topic, b"c")
    assert reply["ok"] is True
    assert there in reply["result"]
    assert absent not in reply["result"]


def test_only_requests_are_answered() -> None:
    """Anything else is a bug."""
    with pytest.raises(ValueError, match="no request"):
        WRITER.answer(message(), {})


@pytest.mark.parametrize(
    "state",
    [state_data("offline"), state_data("online", CARD, 0.0), state_data("stopped", CARD, 0.0)],
)
def test_state_is_retained(state: Any) -> None:
    """The last will has no time: it is written beforehand."""
    publication = WRITER.state(state)
    document = body(publication, "state")
    assert (publication.topic, publication.retain) == ("edge/t/state", True)
    assert ("time" in document) == (state["state"] != "offline")


def test_health_is_retained_and_valid() -> None:
    """A document with all keys passes, one that lacks any does not."""
    health: dict[str, Any] = {
        "time": iso_time(0),
        "version": "0",
        "uptime_s": 1.5,
        "model": {"name": "a", "version": "1", "digest": "d"},
        "protocol": "5",
        "ledger": 0,
        "waiting": 0,
        "outbox": 0,
        "counters": {"received": 1},
        "routes": {"fault": 1},
        "latency_ms": {"model_p50": 0.5},
    }
    publication = WRITER.health(health)
    assert body(publication, "health") == health
    assert (publication.topic, publication.retain) == ("edge/t/health", True)
    for key in health:
        with pytest.raises(jsonschema.ValidationError):
            body(WRITER.health({k: v for k, v in health.items() if k != key}), "health")


def test_times_are_utc_with_milliseconds() -> None:
    """RFC 3339, with Z."""
    assert iso_time(0.0625) == "1970-01-01T00:00:00.062Z"
    assert iso_time(1_700_000_000) == "2023-11-14T22:13:20.000Z"


@given(st.text() | st.characters(categories=["Cs"]).map("x{}".format))
def test_any_text_goes_through_json_unchanged(text: str) -> None:
    """Half surrogates too, escaped; everything else as plain UTF-8."""
    raw = to_json({"text": text})
    assert json.loads(raw) == {"text": text}
    raw.decode()


def test_json_is_compact_and_plain() -> None:
    """No blanks, no escapes where none are needed."""
    assert to_json({"a": ["ü", 1]}) == '{"a":["ü",1]}'.encode()
