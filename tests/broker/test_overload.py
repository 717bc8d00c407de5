"""More than the agent can take: bounded in memory, counted, and at QoS 1 nothing lost."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker import wait_for_log
from tests.support.mqtt_client import Received
from tests.support.site import Site, unique_topic
from tests.support.waiting import wait_until

Make = Callable[..., Site]
FLOOD = 20_000
QUEUE = 200
GROWTH_MIB = 60.0
LONG_S = 300.0
"""For thousands of messages on a machine that has much else to do."""


def flood(site: Site, topic: str, payload: str, count: int) -> None:
    """Publishes at QoS 0 as fast as the broker takes it; payloads are numbered."""
    lines = "".join(f"{payload} {number}\n" for number in range(count))
    command = ["mosquitto_pub", "-p", str(site.broker.port), "-V", "5", "-t", topic, "-l"]
    subprocess.run([*command, "-i", "flood"], input=lines.encode(), check=True, timeout=LONG_S)
    wait_for_log(site.broker, "Client flood disconnected", LONG_S)


def settled(site: Site, topic: str, last: str) -> list[Any]:
    """What was said of the flood, when its last message has been worked on."""

    def is_last(message: Received) -> bool:
        event = message.json if "/event/" in message.topic else None
        return bool(event and event["subject"] == topic and event["data"]["text"] == last)

    site.client.wait_for(is_last, LONG_S, f"an event about {last!r}")
    events = [m.json for m in site.client.received if "/event/" in m.topic]
    return [e["data"]["text"] for e in events if e["subject"] == topic]


def test_a_flood_at_qos_0_is_bounded(make_site: Make) -> None:
    """The oldest give way to the newest, the loss is counted, memory stays."""
    site = make_site(
        broker={"extra": "max_queued_messages 0"}, limits={"max_lossy_messages": QUEUE}
    )
    site.agent.start()
    site.require_well()
    before_mib = site.agent.rss_mib
    topic = unique_topic()
    flood(site, topic, "pump 7 is leaking", FLOOD)
    texts = settled(site, topic, f"pump 7 is leaking {FLOOD - 1}")
    dropped = site.counter("dropped_qos0")
    assert dropped > 0
    assert len(texts) + dropped == FLOOD
    numbers = [int(text.split()[-1]) for text in texts]
    assert numbers == sorted(numbers)
    assert site.agent.rss_mib - before_mib < GROWTH_MIB
    site.require_well()


def rejected_or_dropped(site: Site) -> int:
    counters = site.health()["counters"]
    return sum(counters.get(name, 0) for name in ("rejected_undecodable", "dropped_qos0"))


def test_a_flood_of_rejected_messages_is_bounded(make_site: Make) -> None:
    """Dead letters are results too: they do not pile up without limit, nor starve the loop."""
    site = make_site(
        broker={"extra": "max_queued_messages 0"},
        source=[{"filter": "site/flood", "format": "json"}, {"filter": "site/+"}],
        limits={"max_lossy_messages": QUEUE},
    )
    site.agent.start()
    site.require_well()
    before_mib = site.agent.rss_mib
    flood(site, "site/flood", "{", FLOOD)
    assert site.health()["outbox"] < 1000
    site.require_well()
    wait_until(lambda: rejected_or_dropped(site) >= FLOOD, what="the end of the flood")
    assert rejected_or_dropped(site) == FLOOD
    assert site.agent.rss_mib - before_mib < GROWTH_MIB


def test_big_messages_at_qos_0_are_bounded_in_bytes(make_site: Make) -> None:
    """A queue of 1000 messages must not mean 1000 times the greatest payload."""
    site = make_site(
        broker={"extra": "max_queued_messages 0"}, limits={"max_unacked_bytes": 4 << 20}
    )
    site.agent.start()
    site.require_well()
    before_mib, payload = site.agent.rss_mib, "pump " + "x" * 250_000
    topic = unique_topic()
    site.agent.process.send_signal(19)  # SIGSTOP: the broker's and the kernel's buffers fill
    for _ in range(600):
        site.client.send(topic, payload, qos=0)
    site.agent.process.send_signal(18)
    site.require_well()
    assert site.agent.rss_mib - before_mib < GROWTH_MIB


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_more_unacknowledged_bytes_than_permitted(make_site: Make, protocol: str) -> None:
    """The window holds more bytes than we may hold: they come in portions, and all come."""
    site = make_site(limits={"max_unacked_bytes": 400_000}, mqtt={"protocol": protocol})
    site.agent.start()
    assert site.agent.stop() == 0
    topics = [unique_topic() for _ in range(12)]
    for number, topic in enumerate(topics):
        site.send(topic, f"pump {number} " + "x" * 100_000)
    site.agent.start()
    for topic in topics:
        site.results(topic)
    first_seen = dict.fromkeys(
        m.json["subject"] for m in site.client.received if "/event/" in m.topic
    )
    assert list(first_seen) == topics
    assert "bytes we could not yet acknowledge" in site.agent.stderr
    site.require_well()


def test_a_message_greater_than_the_whole_permission(make_site: Make) -> None:
    """On 3.1.1 no broker can be told a limit: one such message must not block the rest."""
    site = make_site(limits={"max_unacked_bytes": 50_000}, mqtt={"protocol": "3.1.1"})
    site.agent.start()
    assert site.event(unique_topic(), "pump 7 " + "x" * 100_000)["truncated"]
    site.require_well()


def test_the_announced_window_is_kept(make_site: Make) -> None:
    """Of a queue, the broker has so many deliveries with us at one time, and hardly ever more.

    Mosquitto 2.0.11 now and then sends a burst beyond Receive Maximum; 2.0.13 does not.
    """
    window = 4
    site = make_site(mqtt={"receive_maximum": window}, batch={"max_wait_ms": 200})
    site.agent.start()
    assert site.agent.stop() == 0
    topics = [unique_topic() for _ in range(24)]
    for topic in topics:
        site.send(topic, "pump 7 is leaking")
    site.agent.start()
    depths = []
    while len([m for m in site.client.received if "/event/" in m.topic]) < len(topics):
        depths.append(site.health()["ledger"])
    depths = [depth for depth in depths if depth]
    assert depths
    assert sorted(depths)[len(depths) // 2] <= window
    for topic in topics:
        site.results(topic)


def test_many_queued_messages(make_site: Make, tmp_path: Path) -> None:
    """A long queue at the broker passes through in order, without growing the agent."""
    site = make_site()
    site.agent.start()
    site.require_well()
    assert site.agent.stop() == 0
    count, topic = 3000, unique_topic()
    lines = "".join(f"pump 7 leaking {number}\n" for number in range(count))
    command = ["mosquitto_pub", "-p", str(site.broker.port), "-q", "1", "-t", topic, "-l"]
    subprocess.run(command, input=lines.encode(), check=True, timeout=LONG_S)
    site.agent.start()
    wait_until(lambda: site.counter("events") > 0, what="the first event")
    before_mib = site.agent.rss_mib
    results = site.results(topic, count, LONG_S)
    numbers = [int(r.json["data"]["text"].split()[-1]) for r in results]
    assert list(dict.fromkeys(numbers)) == list(range(count))
    assert site.agent.rss_mib - before_mib < GROWTH_MIB
    site.require_well()
