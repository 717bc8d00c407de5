"""Events whose route has a specialist that writes, and ``generate`` requests, through the agent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge_agent.errors import BundleError, ConfigError, InferenceFailed
from edge_agent.settings import load_config
from edge_agent.wire.schema import json_schema
from tests.support.agent_process import write_config
from tests.support.tiny_generator import WORK_ORDER, tiny_generator
from tests.unit.site import Site

MakeSite = Callable[..., Site]
ROUTES = {"fault": {"specialist": "work-order"}}
REPLY = "edge/t/reply/me"
FAULT = "pump 7 leaking today"


@pytest.fixture
def writing(make_site: MakeSite, tmp_path: Path) -> MakeSite:
    """A site whose faults are written about. ``task`` changes what is written."""

    def make(task: dict[str, Any] | None = None, **sections: Any) -> Site:
        bundle = tiny_generator(tmp_path / "generator", **(task or {}))
        specialists = {"work-order": {"bundle": str(bundle)}}
        return make_site(**{"specialists": specialists, "routes": ROUTES, **sections})

    return make


def ask(
    site: Site, payload: Any, operation: str = "generate", expiry_s: int | None = None
) -> Callable[[], None]:
    raw = payload if isinstance(payload, str) else json.dumps(payload)
    topic = f"edge/t/request/{operation}"
    return site.send(raw, topic=topic, response_topic=REPLY, expiry_s=expiry_s)


def outputs(site: Site) -> list[dict[str, Any]]:
    return [event["data"]["output"] for event in site.said("event/fault")]


def test_an_event_carries_what_was_written(writing: MakeSite) -> None:
    """Beside route and entities; only those of the configured routes."""
    site = writing()
    site.run(site.send(FAULT, "gas"))
    (event,) = site.said("event/fault")
    jsonschema.validate(event, json_schema("event"))
    output = event["data"]["output"]
    jsonschema.validate(output["value"], WORK_ORDER)
    (extract,) = output["extracts"]
    assert FAULT[extract["start"] : extract["end"]] == output["value"]["asset"]
    assert event["data"]["entities"]
    assert output["model"]["name"] == "tiny-generator"
    (other,) = site.said("event/alarm")
    assert "output" not in other["data"]


def test_the_ack_waits_for_the_output_and_keeps_its_order(writing: MakeSite) -> None:
    """What came behind is published meanwhile, and acknowledged after it."""
    site = writing(generate={"slice_ms": 1}, batch={"max_messages": 1})
    site.run(site.send(FAULT, "gas", "pump leaking"))
    assert site.events.index("gas") < site.events.index("pump leaking")
    assert site.acked == [FAULT, "gas", "pump leaking"]
    assert len(site.events) == 3


def test_several_faults_of_one_payload_are_one_ack(writing: MakeSite) -> None:
    """After the last output."""
    site = writing()
    site.run(site.send('["pump leaking", "gas", "valve broken"]'))
    assert [output["complete"] for output in outputs(site)] == [True, True]
    assert len(site.acked) == 1


def test_a_message_that_waits_too_long_goes_out_without(writing: MakeSite) -> None:
    """Its event says why; nothing is lost."""
    site = writing(generate={"max_wait_ms": 500})
    slow(site, seconds=1.0)
    site.run(site.send(FAULT, "valve broken"))
    assert [output.get("reason") for output in outputs(site)] == ["time-limit", "time-limit"]
    assert all("value" not in output for output in outputs(site))
    assert site.acked == [FAULT, "valve broken"]


def slow(site: Site, seconds: float) -> None:
    """Each run of the model that writes takes so long."""
    model = site.supply.fleet.writers["work-order"]._decoder.model
    feed = model.feed

    def slowly(tokens: Any) -> Any:
        site.now_s += seconds
        return feed(tokens)

    model.feed = slowly  # type: ignore[method-assign]


def test_batches_run_between_slices(writing: MakeSite) -> None:
    """A message that needs no output is answered while another is being written about."""
    site = writing(generate={"slice_ms": 1})
    slow(site, seconds=0.01)
    site.run(site.send(FAULT), site.send("gas"))
    assert site.events == ["gas", FAULT] or site.events == [FAULT, "gas"]
    began = [event["data"]["latency_ms"]["queue"] for event in site.said("event/alarm")]
    assert began[0] < 50


def test_what_is_being_written_does_not_hold_up_qos_0(writing: MakeSite) -> None:
    """The room of the next batch is for messages that wait for their route."""
    site = writing(generate={"slice_ms": 1}, batch={"max_messages": 1})
    slow(site, seconds=0.01)
    site.run(lambda: (site.send(FAULT)(), site.send("gas", qos=0)()))
    assert site.events == ["gas", FAULT]


def test_too_many_wait(writing: MakeSite) -> None:
    """The newest go out without, at once."""
    site = writing(generate={"max_waiting_messages": 1})
    site.run(site.send(FAULT, "valve broken", "tank noisy"))
    reasons = {event["data"]["text"]: event["data"]["output"].get("reason")
               for event in site.said("event/fault")}  # fmt: skip
    assert reasons == {FAULT: None, "valve broken": "busy", "tank noisy": "busy"}


def test_a_cut_output_is_never_published_as_valid(writing: MakeSite) -> None:
    """Only the reason is."""
    site = writing({"max_output_tokens": 3})
    site.run(site.send(FAULT))
    (output,) = outputs(site)
    assert (output["complete"], output["reason"]) == (False, "token-limit")
    assert "value" not in output
    assert "text" not in output


def test_free_text(writing: MakeSite) -> None:
    """A summary, also when the limit cut it."""
    site = writing({"output_schema": None, "max_output_tokens": 5})
    site.run(site.send(FAULT))
    (output,) = outputs(site)
    assert output["reason"] == "token-limit"
    assert isinstance(output["text"], str)


def test_a_model_that_fails_on_a_message(writing: MakeSite) -> None:
    """The event goes out without; the log says why."""
    site = writing()
    fails(site)
    site.run(site.send(FAULT, "gas"))
    (output,) = outputs(site)
    assert output["reason"] == "failed"
    assert site.acked == [FAULT, "gas"]
    assert site.codes == []


def fails(site: Site) -> None:
    def broken(_: Any) -> Any:
        raise InferenceFailed("the model failed", "try again")

    model = site.supply.fleet.writers["work-order"]._decoder.model
    model.feed = broken  # type: ignore[method-assign]


def test_digest_leaves_out_what_was_written(writing: MakeSite) -> None:
    """Only where extracted strings stand is said."""
    site = writing(output={"text": "digest"})
    site.run(site.send(FAULT))
    (output,) = outputs(site)
    assert output["complete"]
    assert output["extracts"]
    assert "value" not in output


def test_a_request_is_answered_with_what_was_written(writing: MakeSite) -> None:
    """Without a route; the encoder does not see it."""
    site = writing()
    site.run(ask(site, {"text": "valve 7 stuck", "id": 3}))
    (reply,) = site.said("reply/me")
    jsonschema.validate(reply, json_schema("reply"))
    jsonschema.validate(reply["result"], json_schema("written"))
    assert (reply["id"], reply["operation"], reply["ok"]) == (3, "generate", True)
    jsonschema.validate(reply["result"]["output"]["value"], WORK_ORDER)
    assert reply["result"]["text"] == "valve 7 stuck"
    assert len(site.acked) == 1


def test_a_request_that_fails_gets_an_error(writing: MakeSite) -> None:
    """And nobody else does."""
    site = writing()
    fails(site)
    site.run(ask(site, "valve 7"), site.send("gas"))
    (reply,) = site.said("reply/me")
    assert (reply["ok"], reply["error"]["code"]) == (False, "inference-failed")
    assert site.events == ["gas"]


def test_a_request_that_expired_before_its_turn_is_not_written_about(writing: MakeSite) -> None:
    """As one to classify; what is owed to an event is written all the same."""
    site = writing()
    slow(site, seconds=0.1)
    asks = [ask(site, "tank 3 empty", expiry_s=60), ask(site, "valve 7 stuck", expiry_s=1)]
    site.run(lambda: [step() for step in (*asks, site.send(FAULT, expiry_s=1))])
    answered, expired = site.said("reply/me")
    assert answered["result"]["text"] == "tank 3 empty"
    assert (expired["ok"], expired["error"]["code"]) == (False, "expired")
    assert outputs(site)[0]["complete"]


def test_a_request_without_specialists(make_site: MakeSite) -> None:
    """Is told what to configure."""
    site = make_site()
    site.run(ask(site, "valve 7"))
    (reply,) = site.said("reply/me")
    assert reply["error"]["code"] == "unknown-specialist"


def test_a_stop_waits_for_what_is_being_written(writing: MakeSite) -> None:
    """As long as a stop may take."""
    site = writing(generate={"slice_ms": 1})
    slow(site, seconds=0.01)
    site.run(lambda: (site.send(FAULT)(), site.stop()))
    assert outputs(site)[0]["complete"]
    assert site.acked == [FAULT]


def test_what_a_stop_leaves_comes_back(writing: MakeSite) -> None:
    """Unacknowledged: the next start writes about it, under the same id."""
    site = writing(generate={"slice_ms": 1}, limits={"stop_timeout_s": 0.02})
    slow(site, seconds=0.01)
    site.run(lambda: (site.send(FAULT)(), site.stop()))
    assert site.acked == []
    site.config = site.config.model_copy(update={"limits": type(site.config.limits)()})
    site.run()
    assert outputs(site)[0]["complete"]
    assert site.acked == [FAULT]


def test_a_cut_connection_writes_nothing_twice(writing: MakeSite) -> None:
    """The redelivery meets the message that is being written about."""
    site = writing(generate={"slice_ms": 1})
    slow(site, seconds=0.01)
    site.run(lambda: (site.send(FAULT)(), site.cut()))
    assert len(outputs(site)) == 1
    assert site.acked == [FAULT]


def test_counters_say_how_outputs_ended(writing: MakeSite) -> None:
    """In health."""
    site = writing(generate={"max_waiting_messages": 1})
    agent = site.run(site.send(FAULT, "valve broken"))
    assert agent._metrics.counters["outputs_complete"] == 1
    assert agent._metrics.counters["outputs_busy"] == 1


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"routes": {"fault": {"specialist": "poet"}}}, "no table [specialists.poet]"),
        ({"specialists": {"-a": {"bundle": "x"}}}, "specialists.-a"),
        ({"generate": {"slice_ms": 0}}, "generate.slice_ms"),
    ],
)
def test_a_configuration_that_cannot_be(
    tmp_path: Path, tiny: Path, sections: dict[str, Any], said: str
) -> None:
    """Is refused with the key."""
    with pytest.raises(ConfigError) as caught:
        load_config(write_config(tmp_path / "c.toml", 1, tiny, **sections), [])
    assert said in caught.value.problem


def test_a_route_that_the_bundle_does_not_have(writing: MakeSite) -> None:
    """Is refused at the start, with the nearest it has."""
    with pytest.raises(ConfigError, match="has no route faults; did you mean fault"):
        writing(routes={"faults": {"specialist": "work-order"}})


def test_an_encoder_cannot_be_a_specialist_that_writes(make_site: MakeSite, tiny: Path) -> None:
    """Said at the start."""
    with pytest.raises(BundleError, match="it writes no texts"):
        make_site(specialists={"work-order": {"bundle": str(tiny)}})
