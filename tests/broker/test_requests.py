"""Questions and answers over MQTT, with what version 5 offers and without."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import jsonschema
import pytest

from edge_agent.wire.schema import json_schema
from tests.support.site import NUMBERS, Site, unique_topic
from tests.support.waiting import PATIENCE_S

TEXT = "pump 7 is leaking today"


def answer_to(site: Site, operation: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Asks without Response Topic, as MQTT 3.1.1 must, and gives the reply on ``reply_to``."""
    reply_to = f"edge/t/reply/{next(NUMBERS)}"
    payload = json.dumps({"reply_to": reply_to, **body})
    site.client.publish(f"edge/t/request/{operation}", payload, **more)
    reply: dict[str, Any] = site.client.wait_for_topic(reply_to, PATIENCE_S).json
    return reply


def require_refused(site: Site, payload: bytes | str, code: str, **more: Any) -> None:
    """Nobody can be answered: it ends as a dead letter, told by its payload's digest."""
    before = site.client.count
    site.client.publish("edge/t/request/classify", payload, **more)

    def letters() -> list[Any]:
        return [m.json for m in site.client.since(before) if m.topic == "edge/t/error"]

    site.client.wait(letters, PATIENCE_S, "a dead letter")
    assert [letter["code"] for letter in letters()] == [code]
    replies = [m.topic for m in site.client.since(before) if "/reply" in m.topic]
    assert replies == []
    site.require_well()


def test_classify(site: Site) -> None:
    """The route alone, to the Response Topic, with the asker's Correlation Data."""
    reply = site.request("classify", TEXT)
    jsonschema.validate(reply, json_schema("reply"))
    assert (reply["ok"], reply["operation"], reply["id"]) == (True, "classify", None)
    assert reply["result"]["route"]["label"] == "fault"
    assert "entities" not in reply["result"]


def test_extract(site: Site) -> None:
    """The entities alone."""
    result = site.request("extract", json.dumps({"text": TEXT}))["result"]
    assert [e["text"] for e in result["entities"]] == ["pump 7", "leaking", "today"]
    assert "route" not in result


def test_health(site: Site) -> None:
    """The same document as the retained one, made now."""
    reply = site.request("health")
    jsonschema.validate(reply, json_schema("reply"))
    jsonschema.validate(reply["result"], json_schema("health"))


@pytest.mark.parametrize("operation", ["classify", "extract", "health"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_any_quality_of_service(site: Site, operation: str, qos: int) -> None:
    """A request is answered whatever QoS it came with."""
    assert site.request(operation, TEXT, qos=qos)["ok"]


@pytest.mark.parametrize("mark", ["q-1", 17, "", "\x00ü🚨"])
def test_id_and_reply_to_in_the_payload(site: Site, mark: str | int) -> None:
    """Where MQTT 5 is not to be had, the payload says where and by which mark to answer."""
    reply = answer_to(site, "classify", {"id": mark, "text": TEXT})
    assert reply["id"] == mark
    assert reply["result"]["route"]["label"] == "fault"


def test_a_3_1_1_client(site: Site) -> None:
    """Asked by a client of the old protocol."""
    reply_to = f"edge/t/reply/{next(NUMBERS)}"
    body = json.dumps({"id": "old", "reply_to": reply_to, "text": TEXT})
    command = ["mosquitto_pub", "-p", str(site.broker.port), "-V", "311", "-q", "1"]
    command += ["-t", "edge/t/request/extract", "-m", body]
    subprocess.run(command, check=True, timeout=60)
    reply = site.client.wait_for_topic(reply_to, PATIENCE_S).json
    assert reply["id"] == "old"
    assert reply["result"]["entities"][0]["text"] == "pump 7"


def test_the_response_topic_counts_before_reply_to(site: Site) -> None:
    """Both given: the property of MQTT 5 wins."""
    reply = site.request("classify", json.dumps({"text": TEXT, "reply_to": "edge/t/reply/no"}))
    assert reply["ok"]
    assert not [m for m in site.client.received if m.topic == "edge/t/reply/no"]


ERRORS = {
    "unknown-operation": ("fly", {"text": TEXT}, "unknown-operation"),
    "no-text": ("classify", {}, "undecodable"),
    "blank-text": ("extract", {"text": " \n"}, "undecodable"),
    "text-no-string": ("classify", {"text": 7}, "undecodable"),
    "text-null": ("classify", {"text": None}, "undecodable"),
    "id-no-string": ("classify", {"text": TEXT, "id": [1]}, "undecodable"),
    "text-deep": ("classify", {"text": TEXT, "x": json.loads("[" * 40 + "]" * 40)}, "undecodable"),
}


@pytest.mark.parametrize(("operation", "body", "code"), ERRORS.values(), ids=ERRORS)
def test_the_asker_learns_what_is_wrong(
    site: Site, operation: str, body: dict[str, Any], code: str
) -> None:
    """An error reply with problem and fix, to the Response Topic; the agent is well afterwards."""
    reply = site.request(operation, json.dumps(body))
    jsonschema.validate(reply, json_schema("reply"))
    assert not reply["ok"]
    assert reply["error"]["code"] == code
    assert reply["error"]["problem"]
    assert reply["error"]["fix"]
    site.require_well()


@pytest.mark.parametrize("payload", [b"\xff", b"", b"x" * 262_145, b'{"text": "'])
def test_unreadable_requests_are_answered_too(site: Site, payload: bytes) -> None:
    """The Response Topic is known although the payload is not understood."""
    reply = site.request("classify", payload)
    assert reply["error"]["code"] in {"undecodable", "oversized"}
    site.require_well()


def test_an_unknown_operation_named_in_the_payload(site: Site) -> None:
    """``reply_to`` serves for error replies as well."""
    assert answer_to(site, "fly", {"text": TEXT, "id": 3})["error"]["code"] == "unknown-operation"


OUTSIDE = [
    "edge/t/error",
    "edge/t/reply",
    "edge/t/replying/x",
    "site/line/1",
    "edge/t/reply/#",
    "edge/t/reply/+/x",
    "edge/t/reply/\ud800",
    "edge/t/reply/\x00",
    "edge/t/reply/" + "x" * 70_000,
    "edge/t/reply/" + "/" * 300,
]


@pytest.mark.parametrize("reply_to", OUTSIDE, ids=range(len(OUTSIDE)))
def test_reply_topics_are_fenced_in(site: Site, reply_to: str) -> None:
    """A request cannot make us publish elsewhere, nor to what is no topic; it is a dead letter."""
    payload = json.dumps({"text": TEXT, "reply_to": reply_to})
    require_refused(site, payload, "reply-topic-refused")


def test_a_response_topic_outside(site: Site) -> None:
    """The fence holds for the property of MQTT 5 too."""
    require_refused(site, TEXT, "reply-topic-refused", ResponseTopic="site/line/1")


def test_no_reply_topic(site: Site) -> None:
    """Nobody to answer."""
    require_refused(site, TEXT, "reply-topic-refused")


def test_an_odd_but_legal_reply_topic(site: Site) -> None:
    """Letters of any script, and spaces."""
    reply_to = f"edge/t/reply/Köln/プレス {next(NUMBERS)}"
    payload = json.dumps({"text": TEXT, "reply_to": reply_to})
    site.client.publish("edge/t/request/classify", payload)
    assert site.client.wait_for_topic(reply_to, PATIENCE_S).json["ok"]


def test_a_request_and_a_message_of_the_same_text(site: Site) -> None:
    """A request is no event: nobody is told but the asker."""
    before = site.client.count
    assert site.request("classify", "pump 12 is leaking")["ok"]
    site.event(unique_topic(), "pump 12 is leaking")
    assert len([m for m in site.client.since(before) if "/event/" in m.topic]) == 1
