"""The broker: whether it lets us in, what it grants, what it drops, how it is configured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import Finding, error, needs_root, ok, skipped, warning
from edge_agent.doctor.groups.network import places
from edge_agent.doctor.mosquitto import MosquittoConfig, fix, local_mosquitto
from edge_agent.doctor.patient import Patient
from edge_agent.doctor.visit import SYS_DROPPED, SYS_VERSION
from edge_agent.errors import AgentError, SetupError
from edge_agent.transport.address import broker_address
from edge_agent.transport.handshake import speaks_tls

SMALL_PACKET_BYTES = 65536
MAX_UNSAVED_CHANGES = 1000
MAX_UNSAVED_S = 60
MIN_QUEUED = 10_000
DEFAULTS = {"autosave_interval": 1800, "max_queued_messages": 1000, "max_inflight_messages": 20}
"""Of Mosquitto 2."""


def connect(patient: Patient) -> Finding:
    """CONNECT with the agent's credentials, under a client id of the doctor's own."""
    mqtt, settings = patient.config.mqtt, _local(patient)
    if settings and settings.flag("use_username_as_clientid"):
        return skipped(
            f"{settings.file} makes user names client ids: a visit would end our session"
        )
    try:
        reception = patient.reception
    except SetupError:
        raise
    except AgentError as failure:
        if mqtt.tls is not None or not speaks_tls(broker_address(patient.config)):
            raise
        return error(
            f"{mqtt.host} port {mqtt.port} speaks TLS, and [mqtt.tls] is not configured",
            f"add a table [mqtt.tls] with `ca_file` to {patient.config_file}",
            failure.problem,
        )
    user = f"as {mqtt.username}" if mqtt.username else "without a user name"
    return ok(f"lets us in {user}, {reception.connect_ms:.0f} ms")


def protocol(patient: Patient) -> Finding:
    """MQTT 5, or what is missing with 3.1.1."""
    spoken, wanted = patient.reception.started.protocol, patient.config.mqtt.protocol
    if spoken == "5":
        return ok("MQTT 5")
    lacking = "MQTT 3.1.1 has no words for a refused publish, and no Receive Maximum"
    if wanted == "3.1.1":
        return warning(lacking, f'set `protocol = "auto"` below [mqtt] in {patient.config_file}')
    return warning(lacking, "use a broker that speaks MQTT 5, such as Mosquitto 2")


def limits(patient: Patient) -> list[Finding]:
    """What the CONNACK grants, against what the configuration needs."""
    started = patient.reception.started
    if started.protocol != "5":
        return [skipped("MQTT 3.1.1 announces no limits")]
    shown = [f"{name} {value}" for name, value in started.granted.items()]
    short = list(_shortages(started.granted, patient.config.filters))
    return short or [ok(f"enough for us; its window is {started.receive_maximum}", *shown)]


def _shortages(granted: Mapping[str, Any], filters: tuple[str, ...]) -> Iterator[Finding]:
    shared = any(name.startswith("$share/") for name in filters)
    needs = [
        ("MaximumQoS", "QoS 1", "messages could be lost on their way"),
        ("RetainAvailable", "retained messages", "state and health are retained"),
        ("WildcardSubscriptionAvailable", "wildcards", "requests are subscribed to with one"),
    ]
    if shared:
        needs.append(("SharedSubscriptionAvailable", "shared subscriptions", "a source has one"))
    for name, what, why in needs:
        if granted.get(name, 1) < 1:
            yield error(
                f"the broker permits no {what}: {why}",
                f"permit {what} in the broker's configuration{_option(name)}",
            )
    packet = granted.get("MaximumPacketSize", SMALL_PACKET_BYTES)
    if packet < SMALL_PACKET_BYTES:
        yield warning(
            f"the broker takes packets of {packet} bytes at most: a larger event becomes a dead "
            "letter",
            f"let it take {SMALL_PACKET_BYTES} bytes or more; Mosquitto: "
            f"`max_packet_size {SMALL_PACKET_BYTES}`",
        )


def _option(name: str) -> str:
    options = {"MaximumQoS": "max_qos 1", "RetainAvailable": "retain_available true"}
    return f"; Mosquitto: `{options[name]}`" if name in options else ""


def software(patient: Patient) -> Finding:
    """What the broker says it is."""
    told = patient.reception.retained.get(SYS_VERSION)
    if told is None:
        return skipped(f"it says nothing of itself on {SYS_VERSION}")
    return ok(told.payload.decode(errors="replace"))


def dropped(patient: Patient) -> Finding:
    """Messages thrown away because a queue was full; senders are not told."""
    told = patient.reception.retained.get(SYS_DROPPED)
    if told is None or not told.payload.isdigit():
        return skipped(f"it says nothing on {SYS_DROPPED}")
    count = int(told.payload)
    if not count:
        return ok("no message dropped since it started")
    local = _local(patient)
    raise_it = "raise max_queued_messages in the broker's configuration, and restart it"
    return warning(
        f"it has dropped {count} messages since it started, because a client's queue was full",
        fix(local, [f"max_queued_messages {10 * MIN_QUEUED}"]) if local else raise_it,
    )


def mosquitto(patient: Patient) -> Finding:
    """Persistence, how often it is written, queue and window of a Mosquitto on this machine."""
    if not any(place.here for place in places(patient)):
        return skipped("the broker is on another machine: see docs/reliability.md there")
    config = _local(patient)
    if config is None:
        port = patient.config.mqtt.port
        return skipped(f"no configuration of a Mosquitto on port {port} was found here")
    if config.unreadable:
        return needs_root(f"{config.unreadable[0]}")
    wrong = dict(_wrong(config, patient))
    if not wrong:
        return ok(f"{config.file}: keeps and queues what it should")
    return warning(f"{config.file}: {'; '.join(wrong)}", fix(config, list(wrong.values())))


def _local(patient: Patient) -> MosquittoConfig | None:
    return local_mosquitto(patient, patient.config.mqtt.port)


def _wrong(config: MosquittoConfig, patient: Patient) -> Iterator[tuple[str, str]]:
    """What is wrong, and the line that would mend it."""
    if not config.keeps:
        yield "a restart of the broker loses sessions and queues", "persistence true"
    elif not config.by_plugin:
        every = config.number("autosave_interval", DEFAULTS["autosave_interval"])
        by_changes = config.flag("autosave_on_changes")
        unit, most = ("changes", MAX_UNSAVED_CHANGES) if by_changes else ("s", MAX_UNSAVED_S)
        if not 0 < every <= most:
            yield f"written only every {every} {unit}", "autosave_on_changes true"
            yield "a power cut loses what came since", "autosave_interval 100"
    queued = config.number("max_queued_messages", DEFAULTS["max_queued_messages"])
    if 0 < queued < MIN_QUEUED:
        wanted = f"max_queued_messages {10 * MIN_QUEUED}"
        yield f"more than {queued} waiting messages are dropped silently", wanted
    window = config.number("max_inflight_messages", DEFAULTS["max_inflight_messages"])
    batch = patient.config.batch.max_messages
    if patient.config.mqtt.protocol == "3.1.1" and 0 < window < 2 * batch:
        yield (
            f"a window of {window} is less than two batches of {batch}",
            f"max_inflight_messages {max(64, 2 * batch)}",
        )


HELLO = ("network.tcp", "tls.handshake", "broker.connect")
"""Without a connection the nearest reason is named."""

CHECKS = (
    Check(
        "broker.connect",
        "CONNECT as the agent, but for its client id",
        connect,
        ("network.tcp", "tls.handshake"),
        6.0,
        mends="mqtt.username, mqtt.password_file; [mqtt.tls] where the port speaks TLS",
    ),
    Check(
        "broker.protocol",
        "whether it speaks MQTT 5",
        protocol,
        HELLO,
        mends='mqtt.protocol = "auto"; a broker that speaks MQTT 5',
    ),
    Check(
        "broker.limits",
        "what its CONNACK grants",
        limits,
        HELLO,
        mends="the broker's option that it names",
    ),
    Check("broker.software", "what it says it is, on $SYS", software, HELLO),
    Check(
        "broker.dropped",
        "messages it has dropped, on $SYS",
        dropped,
        HELLO,
        mends="`config/mosquitto.d/edge-agent.conf` for the broker",
    ),
    Check(
        "broker.mosquitto",
        "persistence and queues of a Mosquitto on this machine",
        mosquitto,
        ("network.resolve",),
        mends="`config/mosquitto.d/edge-agent.conf` for the broker",
    ),
)
