"""Messages the broker kept: retained ones are old news, expired ones are too late."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.site import Site, unique_topic


def test_retained_messages_are_ignored(make_site: Callable[..., Site]) -> None:
    """What lay retained before we came is acknowledged and counted, and gives no event."""
    site = make_site()
    site.client.publish("site/old", "pump 7 is leaking", retain=True)
    site.agent.start()
    site.require_well()
    assert site.counter("ignored_retained") == 1
    assert site.counter("events") == 1


def test_retained_requests_are_not_answered(make_site: Callable[..., Site]) -> None:
    """A request left at the broker is not answered at our start."""
    site = make_site()
    body = '{"text": "pump 7", "reply_to": "edge/t/reply/old"}'
    site.client.publish("edge/t/request/classify", body, retain=True)
    site.agent.start()
    site.require_well()
    assert site.counter("ignored_retained") == 1
    assert not [m for m in site.client.received if m.topic == "edge/t/reply/old"]


def test_retained_messages_are_read_where_configured(make_site: Callable[..., Site]) -> None:
    """``retained = true`` reads them."""
    site = make_site(source=[{"filter": "site/#", "retained": True}])
    site.client.publish("site/old", "pump 7 is leaking", retain=True)
    site.agent.start()
    (result,) = site.results("site/old")
    assert result.json["data"]["entities"][0]["text"] == "pump 7"


def test_an_expired_message_is_a_dead_letter(make_site: Callable[..., Site]) -> None:
    """Its expiry of two seconds passes while it waits for its batch; its neighbour is worked on."""
    site = make_site(batch={"max_wait_ms": 4000})
    site.agent.start()
    late, patient = unique_topic(), unique_topic()
    site.send(late, "pump 7 is leaking", MessageExpiryInterval=2)
    site.send(patient, "pump 12 is leaking")
    letter = site.results(late)[0].json
    assert (letter["code"], letter["stage"], letter["retryable"]) == ("expired", "queue", True)
    assert "/event/fault" in site.results(patient)[0].topic
    site.require_well()


def test_a_message_past_its_deadline_is_a_dead_letter(make_site: Callable[..., Site]) -> None:
    """``limits.deadline_s`` bounds the wait of messages that name no expiry."""
    site = make_site(batch={"max_wait_ms": 1500}, limits={"deadline_s": 0.5})
    site.agent.start()
    letter = site.dead_letter(unique_topic(), "pump 7 is leaking")
    assert letter["code"] == "expired"
    assert "0.5 s" in letter["problem"]
