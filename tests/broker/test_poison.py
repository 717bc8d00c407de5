"""Messages the model cannot stand: named, set aside, and no harm to their neighbours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.site import Site, unique_topic
from tests.support.supervisor import Supervisor
from tests.support.trap_bundle import TRIGGER, trap_bundle

DEADLY = f"pump 7 smells of {TRIGGER}"
INNOCENT = ["pump 7 is leaking", "valve broken", "tank level ok"]


@pytest.fixture
def hanging(make_site: Callable[..., Site], tmp_path: Path) -> Site:
    """An agent whose model never returns from a text with the trigger word."""
    return make_site(bundle=trap_bundle(tmp_path / "hanging", "hang"))


def send_batch(site: Site) -> list[str]:
    """While the agent is away, so that all are one batch: innocent topics, then the deadly one."""
    site.agent.start()
    assert site.agent.stop() == 0
    topics = [unique_topic() for _ in range(len(INNOCENT) + 1)]
    texts = [*INNOCENT[:2], DEADLY, *INNOCENT[2:]]
    for topic, text in zip(topics, texts, strict=True):
        site.send(topic, text)
    deadly = topics.pop(2)
    return [*topics, deadly]


def rejections(site: Site) -> list[str]:
    return [m.json["code"] for m in site.client.received if m.topic.endswith("/error")]


def test_a_message_that_hangs_the_model_is_poison(hanging: Site) -> None:
    """Aborted by the watchdog twice, its third delivery is a dead letter; the others get events."""
    *innocent, deadly = send_batch(hanging)
    supervisor = Supervisor(hanging.agent)
    for _ in range(2):
        supervisor.start()
        supervisor.wait_silent()
        assert rejections(hanging) == []
        supervisor.abort()
    supervisor.start()
    (letter,) = hanging.results(deadly)
    assert (letter.json["code"], letter.json["stage"]) == ("poison", "model")
    for topic in innocent:
        assert "/event/" in hanging.results(topic)[0].topic
    hanging.require_well()
    hanging.send(unique_topic(), DEADLY)
    supervisor.wait_silent()
    assert rejections(hanging) == ["poison"], "the count belongs to a delivery, not to its text"


def test_kill_9_makes_no_poison(hanging: Site, tiny: Path) -> None:
    """Killed twice while in the model, the third delivery is worked on again: nobody's fault."""
    *innocent, deadly = send_batch(hanging)
    supervisor = Supervisor(hanging.agent)
    for _ in range(2):
        supervisor.start()
        supervisor.wait_silent()
        hanging.agent.kill()
    supervisor.start()
    supervisor.wait_silent()
    assert rejections(hanging) == []
    hanging.agent.kill()
    config = hanging.agent.config
    config.write_text(config.read_text().replace(str(tiny.parent / "hanging"), str(tiny)))
    hanging.agent.start()
    for topic in [*innocent, deadly]:
        assert "/event/" in hanging.results(topic)[0].topic


def test_a_message_the_model_raises_on(make_site: Callable[..., Site], tmp_path: Path) -> None:
    """A dead letter for it alone; its batch gets events, and the agent goes on."""
    site = make_site(bundle=trap_bundle(tmp_path / "raising", "raise"))
    *innocent, deadly = send_batch(site)
    site.agent.start()
    (letter,) = site.results(deadly)
    assert (letter.json["code"], letter.json["stage"]) == ("inference-failed", "model")
    assert letter.json["problem"]
    assert letter.json["fix"]
    for topic in innocent:
        assert "/event/" in site.results(topic)[0].topic
    site.require_well()


def test_a_bad_item_of_an_array(make_site: Callable[..., Site], tmp_path: Path) -> None:
    """The item the model raises on is rejected by its index, and the payload is acknowledged."""
    site = make_site(bundle=trap_bundle(tmp_path / "raising", "raise"))
    site.agent.start()
    topic = unique_topic()
    site.send(topic, json.dumps([INNOCENT[0], DEADLY, INNOCENT[1]]))
    results = site.results(topic, 3)
    letters = [m.json for m in results if m.topic.endswith("/error")]
    assert [(x["code"], x["input"]["index"]) for x in letters] == [("inference-failed", 1)]
    site.require_well()


def test_a_request_the_model_raises_on(make_site: Callable[..., Site], tmp_path: Path) -> None:
    """The asker is told."""
    site = make_site(bundle=trap_bundle(tmp_path / "raising", "raise"))
    site.agent.start()
    reply = site.request("classify", DEADLY)
    assert not reply["ok"]
    assert reply["error"]["code"] == "inference-failed"
    site.require_well()
