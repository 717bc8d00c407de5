"""Payloads to messages: what a payload means depends on its source alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.sections import Limits, Source
from edge_agent.types import Delivery, Message
from edge_agent.wire.inbound import Identity, Rejection, parse_event
from edge_agent.wire.json_text import MAX_TEXT_CHARS
from tests.unit.samples import delivery

LIMITS = Limits()
IDENTITY = Identity("session")
AUTO = Source(filter="site/#")


def parse(payload: bytes | str, source: Source = AUTO, **limits: int) -> list[Message | Rejection]:
    return parse_event(delivery(payload), source, Limits(**limits), IDENTITY)


def texts(payload: bytes | str, source: Source = AUTO, **limits: int) -> list[str]:
    """Each message's text, or its rejection's code in angle brackets."""
    parts = parse(payload, source, **limits)
    return [p.text if isinstance(p, Message) else f"<{p.error.code}>" for p in parts]


@pytest.mark.parametrize(
    "raw",
    [
        "pump P-101 is leaking",
        "  kept as it is \n",
        "[12.3] usb 1-1: new device",
        "[ 12.3] usb",
        "{device: 4}",
        "{ device",
        "nul\x00 and bell\x07",
        "42",
        '"quoted"',
        "<a>&amp;",
        "two\nlines",
        "[1, 2, 3]",
        "Ⅷ 🔥 e\u0301",
    ],
)
def test_plain_text_stays_as_it_is(raw: str) -> None:
    """Offsets in the event count in what was sent."""
    assert texts(raw) == [raw]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ('{"temp": 21.5, "unit": "degC"}', ["temp=21.5 unit=degC"]),
        (' { "a" : 1 }', ["a=1"]),
        ('[{"a": 1}, {"a": 2}]', ["a=1", "a=2"]),
        ('["one", "two words"]', ["one", "two words"]),
        ('{"a": 1}\n{"a": 2}\n', ["a=1", "a=2"]),
        ('{"a": 1}\r\n\r\n{"a": 2}\r\n', ["a=1", "a=2"]),
        ('{\n  "a": 1,\n  "b": {\n    "c": 2\n  }\n}', ["a=1 b.c=2"]),
        ('[\n  {"a": 1},\n  {"a": 2}\n]', ["a=1", "a=2"]),
        ('{"a": 1, "a": 2}', ["a=2"]),
        ('{"a": NaN, "b": -Infinity, "c": 1e999}', ["a=NaN b=-Infinity c=Infinity"]),
        (f'{{"a": {"9" * 4000}}}', [f"a={'9' * 4000}"]),
        ('{"m": "a\\u2028b"}', ['m="a\u2028b"']),
    ],
)
def test_json_is_recognised_by_how_it_begins(raw: str, expected: list[str]) -> None:
    """Objects become key=value; arrays and NDJSON are several messages."""
    assert texts(raw) == expected


def test_one_bad_line_of_ndjson_is_rejected_alone() -> None:
    """Each part keeps its own place and id."""
    parts = parse('{"a": 1}\n{"a": \n{"a": 3}')
    assert [type(p).__name__ for p in parts] == ["Message", "Rejection", "Message"]
    assert [p.index for p in parts] == [0, 1, 2]
    assert len({p.id for p in parts}) == 3


def test_only_line_feeds_part_ndjson() -> None:
    """JSON strings may hold other line separators as they are."""
    assert texts('{"m": "x"}\n{"m": "a\u2028b\x85c"}') == ["m=x", 'm="a\u2028b\x85c"']


@pytest.mark.parametrize("bad", ["null", '""', '"  "', "{}"])
def test_an_item_without_text_is_rejected_alone(bad: str) -> None:
    """Empty texts have nothing to say; null is said as null."""
    expected = "null" if bad == "null" else "<undecodable>"
    assert texts(f'[{{"a": 1}}, {bad}]') == ["a=1", expected]


@pytest.mark.parametrize("raw", ["", " ", "\n\t \r\n", "\ufeff", "\ufeff  ", "{}", "[]", "[ ]"])
def test_nothing_to_read(raw: str) -> None:
    """Empty, white space only, a byte order mark only, empty containers."""
    assert texts(raw) == ["<undecodable>"]


def test_a_byte_order_mark_is_no_text() -> None:
    """It says UTF-8 and nothing else."""
    assert texts("\ufeffpump leaking") == ["pump leaking"]
    assert texts('\ufeff{"a": 1}') == ["a=1"]


@pytest.mark.parametrize(
    ("raw", "where"),
    [(b"\xff\xfe", "0xff at 0"), (b"ok \xe4", "0xe4 at 3"), (b"\xed\xa0\x80", "0xed at 0")],
)
def test_invalid_utf_8_is_named_with_its_place(raw: bytes, where: str) -> None:
    """Never guessed."""
    (part,) = parse(raw)
    assert isinstance(part, Rejection)
    assert where in part.error.problem
    assert part.error.code == "undecodable"


def test_the_limit_of_bytes() -> None:
    """Exactly the limit passes; bytes count, not characters."""
    assert texts("x" * 10, max_payload_bytes=10) == ["x" * 10]
    assert texts("x" * 11, max_payload_bytes=10) == ["<oversized>"]
    assert texts("ä" * 6, max_payload_bytes=10) == ["<oversized>"]


def test_the_limit_of_items() -> None:
    """For arrays and NDJSON; above it the whole payload is one rejection."""
    assert len(texts('["a","b"]', max_items=2)) == 2
    assert texts('["a","b","c"]', max_items=2) == ["<oversized>"]
    assert texts('{"a":1}\n{"a":2}\n{"a":3}', max_items=2) == ["<oversized>"]


def test_the_limit_of_depth() -> None:
    """In NDJSON it is one line's own fault."""
    assert texts('{"a": {"b": 1}}', max_depth=1) == ["<undecodable>"]
    assert texts('{"a": 1}\n{"a": {"b": 1}}', max_depth=1) == ["a=1", "<undecodable>"]


@pytest.mark.parametrize("escaped", ["\\ud800", "x\\udfff", "\\ude00\\ud83d"])
def test_half_a_surrogate_pair_is_replaced(escaped: str) -> None:
    """No tokenizer and no UTF-8 can carry it; the rest of the text is read."""
    (text,) = texts(f'{{"m": "{escaped} pump"}}')
    assert "pump" in text
    assert "?" in text
    text.encode()


def test_a_whole_surrogate_pair_is_one_character() -> None:
    """As JSON means it."""
    assert texts('{"m": "\\ud83d\\ude00"}') == ["m=😀"]


def test_a_field_is_taken_out() -> None:
    """By JSON Pointer, as text without quotes; each item that lacks it is rejected."""
    source = Source(filter="site/#", field="/data/msg")
    assert texts('{"data": {"msg": "pump leaks"}}', source) == ["pump leaks"]
    assert texts('[{"data": {"msg": 3}}, {"data": {}}]', source) == ["3", "<undecodable>"]
    assert texts("plain", source) == ["<undecodable>"]
    assert texts('{"data": {"msg": " "}}', source) == ["<undecodable>"]


def test_a_template_builds_the_text() -> None:
    """From each item."""
    source = Source(filter="site/#", template="{who}: {what}")
    assert texts('{"who": "ahu", "what": {"t": 3}}', source) == ["ahu: t=3"]
    assert texts('{"who": "ahu"}', source) == ["<undecodable>"]


def test_format_text_reads_nothing_as_json() -> None:
    """Not even what begins like it."""
    assert texts('{"a": 1}', Source(filter="site/#", format="text")) == ['{"a": 1}']


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("[1, 2]", ["1", "2"]), ('"quoted"', ["quoted"]), ("3", ["3"]), ("pump", ["<undecodable>"])],
)
def test_format_json_reads_everything_as_json(raw: str, expected: list[str]) -> None:
    """Also what would be text under auto."""
    assert texts(raw, Source(filter="site/#", format="json")) == expected


@given(st.binary(max_size=60))
def test_any_bytes_end_in_messages_or_rejections(raw: bytes) -> None:
    """Never in an exception, never in nothing; texts can be sent on."""
    parts = parse(raw)
    assert parts
    assert [p.index for p in parts] == list(range(len(parts)))
    for part in parts:
        if isinstance(part, Message):
            assert part.text.strip()
            part.text.encode()


JSONISH = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSONISH, st.sampled_from([AUTO, Source(filter="a", format="json")]))
def test_any_json_ends_in_messages_or_rejections(value: Any, source: Source) -> None:
    """However it is escaped."""
    assert parse(json.dumps(value), source)
    assert parse(json.dumps(value, indent=1), source)


def test_many_texts_that_multiply_are_bounded_together() -> None:
    """Each is within its own limit; all of them would be a hundred times the payload."""
    item = {"k" * 2000: {f"{n}": 0 for n in range(200)}}
    payload = json.dumps([item] * 50)
    parts = parse(payload)
    read = [part for part in parts if isinstance(part, Message)]
    rest = parts[len(read) :]
    chars = sum(len(part.text) for part in read)
    assert len(parts) == 50
    assert MAX_TEXT_CHARS < chars < 2 * MAX_TEXT_CHARS
    assert [part.error.code for part in rest if isinstance(part, Rejection)] == [
        "oversized" for _ in rest
    ]


def test_long_payloads_of_plain_objects_are_read_whole() -> None:
    """Text that grows no more than usual has no limit but the payload's."""
    limits = Limits(max_payload_bytes=8 << 20, max_items=10_000)
    item = {"machine": {"name": "pump 7", "note": "x" * 2000}}
    parts = parse_event(delivery(json.dumps([item] * 1500)), AUTO, limits, IDENTITY)
    assert all(isinstance(part, Message) for part in parts)


def test_a_redelivery_has_the_same_id() -> None:
    """Whatever connection and time it comes by."""
    again = delivery(epoch=9, dup=True, received_s=5.0, received_at_s=7.0)
    assert IDENTITY.of(delivery(), 3) == IDENTITY.of(again, 3)
    assert len(IDENTITY.of(delivery())) == 32


@pytest.mark.parametrize(
    "other", [delivery(mid=2), delivery(topic="site/b"), delivery("else"), delivery(qos=0)]
)
def test_another_delivery_has_another_id(other: Delivery) -> None:
    """Packet identifier, topic and bytes tell them apart."""
    assert IDENTITY.of(other) != IDENTITY.of(delivery())


def test_another_session_or_place_has_another_id() -> None:
    """Packet identifiers begin anew with each session."""
    assert Identity("other").of(delivery()) != IDENTITY.of(delivery())
    assert IDENTITY.of(delivery(), 1) != IDENTITY.of(delivery(), 0)


def test_parts_of_the_name_cannot_run_into_each_other() -> None:
    """Moving bytes from topic to payload gives another id."""
    one, two = delivery("bc", topic="a"), delivery("c", topic="ab")
    assert IDENTITY.of(one) != IDENTITY.of(two)


def test_qos_0_is_told_by_its_time() -> None:
    """It has no packet identifier, and is never redelivered."""
    one, two = (delivery(qos=0, mid=0, received_at_s=at) for at in (1.0, 2.0))
    assert IDENTITY.of(one) != IDENTITY.of(two)
