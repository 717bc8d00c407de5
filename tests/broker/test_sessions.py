"""Comings and goings: what waits at the broker, what the agent says of itself, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema

from edge_agent.wire.schema import json_schema
from tests.support.agent_process import write_config
from tests.support.mqtt_client import Received
from tests.support.site import Site, unique_topic
from tests.support.waiting import PATIENCE_S, wait_until

STOP_TIMEOUT_S = 5
Make = Callable[..., Site]


def states(site: Site, since: int = 0) -> list[str]:
    return [m.json["state"] for m in site.client.since(since) if m.topic == "edge/t/state"]


def wait_state(site: Site, state: str, since: int) -> Received:
    """The first such state after this many messages."""

    def found() -> list[Received]:
        fresh = [m for m in site.client.since(since) if m.topic == "edge/t/state"]
        return [m for m in fresh if m.json["state"] == state]

    site.client.wait(found, PATIENCE_S, f"state {state}")
    return found()[0]


def retained(site: Site, topic: str) -> Any:
    """What a newcomer is told."""
    site.client.subscribe(topic)
    found = site.client.wait_for(lambda m: m.topic == topic and m.retain, PATIENCE_S, topic)
    return found.json


def test_messages_sent_while_stopped_are_worked_on(make_site: Make) -> None:
    """The broker keeps them; events come in the order of sending."""
    site = make_site()
    site.agent.start()
    assert site.agent.stop() == 0
    topics = [unique_topic() for _ in range(100)]
    for topic in topics:
        site.send(topic, "pump 7 is leaking")
    site.agent.start()
    for topic in topics:
        site.results(topic)
    subjects = [m.json["subject"] for m in site.client.received if "/event/" in m.topic]
    assert subjects == topics
    site.require_well()


def test_filters_no_longer_configured_are_given_up(make_site: Make) -> None:
    """The session knew them; what it still holds of them is acknowledged, and no more comes."""
    site = make_site(source=[{"filter": "site/#"}, {"filter": "old/#"}])
    site.agent.start()
    assert site.event("old/1", "pump 7")["text"] == "pump 7"
    assert site.agent.stop() == 0
    site.send("old/2", "pump 7")
    old = site.agent.config.read_text()
    site.agent.config.write_text(old.replace('[[source]]\nfilter = "old/#"\n', ""))
    site.agent.start()
    site.require_well()
    assert site.counter("ignored_unknown_topic") == 1
    assert site.client.publish("old/3", "pump 7") == "No matching subscribers"
    site.require_well()
    assert site.counter("ignored_unknown_topic") == 1
    assert site.counter("events") == 2


def test_a_clean_stop(make_site: Make) -> None:
    """``stopped``, retained and last; exit 0 in time; systemd is told; the session is kept."""
    site = make_site(limits={"stop_timeout_s": STOP_TIMEOUT_S})
    site.agent.start()
    site.require_well()
    began_s, since = time.monotonic(), site.client.count
    assert site.agent.stop() == 0
    assert time.monotonic() - began_s < STOP_TIMEOUT_S
    wait_state(site, "stopped", since)
    assert states(site, since) == ["stopped"]
    assert retained(site, "edge/t/state")["state"] == "stopped"
    assert "STOPPING=1" in site.agent.notify.lines
    site.agent.start()
    assert "session=resumed" in site.agent.stderr


def test_a_stop_finishes_what_is_in_hand(make_site: Make) -> None:
    """Messages that wait for a batch are worked on at once rather than left behind."""
    site = make_site(batch={"max_wait_ms": 60_000})
    site.agent.start()
    topic = unique_topic()
    site.send(topic, "pump 7 is leaking")
    wait_until(lambda: site.health()["waiting"] == 1, PATIENCE_S, "the message in hand")
    began_s = time.monotonic()
    assert site.agent.stop() == 0
    assert time.monotonic() - began_s < STOP_TIMEOUT_S
    assert "/event/" in site.results(topic)[0].topic


def test_a_stop_does_not_wait_for_a_dead_broker(make_site: Make) -> None:
    """Its time over, the agent ends all the same; the message comes again and is not lost."""
    site = make_site(limits={"stop_timeout_s": 1}, mqtt={"keepalive_s": 60})
    site.agent.start()
    site.require_well()
    site.broker.pause()
    began_s = time.monotonic()
    assert site.agent.stop() == 0
    assert time.monotonic() - began_s < STOP_TIMEOUT_S
    site.broker.resume()
    site.agent.start()
    site.require_well()


def test_a_stop_without_patience(make_site: Make) -> None:
    """Its time over at once, the agent still says ``stopped``; what was in hand comes again."""
    site = make_site(batch={"max_wait_ms": 60_000}, limits={"stop_timeout_s": 0})
    site.agent.start()
    topic = unique_topic()
    site.send(topic, "pump 7 is leaking")
    wait_until(lambda: site.health()["waiting"] == 1, PATIENCE_S, "the message in hand")
    since = site.client.count
    assert site.agent.stop() == 0
    wait_state(site, "stopped", since)
    config = site.agent.config
    config.write_text(config.read_text().replace("max_wait_ms = 60000", "max_wait_ms = 0"))
    site.agent.start()
    assert "/event/" in site.results(topic)[0].topic


def test_a_second_signal_ends_at_once(make_site: Make) -> None:
    """Whoever asks twice does not want to wait."""
    site = make_site(limits={"stop_timeout_s": 15})
    site.agent.start()
    site.require_well()
    site.broker.pause()
    began_s = time.monotonic()
    site.agent.process.terminate()
    wait_until(lambda: "STOPPING=1" in site.agent.notify.lines, PATIENCE_S, "the first signal")
    site.agent.process.terminate()
    assert site.agent.wait_exit() == 0
    assert time.monotonic() - began_s < 12
    site.broker.resume()


def test_kill_9_is_told_by_the_broker(make_site: Make) -> None:
    """The last will says ``offline``, retained, and fits the schema."""
    site = make_site()
    site.agent.start()
    site.require_well()
    since = site.client.count
    site.agent.kill()
    will = wait_state(site, "offline", since)
    jsonschema.validate(will.json, json_schema("state"))
    assert retained(site, "edge/t/state")["state"] == "offline"
    assert will.properties["ContentType"] == "application/json"


def test_a_birth_on_every_connection(make_site: Make) -> None:
    """A restarted agent and a restarted broker both lead to ``online``, with model and time."""
    site = make_site(mqtt={"max_reconnect_wait_s": 0.5})
    site.agent.start()
    birth = wait_state(site, "online", 0)
    jsonschema.validate(birth.json, json_schema("state"))
    assert birth.json["model"]["name"] == "tiny"
    since = site.client.count
    site.agent.kill()
    site.agent.start()
    wait_state(site, "online", since)
    since = site.client.count
    site.broker.restart()
    wait_state(site, "online", since)


def test_health_is_retained_and_renewed(make_site: Make) -> None:
    """Every interval a document that fits the schema, the first at once."""
    site = make_site(health={"interval_s": 1})
    site.agent.start()

    def documents() -> list[Any]:
        return [m.json for m in site.client.received if m.topic == "edge/t/health"]

    site.client.wait(lambda: len(documents()) >= 3, PATIENCE_S, "three health messages")
    for document in documents():
        jsonschema.validate(document, json_schema("health"))
    uptimes = [document["uptime_s"] for document in documents()]
    assert uptimes == sorted(uptimes)
    assert retained(site, "edge/t/health")["protocol"] == "5"


def test_another_client_id_is_another_session(make_site: Make, tmp_path: Path) -> None:
    """Two gateways on one broker work apart, each under its own prefix."""
    site = make_site(source=[{"filter": "site/a/#"}])
    site.agent.start()
    assert site.event("site/a/1", "pump 7")["model"]["name"] == "tiny"
    bundle = tmp_path / "tiny"
    assert site.agent.stop() == 0
    old = site.agent.config
    write_config(
        old, site.broker.port, bundle, gateway={"id": "u"}, source=[{"filter": "site/b/#"}]
    )
    site.agent.start()
    site.send("site/b/1", "pump 12")
    assert site.results("site/b/1")[0].topic.startswith("edge/u/event/")
    assert site.agent.stderr.count("session=new") == 2
