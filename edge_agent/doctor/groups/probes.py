"""Trials with real messages, for ``--probe`` alone.

They go under client ids of the doctor's own. Echoes go over ``<reply_prefix>/doctor``, to which
only the doctor subscribes. What is published to the topics of events and dead letters is a
CloudEvent of the type ``edge-agent.probe.v1``, not retained: consumers tell it by its type. What
is retained as state and health is published once more as it is, and stays as it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace

from edge_agent.config import Config
from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import Finding, error, ok, skipped, warning
from edge_agent.doctor.groups.broker import HELLO
from edge_agent.doctor.groups.runtime import JOURNAL
from edge_agent.doctor.machine import agents_here
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.visit import Visit, visitor
from edge_agent.types import Publication
from edge_agent.wire.outbound import CLOUDEVENT, JSON, iso_time, to_json

PROBE_TYPE = "edge-agent.probe.v1"
ECHO_LIMIT_S = 2.0
ANSWER_WAIT_S = 5.0
QUIET_S = 0.5
WINDOW = 2
SENT = 6
MANY = 2
"""More topics than that are granted together."""
TEXT = "pump 7 is leaking"
SHORT_SESSION_S = 60


def echo_topic(config: Config, name: str) -> str:
    """Below the prefix of replies, where the agent may write anyway."""
    return f"{config.reply_prefix}/doctor/{name}"


def echo(patient: Patient) -> Finding:
    """A message from us to us, through the broker."""
    config = patient.config
    topic, right = echo_topic(config, "echo"), f"readwrite {echo_topic(config, '#')}"
    with Visit(visitor(config)) as visit:
        if refusal := visit.subscribe(topic)[0]:
            return _may_not(config, f"subscribe to {topic}: {refusal}", right)
        begun_s = time.monotonic()
        answer = visit.publish(Publication(topic, b"{}", JSON))
        if answer.refused:
            return _may_not(config, f"publish to {topic}: {answer.reason_name}", right)
        if not visit.wait_for(lambda: bool(visit.arrived), ECHO_LIMIT_S):
            return _may_not(config, f"read {topic}: no echo came", right)
        return ok(f"through the broker and back in {(time.monotonic() - begun_s) * 1000:.0f} ms")


def answer(patient: Patient) -> Finding:
    """A request to the agent that runs, through its model; no event comes of it."""
    config = patient.config
    if not agents_here(patient):
        return skipped("no agent runs here")
    topic, request = echo_topic(config, "answer"), f"{config.prefix}/request/classify"
    body = to_json({"text": TEXT, "reply_to": topic, "id": "doctor"})
    with Visit(visitor(config)) as visit:
        visit.subscribe(topic)
        begun_s = time.monotonic()
        sent = visit.publish(Publication(request, body, JSON))
        if sent.refused:
            return _may_not(config, f"publish to {request}: {sent.reason_name}", f"write {request}")
        if not visit.wait_for(lambda: bool(visit.arrived), ANSWER_WAIT_S):
            return error(
                f"the agent has not answered a request on {request} within {ANSWER_WAIT_S:g} s",
                f"see what {JOURNAL} says",
            )
        took_ms, told = (time.monotonic() - begun_s) * 1000, json.loads(visit.arrived[0].payload)
    label = told.get("result", {}).get("route", {}).get("label", "?")
    return ok(f"the agent answered in {took_ms:.0f} ms: {label}")


def session(patient: Patient) -> Finding:
    """What is sent while a client is away waits for it. The session is removed afterwards."""
    config = patient.config
    topic, away = echo_topic(config, "session"), visitor(config, "doctor-away")
    wanted_s = config.mqtt.session_expiry_s
    try:
        with Visit(replace(away, session_expiry_s=wanted_s)) as visit:
            visit.subscribe(topic)
            granted_s = visit.started.granted.get("SessionExpiryInterval", wanted_s)
        with Visit(visitor(config)) as other:
            other.publish(Publication(topic, b"{}", JSON))
        with Visit(replace(away, session_expiry_s=SHORT_SESSION_S)) as visit:
            kept = visit.started.resumed
            came = visit.wait_for(lambda: bool(visit.arrived), ECHO_LIMIT_S if kept else 0)
    finally:
        with Visit(away):
            pass  # a session that ends with its connection takes the place of the one kept
    return _lost(kept=kept, came=came) or _kept(wanted_s, granted_s)


def _lost(*, kept: bool, came: bool) -> Finding | None:
    if not kept:
        return error(
            "the broker forgets a session when its client leaves: what comes then is lost",
            "let the broker keep sessions",
        )
    if not came:
        return error(
            "the broker keeps the session, and not what was sent meanwhile",
            "raise the broker's queue limits; Mosquitto: `max_queued_messages 100000` and "
            "`max_queued_bytes 67108864`",
        )
    return None


def _kept(wanted_s: int, granted_s: int) -> Finding:
    if granted_s >= wanted_s:
        return ok("what is sent while we are away waits for us")
    return warning(
        f"the broker keeps sessions for {granted_s} s only, not for the {wanted_s} s of "
        "mqtt.session_expiry_s",
        "let the broker keep them longer, or be away for less",
    )


def window(patient: Patient) -> Finding:
    """Whether the broker stops at the Receive Maximum we announce."""
    config = patient.config
    topic = echo_topic(config, "window")
    narrow = replace(visitor(config), receive_maximum=WINDOW)
    with Visit(narrow, hold=True) as visit:
        if visit.started.protocol != "5":
            return skipped("MQTT 3.1.1 has no Receive Maximum")
        visit.subscribe(topic)
        with Visit(visitor(config, "doctor-sender")) as sender:
            for _ in range(SENT):
                sender.publish(Publication(topic, b"{}", JSON))
        visit.wait_for(lambda: len(visit.arrived) > WINDOW, QUIET_S)
        came = len(visit.arrived)
    if not came:
        return skipped("no echo came: see probes.echo")
    if came > WINDOW:
        return warning(
            f"the broker sent {came} messages at once where {WINDOW} were announced as the most: "
            "memory is bounded by limits.max_unacked_bytes alone",
            "upgrade the broker: Mosquitto keeps to it since 2.0.13",
        )
    return ok("the broker keeps to the Receive Maximum")


def subscriptions(patient: Patient) -> Iterator[Finding]:
    """Every filter we read from, by SUBACK. Messages that come meanwhile are dropped unread."""
    config = patient.config
    filters = [_own_share(name) for name in config.filters]
    with Visit(visitor(config)) as visit:
        refusals = visit.subscribe(*filters)
    for name, refusal in zip(config.filters, refusals, strict=False):
        if refusal:
            yield _may_not(config, f"subscribe to {name}: {refusal}", f"read {name}")
    if not any(refusals):
        yield ok(f"{len(filters)} filters granted", *filters)


def _own_share(name: str) -> str:
    """In a group of its own, so that nothing is taken from the group that works."""
    parts = name.split("/", 2)
    return f"$share/edge-agent-doctor/{parts[2]}" if parts[0] == "$share" else name


def publications(patient: Patient) -> Iterator[Finding]:
    """Every topic we write to, by PUBACK."""
    config, retained = patient.config, patient.reception.retained
    if patient.reception.started.protocol != "5":
        yield skipped("MQTT 3.1.1 has no words for a refused publish")
        return
    topics = [f"{config.prefix}/event/{route}" for route in patient.bundle.manifest.routes]
    trials = [_trial(patient, topic) for topic in (*topics, f"{config.prefix}/error")]
    kept = (retained.get(f"{config.prefix}/{kind}") for kind in ("state", "health"))
    trials += [Publication(one.topic, one.payload, JSON) for one in kept if one]
    with Visit(visitor(config)) as visit:
        answers = {trial.topic: visit.publish(trial) for trial in trials}
    refused = {topic: a.reason_name for topic, a in answers.items() if a.refused}
    if not refused:
        yield ok(f"{len(answers)} topics granted", *answers)
    elif len(refused) > MANY:
        what = f"publish to {len(refused)} of {len(answers)} topics: {', '.join(refused)}"
        yield _may_not(config, what, f"write {config.prefix}/#")
    else:
        for topic, reason in refused.items():
            yield _may_not(config, f"publish to {topic}: {reason}", f"write {topic}")


def _trial(patient: Patient, topic: str) -> Publication:
    now_s = patient.clock.unix()
    probe = {
        "specversion": "1.0",
        "id": f"doctor-{now_s:.6f}",
        "source": patient.config.prefix,
        "type": PROBE_TYPE,
        "time": iso_time(now_s),
        "datacontenttype": "application/json",
        "data": {"probe": True},
    }
    return Publication(topic, to_json(probe), CLOUDEVENT)


def _may_not(config: Config, what: str, right: str) -> Finding:
    user = config.mqtt.username
    below = f", below the line of user {user}" if user else ", before all lines of users"
    return error(
        f"we may not {what}",
        f"permit it; Mosquitto: the line `topic {right}` in its acl_file{below}",
    )


ECHO = (*HELLO, "probes.echo")
LIMIT_S = 8.0

CHECKS = (
    Check(
        "probes.echo",
        "a message from us to us",
        echo,
        HELLO,
        LIMIT_S,
        probe=True,
        mends="the line of the access list that it names",
    ),
    Check(
        "probes.answer",
        "a request through the agent's model",
        answer,
        ECHO,
        LIMIT_S,
        probe=True,
        mends="what the journal says",
    ),
    Check(
        "probes.session",
        "whether what is sent while we are away waits for us",
        session,
        ECHO,
        LIMIT_S,
        probe=True,
        mends="the broker's queue limits",
    ),
    Check(
        "probes.window",
        "whether the broker keeps to our Receive Maximum",
        window,
        ECHO,
        LIMIT_S,
        probe=True,
        mends="a newer broker",
    ),
    Check(
        "probes.read",
        "the right to read every filter, by SUBACK",
        subscriptions,
        HELLO,
        LIMIT_S,
        probe=True,
        mends="the line of the access list that it names",
    ),
    Check(
        "probes.write",
        "the right to write every topic, by PUBACK",
        publications,
        (*HELLO, "model.files"),
        LIMIT_S,
        probe=True,
        mends="the line of the access list that it names",
    ),
)
