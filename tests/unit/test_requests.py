"""Requests: MQTT 5 properties, or ``id`` and ``reply_to`` inside the payload."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.config import Config
from edge_agent.sections import Gateway, Specialist
from edge_agent.types import Message, Operation, Reply
from edge_agent.wire.inbound import Identity, Rejection, parse_request
from tests.unit.samples import delivery

PREFIX = "edge/t/reply"
HERE = f"{PREFIX}/me"


def configured(*specialists: str) -> Config:
    """An agent with these specialists that write."""
    return Config.model_construct(
        gateway=Gateway(id="t"),
        specialists={name: Specialist(bundle=Path(name)) for name in specialists},
    )


PLAIN = configured()


def ask(
    payload: Any, operation: str = "classify", config: Config = PLAIN, **changes: Any
) -> Message | Rejection:
    """A request; objects are sent as JSON."""
    raw = payload if isinstance(payload, (str, bytes)) else json.dumps(payload)
    one = delivery(raw, topic=f"edge/t/request/{operation}", **changes)
    return parse_request(one, config, Identity("s"))


def refused(payload: Any, operation: str = "classify", **changes: Any) -> Rejection:
    found = ask(payload, operation, **changes)
    assert isinstance(found, Rejection)
    return found


def accepted(payload: Any, operation: str = "classify", **changes: Any) -> Message:
    found = ask(payload, operation, **changes)
    assert isinstance(found, Message)
    return found


def test_by_mqtt_5_properties() -> None:
    """Plain text, Response Topic, Correlation Data."""
    found = accepted("pump leaking", response_topic=HERE, correlation_data=b"\x00c")
    assert (found.text, found.operation) == ("pump leaking", Operation.CLASSIFY)
    assert found.reply == Reply(HERE, b"\x00c")


def test_by_the_payload() -> None:
    """For clients of MQTT 3.1.1."""
    found = accepted({"text": "pump", "id": 7, "reply_to": HERE}, "extract")
    assert (found.text, found.operation) == ("pump", Operation.EXTRACT)
    assert found.reply == Reply(HERE, None, 7)


def test_the_property_goes_before_the_payload() -> None:
    """Where both name a topic."""
    found = accepted({"text": "x", "reply_to": f"{PREFIX}/b"}, response_topic=HERE)
    assert found.reply is not None
    assert found.reply.topic == HERE


@pytest.mark.parametrize("payload", ["", "{}", '{"id": "h"}'])
@pytest.mark.parametrize("operation", [Operation.HEALTH, Operation.RELOAD])
def test_some_requests_need_no_text(payload: str, operation: Operation) -> None:
    """Not even a payload."""
    assert accepted(payload, operation.value, response_topic=HERE).operation is operation


@pytest.mark.parametrize(
    "topic",
    [
        None,
        "edge/t/reply",
        "edge/t/reply/",
        "edge/t/event/fault",
        "edge/t/replyother/x",
        "site/a",
        f"{PREFIX}/+",
        f"{PREFIX}/#",
        f"{PREFIX}/\x00",
        f"{PREFIX}/\x01",
        f"{PREFIX}/\x85",
        f"{PREFIX}/\ud800",
        f"{PREFIX}/\uffff",
        f"{PREFIX}/{'a/' * 300}",
        f"{PREFIX}/{'x' * 70_000}",
    ],
)
def test_replies_go_below_the_prefix_only(topic: str | None) -> None:
    """A topic no broker takes, which would cost us the connection, is refused like a foreign one.

    The prefix with a slash alone is below it: an empty level.
    """
    if topic == "edge/t/reply/":
        assert accepted({"text": "x", "reply_to": topic}).reply == Reply(topic)
        return
    rejected = refused({"text": "x", "reply_to": topic})
    assert rejected.error.code == "reply-topic-refused"
    assert rejected.reply is None
    assert PREFIX in rejected.error.fix


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ("", "undecodable"),
        (b"\xff", "undecodable"),
        ("{", "undecodable"),
        ({"id": 1}, "undecodable"),
        ({"text": "  "}, "undecodable"),
        ({"text": 3}, "undecodable"),
        ({"text": "x", "id": [1]}, "undecodable"),
        ({"text": "x", "id": True}, "undecodable"),
        ({"text": "x", "id": 1.5}, "undecodable"),
        ("x" * 300_000, "oversized"),
    ],
)
def test_a_bad_request_is_answered_where_the_asker_can_be_reached(payload: Any, code: str) -> None:
    """With the marks by which the asker knows it."""
    rejected = refused(payload, response_topic=HERE, correlation_data=b"c")
    assert rejected.error.code == code
    assert rejected.reply is not None
    assert (rejected.reply.topic, rejected.reply.correlation_data) == (HERE, b"c")


def test_an_unknown_operation_names_the_known_ones() -> None:
    """The request's id goes back with it."""
    rejected = refused({"text": "x", "id": "q"}, "translate", response_topic=HERE)
    assert rejected.error.code == "unknown-operation"
    assert rejected.error.fix == "use one of classify, extract, generate, health, reload"
    assert rejected.reply == Reply(HERE, None, "q")


@pytest.mark.parametrize(
    ("specialists", "named", "found"),
    [
        (["work-order"], None, "work-order"),
        (["work-order"], "work-order", "work-order"),
        (["summary", "work-order"], "summary", "summary"),
    ],
)
def test_who_is_to_write(specialists: list[str], named: str | None, found: str) -> None:
    """The one that is named; the only one need not be."""
    body = {"text": "x"} | ({"specialist": named} if named else {})
    config = configured(*specialists)
    message = ask(body, "generate", config, response_topic=HERE)
    assert isinstance(message, Message)
    assert (message.operation, message.specialist) == (Operation.GENERATE, found)


@pytest.mark.parametrize(
    ("specialists", "named", "code", "fix"),
    [
        ([], None, "unknown-specialist", "set a table [specialists.NAME] with its bundle"),
        ([], "poet", "unknown-specialist", "set a table [specialists.NAME] with its bundle"),
        (["a", "b"], None, "unknown-specialist", "one of a, b"),
        (["a"], "poet", "unknown-specialist", "one of a"),
        (["a"], "", "unknown-specialist", "one of a"),
        (["a"], 3, "undecodable", "as a string"),
    ],
)
def test_nobody_to_write(specialists: list[str], named: Any, code: str, fix: str) -> None:
    """Those there are, are named."""
    body = {"text": "x"} | ({} if named is None else {"specialist": named})
    rejected = ask(body, "generate", configured(*specialists), response_topic=HERE)
    assert isinstance(rejected, Rejection)
    assert rejected.error.code == code
    assert fix in rejected.error.fix


def test_event_is_no_operation_to_ask_for() -> None:
    """It is what sources are for."""
    assert refused("x", "event", response_topic=HERE).error.code == "unknown-operation"


def test_half_a_surrogate_pair_in_a_request_is_replaced() -> None:
    """As in events."""
    assert accepted('{"text": "\\ud800 pump"}', response_topic=HERE).text == "? pump"


@given(st.binary(max_size=40), st.none() | st.just(HERE), st.sampled_from(["classify", "nope"]))
def test_any_bytes_end_in_a_message_or_a_rejection(
    raw: bytes, topic: str | None, operation: str
) -> None:
    """Never in an exception, and never with a reply topic that is not permitted."""
    found = ask(raw, operation, response_topic=topic)
    if isinstance(found, Message):
        assert found.text.strip()
    assert found.reply is None or found.reply.topic == topic
