"""Writing with a real broker and a real process: outputs, requests, kills, changed bundles."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_agent.wire.schema import json_schema
from tests.support.site import Site, unique_topic
from tests.support.tiny_generator import WORK_ORDER, tiny_generator
from tests.support.waiting import PATIENCE_S

FAULT = "pump 7 leaking"
FAULTS = 30
LONG = {**WORK_ORDER, "properties": {**WORK_ORDER["properties"],
        "note": {"type": "string", "minLength": 60, "maxLength": 90}}}  # fmt: skip


@pytest.fixture
def writing(make_site: Callable[..., Site], tmp_path: Path) -> Site:
    """An agent, not started, that writes about faults, at length and in small slices."""
    bundle = tiny_generator(tmp_path / "generator", output_schema=LONG, max_output_tokens=120)
    return make_site(
        specialists={"work-order": {"bundle": str(bundle)}},
        routes={"fault": {"specialist": "work-order"}},
        generate={"slice_ms": 2, "max_wait_ms": 60_000},
        reload={"watch_s": 0},
    )


def require_written(event: dict[str, Any], name: str = "tiny-generator") -> None:
    jsonschema.validate(event, json_schema("event"))
    text, output = event["data"]["text"], event["data"]["output"]
    assert output["complete"], output
    assert output["model"]["name"] == name
    jsonschema.validate(output["value"], LONG)
    for extract in output["extracts"]:
        assert text[extract["start"] : extract["end"]] == output["value"]["asset"]


def test_faults_are_written_about_and_alarms_do_not_wait(writing: Site) -> None:
    """Every fault with its output; the alarm sent last is out before the last fault."""
    writing.agent.start()
    faults = [unique_topic() for _ in range(10)]
    writing.agent.process.send_signal(signal.SIGSTOP)  # so that all are with it at one time
    for topic in faults:
        writing.send(topic, FAULT)
    writing.send(unique_topic(), "gas alarm")
    writing.agent.process.send_signal(signal.SIGCONT)
    for topic in faults:
        require_written(writing.results(topic)[0].json)
    routes = [m.topic.rpartition("/")[2] for m in writing.client.received if "/event/" in m.topic]
    assert routes.index("alarm") < len(routes) - 1
    writing.require_well()


def test_a_request(writing: Site) -> None:
    """The reply carries what was written."""
    writing.agent.start()
    reply = writing.request("generate", json.dumps({"text": "valve 7 stuck"}))
    jsonschema.validate(reply["result"], json_schema("written"))
    jsonschema.validate(reply["result"]["output"]["value"], LONG)


def test_killed_while_it_writes(writing: Site) -> None:
    """Whatever was not acknowledged comes back: every fault gets its event, with its output."""
    writing.agent.start()
    texts = {f"pump {i} leaking" for i in range(FAULTS)}
    for text in sorted(texts):
        writing.client.publish(unique_topic(), text)
    for _ in range(3):
        before = events(writing)
        writing.client.wait(
            lambda before=before: len(events(writing)) > len(before) or done(writing, texts),
            PATIENCE_S,
            "one event more",
        )
        writing.agent.kill()
        writing.agent.start()
    writing.client.wait(lambda: done(writing, texts), 300, "all events")
    ids: dict[str, str] = {}
    for event in events(writing):
        require_written(event)
        assert ids.setdefault(event["id"], event["data"]["text"]) == event["data"]["text"]
    assert len(ids) == FAULTS
    writing.require_well()


def events(site: Site) -> list[dict[str, Any]]:
    return [m.json for m in site.client.received if "/event/fault" in m.topic]


def done(site: Site, texts: set[str]) -> bool:
    return {event["data"]["text"] for event in events(site)} == texts


def test_a_changed_bundle_that_writes_is_taken_up(writing: Site, tmp_path: Path) -> None:
    """At SIGHUP, without a restart; a broken one leaves the old one at work."""
    writing.agent.start()
    require_written(writing.outcome(unique_topic(), FAULT).json)
    replace_bundle(tmp_path, "another")
    require_reload(writing, "changed")
    require_written(writing.outcome(unique_topic(), FAULT).json, "another")
    replace_bundle(tmp_path, "broken", weights=b"")
    require_reload(writing, "failed")
    require_written(writing.outcome(unique_topic(), FAULT).json, "another")


def replace_bundle(folder: Path, name: str, weights: bytes | None = None) -> None:
    """Another folder in its place: what is mapped by a process must not be written over."""
    fresh = tiny_generator(folder / "fresh", seed=1, output_schema=LONG, max_output_tokens=120)
    manifest = json.loads((fresh / "bundle.json").read_text())
    (fresh / "bundle.json").write_text(json.dumps({**manifest, "name": name}))
    if weights is not None:
        (fresh / "weights.bin").write_bytes(weights)
    shutil.rmtree(folder / "generator")
    fresh.rename(folder / "generator")


def require_reload(site: Site, outcome: str) -> None:
    before = site.client.count
    os.kill(site.agent.pid, signal.SIGHUP)

    def told() -> bool:
        states = [m.json for m in site.client.since(before) if m.topic.endswith("/state")]
        return any(state.get("reload", {}).get("outcome") == outcome for state in states)

    site.client.wait(told, PATIENCE_S, f"a reload that ends {outcome}")
