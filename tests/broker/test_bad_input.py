"""Bad input: a dead letter that says what to do, or an event all the same; never a stop.

After each the agent is well: see ``Site.require_well``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.site import Site, unique_topic
from tests.support.waiting import PATIENCE_S, wait_until

MAX_PAYLOAD_BYTES = 262_144
MAX_DEPTH = 32


@pytest.fixture(autouse=True)
def _well_afterwards(site: Site) -> Iterator[None]:
    yield
    site.require_well()


@dataclass(frozen=True)
class Bad:
    """A payload, where it goes, and how it ends."""

    payload: bytes | str
    code: str
    says: str
    branch: str = "site"


REJECTED = {
    "invalid-utf-8": Bad(b"pump \xff\xfe leaking", "undecodable", "byte 0xff at 5"),
    "cut-utf-8": Bad("pump 🚨".encode()[:-1], "undecodable", "not UTF-8"),
    "utf-16": Bad("pump".encode("utf-16"), "undecodable", "not UTF-8"),
    "empty": Bad(b"", "undecodable", "empty"),
    "blank": Bad(b" \r\n\t ", "undecodable", "empty"),
    "above-the-size-limit": Bad(b"x" * (MAX_PAYLOAD_BYTES + 1), "oversized", "262145 bytes"),
    "broken-json": Bad('{"message": "pump', "undecodable", "broken"),
    "json-expected": Bad("pump is leaking", "undecodable", "broken", "site/json"),
    "too-deep": Bad('["a",' * 40 + "1" + "]" * 40, "undecodable", "deeper than 32"),
    "far-too-deep": Bad('{"a":' * 40_000, "undecodable", "", "site/json"),
    "deep-brackets": Bad("[" * 200_000, "undecodable", "", "site/json"),
    "lacks-the-field": Bad('{"text": "pump"}', "undecodable", "no field '/message'", "site/field"),
    "field-of-a-string": Bad('"pump"', "undecodable", "no field", "site/field"),
    "lacks-a-template-key": Bad(
        '{"device": {}, "message": "x"}', "undecodable", "no key 'device.name'", "site/template"
    ),
    "empty-field": Bad('{"message": ""}', "undecodable", "empty", "site/field"),
    "empty-array": Bad("[]", "undecodable", "array is empty"),
    "too-many-items": Bad(json.dumps(["pump"] * 1001), "oversized", "1001 messages"),
    "integer-python-refuses": Bad('{"n": ' + "9" * 5000 + "}", "undecodable", ""),
    "text-that-multiplies": Bad(
        json.dumps({"k" * 100_000: {str(i): 1 for i in range(10_000)}}), "oversized", "key=value"
    ),
}

ACCEPTED = {
    "nul": "\x00 pump 7 is \x00 leaking \x00",
    "control-characters": "\x01\x02 \x1b[31m pump 7 \x07 is \x7f leaking \u200b \u202e today",
    "byte-order-marks": "\ufeffpump 7 \ufeff is leaking",
    "combining-marks": "pu\u0308mp e\u0301 pump 7 is leaking",
    "noncharacters": "\uffff\U0010ffff pump 7 is leaking",
    "looks-like-json": "{device 4} pump 7 is leaking",
    "kernel-line": "[12.3] usb 1-1: pump 7 is leaking",
}


@pytest.mark.parametrize("bad", REJECTED.values(), ids=REJECTED)
def test_ends_as_a_dead_letter(site: Site, bad: Bad) -> None:
    """Code, problem and fix are said; the payload is not repeated, its digest is."""
    letter = site.dead_letter(unique_topic(bad.branch), bad.payload)
    assert letter["code"] == bad.code
    assert bad.says in letter["problem"]
    assert letter["fix"]
    assert not letter["retryable"]
    assert "payload_base64" not in letter


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
def test_ends_as_an_event(site: Site, text: str) -> None:
    """Odd characters are worked on; every span points at its text in what was sent."""
    data = site.event(unique_topic(), text)
    assert data["text"] == text.removeprefix("\ufeff")
    assert data["route"]["label"] == "fault"
    found = [(e["label"], e["text"]) for e in data["entities"]]
    assert ("asset", "pump 7") in found
    assert ("symptom", "leaking") in found
    for entity in data["entities"]:
        assert data["text"][entity["start"] : entity["end"]] == entity["text"]


@pytest.mark.parametrize(
    "properties",
    [{"UserProperty": ("unit", "\ufeffC")}, {"ContentType": "\ufefftext/plain"}],
    ids=["user-property", "content-type"],
)
def test_byte_order_mark_in_a_property(site: Site, properties: dict[str, Any]) -> None:
    """The standard permits it: one such message must not end each connection that brings it."""
    before = site.counter("disconnects")
    assert (
        site.event(unique_topic(), "pump 7 is leaking", **properties)["route"]["label"] == "fault"
    )
    assert site.counter("disconnects") == before


def test_text_beyond_the_window(site: Site) -> None:
    """What the window holds is worked on, the rest is left out, and the event says so."""
    text = "pump 7 is leaking " + "and so on " * 100 + "valve"
    data = site.event(unique_topic(), text)
    assert data["truncated"]
    assert data["text"] == text
    assert [e["text"] for e in data["entities"]] == ["pump 7", "leaking"]


def test_one_endless_word(site: Site) -> None:
    """200 KB without a space cost no more than the window."""
    data = site.event(unique_topic(), "x" * 200_000)
    assert data["truncated"]
    assert data["latency_ms"]["model"] < 5000


def test_json_just_within_the_depth(site: Site) -> None:
    """The limit is the limit: as many levels as configured are read."""
    payload = '{"a":' * MAX_DEPTH + '"pump"' + "}" * MAX_DEPTH
    assert site.event(unique_topic(), payload)["text"].endswith("=pump")


def test_array_with_one_bad_item(site: Site) -> None:
    """The others become events, in order; the bad one is named by its index."""
    topic = unique_topic("site/field")
    items: list[Any] = [{"message": "pump 7"}, {"no": 1}, {"message": "pump 12"}]
    site.send(topic, json.dumps(items))
    require_middle_rejected(site, topic)


def test_ndjson_with_one_bad_line(site: Site) -> None:
    """As with an array: one broken line spoils no other."""
    topic = unique_topic()
    site.send(topic, '{"m": "pump 7"}\n{"m": "pump\n{"m": "pump 12"}\n')
    require_middle_rejected(site, topic)


def require_middle_rejected(site: Site, topic: str) -> None:
    results = site.results(topic, 3)
    letters = [r.json for r in results if r.topic.endswith("/error")]
    events = [r.json["data"] for r in results if "/event/" in r.topic]
    assert [letter["input"]["index"] for letter in letters] == [1]
    assert [data["input"]["index"] for data in events] == [0, 2]
    assert [e["text"] for data in events for e in data["entities"]] == ["pump 7", "pump 12"]
    assert len({r.json["id"] for r in results}) == 3


def test_ndjson_may_hold_unicode_line_separators(site: Site) -> None:
    """Only the newline ends a line: U+2028, U+0085 are characters of a JSON text."""
    topic = unique_topic("site/field")
    site.send(topic, '{"message": "pump\u2028 1"}\n{"message": "pump\x85 2"}\n')
    results = site.results(topic, 2)
    assert [r.json["data"]["text"] for r in results] == ["pump\u2028 1", "pump\x85 2"]


def test_array_of_a_thousand(site: Site) -> None:
    """As many messages as permitted: a thousand events, in order, each with its own id."""
    topic = unique_topic()
    site.send(topic, json.dumps([f"pump {i} is leaking" for i in range(1000)]))
    results = site.results(topic, 1000, 60)
    assert [r.json["data"]["input"]["index"] for r in results] == list(range(1000))
    assert len({r.json["id"] for r in results}) == 1000


@pytest.mark.parametrize("payload", [r'{"message": "pump 7 \ud800 x"}', r'["pump 7 \udfff x"]'])
def test_half_of_a_surrogate_pair(site: Site, payload: str) -> None:
    """It cannot be said in UTF-8, so a question mark stands in its place, offsets unmoved."""
    branch = "site/field" if payload.startswith("{") else "site"
    data = site.event(unique_topic(branch), payload)
    assert data["text"] == "pump 7 ? x"


def test_huge_integer(site: Site) -> None:
    """Digits beyond any machine word stay as they were written."""
    digits = "9" * 400
    assert site.event(unique_topic(), f'{{"n": {digits}}}')["text"] == f"n={digits}"


def test_not_a_number(site: Site) -> None:
    """What Python's JSON reads beyond the standard does not come out as broken JSON."""
    text = site.event(unique_topic(), '{"a": NaN, "b": -Infinity, "m": "pump 7"}')["text"]
    assert "pump 7" in text


@pytest.mark.parametrize("level", ["Halle-Ä/プレス/🚨", "with space", "a//b", "%s{}\\"])
def test_topic_with_unusual_characters(site: Site, level: str) -> None:
    """The event names the topic as it was."""
    topic = f"{unique_topic()}/{level}"
    result = site.outcome(topic, "pump 7 is leaking")
    assert result.json["subject"] == topic


def test_sent_at_qos_2(site: Site) -> None:
    """The broker hands it on at QoS 1, once."""
    assert site.event(unique_topic(), "pump 7", qos=2)["entities"][0]["text"] == "pump 7"


def test_retained_while_we_are_connected(site: Site) -> None:
    """Fresh news, though the broker keeps a copy: worked on."""
    topic = unique_topic()
    assert site.event(topic, "pump 7 is leaking", retain=True)["route"]["label"] == "fault"
    site.send(topic, b"", retain=True)
    assert site.results(topic, 2)[1].json["code"] == "undecodable"


def test_none_of_it_comes_again(site: Site) -> None:
    """Every rejected payload is acknowledged: an agent killed afterwards is sent none of them."""
    for bad in REJECTED.values():
        topic = unique_topic(bad.branch)
        site.send(topic, bad.payload)
        site.results(topic)
    wait_until(lambda: site.health()["ledger"] == 0, PATIENCE_S, "an empty ledger")
    site.agent.kill()
    site.agent.start()
    site.event(unique_topic(), "pump 7 is leaking")
    assert site.counter("received") == 2
    assert site.counter("events") == 1
