"""The agent at work: its process, and what it last said of itself on its retained topics."""

from __future__ import annotations

import json
import os
import shlex
from datetime import datetime
from typing import Any

from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import Finding, error, ok, skipped, unused, warning
from edge_agent.doctor.groups.broker import HELLO
from edge_agent.doctor.machine import agents_here, properties
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.unit import SERVICE, service_unit
from edge_agent.errors import EXIT_SETUP

MISSED_INTERVALS = 3
SILENT_S = 3600.0
OFTEN_AN_HOUR = 6
TAKEOVERS_AN_HOUR = 60
"""Two clients of one name throw each other out every second or so."""
JOURNAL = "`journalctl -u edge-agent -n 30`"


def process(patient: Patient) -> Finding:
    """Whether it runs; of a service that does not, why."""
    agents, shown = agents_here(patient), properties(patient, "systemctl", "show", SERVICE)
    if agents:
        return ok(f"process {agents[0].pid}: {shown.get('StatusText') or 'it runs'}")
    if shown.get("ExecMainStatus") == str(EXIT_SETUP):
        return error(
            f"it has stopped, for a person must act (exit status {EXIT_SETUP})",
            f"mend what the last lines of {JOURNAL} name, then `sudo systemctl start edge-agent`",
        )
    if service_unit(patient):
        return warning("the service does not run", "`sudo systemctl start edge-agent`")
    return unused("no agent runs here with this configuration")


def state(patient: Patient) -> Finding:
    """What the broker keeps as the agent's state, against the processes here."""
    topic = f"{patient.config.prefix}/state"
    told, agents = _told(patient, "state"), agents_here(patient)
    if told is None:
        return skipped(f"nothing on {topic}: never connected, or not for this user to read")
    said = told.get("state")
    if said != "online" and agents:
        return error(
            f"process {agents[0].pid} runs, and the broker says {said}: it has lost it",
            f"mend what the last lines of {JOURNAL} name",
        )
    if said == "online" and not agents:
        return warning(
            f"the broker says online on {topic}, and no agent runs here: there is another one "
            "of this name",
            f"{_own_id(patient)} (or run the doctor where that agent runs)",
        )
    return ok(f"{said}, says the broker")


def health(patient: Patient) -> Finding:
    """The age of the last health message: a fresh one shows that loop and network thread live."""
    age_s, interval_s = _age_s(patient), patient.config.health.interval_s
    topic = f"{patient.config.prefix}/health"
    if age_s is None:
        return skipped(f"nothing on {topic}: never connected, or not for this user to read")
    if not agents_here(patient):
        return skipped(f"the last one is {_span(age_s)} old, and no agent runs here")
    if age_s > MISSED_INTERVALS * interval_s:
        return error(
            f"the last one is {_span(age_s)} old, and one is due every {interval_s:g} s: the "
            "agent hangs, or cannot reach the broker",
            f"`sudo systemctl restart edge-agent`, and keep what {JOURNAL} said before",
        )
    return ok(f"{_span(age_s)} old")


def traffic(patient: Patient) -> Finding:
    """When a message last came in, and an event last went out."""
    told = _health(patient)
    received, uptime_s = told["counters"].get("received", 0), told["uptime_s"]
    if not received and uptime_s > SILENT_S:
        mqtt, first = patient.config.mqtt, patient.config.filters[0]
        return warning(
            f"nothing has come in since it started, {_span(uptime_s)} ago",
            f"`mosquitto_sub -h {shlex.quote(mqtt.host)} -p {mqtt.port} -t {shlex.quote(first)} "
            "-C 1` must show a message when one is sent",
        )
    ages = told.get("age_s", {})
    words = [
        f"{word} {_span(ages[name])} before"
        for name, word in (("received", "last in"), ("delivered", "last out"))
        if name in ages
    ]
    return ok(", ".join([f"{received} in, {told['counters'].get('events', 0)} events", *words]))


def backlog(patient: Patient) -> Finding:
    """Messages in hand, and how long the oldest waits for its PUBACK."""
    told, deadline_s = _health(patient), patient.config.limits.deadline_s
    depth, oldest_s = told["ledger"], told.get("age_s", {}).get("oldest_unacked", 0.0)
    if oldest_s > deadline_s / 2:
        return warning(
            f"{depth} messages in hand, the oldest for {_span(oldest_s)}; after {deadline_s:g} s "
            "they become dead letters",
            f"{_more_threads(patient)}`edge-agent doctor --only model hardware` says what slows it",
        )
    return ok(f"{depth} messages in hand" + (f", oldest {_span(oldest_s)}" if depth else ""))


def _more_threads(patient: Patient) -> str:
    """All cores at work, where that is still to be had."""
    cores = os.cpu_count() or 1
    if patient.config.model.threads == cores:
        return ""
    return f"set `threads = {cores}` below [model] in {patient.config_file}; then "


def dropped(patient: Patient) -> Finding:
    """QoS 0 messages thrown away because they came faster than the model works."""
    count = _health(patient)["counters"].get("dropped_qos0", 0)
    if not count:
        return ok("none")
    return warning(
        f"{count} messages at QoS 0 were dropped: they came faster than the model works",
        "let their senders publish at QoS 1, which the broker queues for us",
    )


def rejected(patient: Patient) -> Finding:
    """Dead letters since the start, by reason."""
    counters, prefix = _health(patient)["counters"], patient.config.prefix
    counts = {n.removeprefix("rejected_"): c for n, c in counters.items() if c and "rejected_" in n}
    if not counts:
        return ok("no dead letter")
    mqtt = patient.config.mqtt
    shown = ", ".join(f"{count} {code}" for code, count in sorted(counts.items()))
    return warning(
        f"dead letters: {shown}",
        f"see them come with `mosquitto_sub -h {shlex.quote(mqtt.host)} -p {mqtt.port} "
        f"-t {shlex.quote(prefix + '/error')}`: each names its topic, its fault and the fix",
    )


def reconnects(patient: Patient) -> Finding:
    """How often the connection broke, and whether it looks like a second client of our name."""
    told, name = _health(patient), patient.config.client_id
    count, uptime_s = told["counters"].get("disconnects", 0), told["uptime_s"]
    an_hour = count / max(uptime_s / 3600, 1.0)
    taken = told["counters"].get("takeovers", 0)
    if taken or an_hour >= TAKEOVERS_AN_HOUR:
        sure = "was taken over by" if taken else "breaks as it would with"
        return error(
            f"the connection {sure} another client named {name}: {count} times in "
            f"{_span(uptime_s)}",
            f"stop the other client, or {_own_id(patient)}; then "
            "`sudo systemctl restart edge-agent`",
        )
    if an_hour >= OFTEN_AN_HOUR:
        return warning(
            f"the connection broke {count} times in {_span(uptime_s)}",
            "see why with `journalctl -u edge-agent -g 'not connected' -n 20`",
        )
    return ok(f"the connection broke {count} times in {_span(uptime_s)}")


def _own_id(patient: Patient) -> str:
    return f'set `id = "{patient.config.gateway.id}-2"` below [gateway] in {patient.config_file}'


def _told(patient: Patient, kind: str) -> dict[str, Any] | None:
    """The retained message, None when there is none that can be read."""
    delivery = patient.reception.retained.get(f"{patient.config.prefix}/{kind}")
    try:
        told = json.loads(delivery.payload) if delivery else None
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _health(patient: Patient) -> dict[str, Any]:
    """The last health message, with the parts that every version has."""
    return {"counters": {}, "uptime_s": 0.0, "ledger": 0, **(_told(patient, "health") or {})}


def _age_s(patient: Patient) -> float | None:
    told = _told(patient, "health") or {}
    try:
        moment = datetime.fromisoformat(str(told.get("time")).replace("Z", "+00:00"))
    except ValueError:
        return None
    return max(0.0, patient.clock.unix() - moment.timestamp())


def _span(seconds: float) -> str:
    """For people: 50 s, 7 min, 3 h, 5 days."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


NUMBERS = (*HELLO, "runtime.process", "runtime.health")

CHECKS = (
    Check(
        "runtime.process",
        "whether it runs",
        process,
        mends="`systemctl start edge-agent`, after what the journal names",
    ),
    Check(
        "runtime.state",
        "its state as the broker keeps it",
        state,
        HELLO,
        mends="a gateway.id of its own; what the journal says",
    ),
    Check(
        "runtime.health",
        "the age of its last health message",
        health,
        HELLO,
        mends="`systemctl restart edge-agent`",
    ),
    Check(
        "runtime.traffic",
        "last message in, last event out",
        traffic,
        NUMBERS,
        mends="senders that publish where a [[source]] reads",
    ),
    Check(
        "runtime.backlog",
        "messages in hand, the age of the oldest",
        backlog,
        NUMBERS,
        mends="model.threads; less to do",
    ),
    Check(
        "runtime.dropped",
        "messages at QoS 0 that were dropped",
        dropped,
        NUMBERS,
        mends="senders that publish at QoS 1",
    ),
    Check(
        "runtime.rejected",
        "dead letters, by reason",
        rejected,
        NUMBERS,
        mends="what the dead letters name",
    ),
    Check(
        "runtime.reconnects",
        "connections lost; a second client of our name",
        reconnects,
        NUMBERS,
        mends="the network; a gateway.id of its own",
    ),
)
