"""The way to the broker: its name, a route, its port, both versions of IP. The way to our page."""

from __future__ import annotations

import ipaddress
import socket
import time
from dataclasses import dataclass

from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import Finding, error, ok, skipped, warning
from edge_agent.doctor.patient import Patient
from edge_agent.errors import BrokerUnavailable

CONNECT_LIMIT_S = 1.2
USUAL_PORTS = (1883, 8883)
MAX_TRIED = 2


@dataclass(frozen=True)
class Place:
    """One address of the broker, as the system resolves its name."""

    family: socket.AddressFamily
    address: tuple[str, int]

    @property
    def ip(self) -> str:
        """Without the port."""
        return self.address[0]

    @property
    def here(self) -> bool:
        """Whether it is this machine: whose own address is its way to itself."""
        return ipaddress.ip_address(self.ip.partition("%")[0]).is_loopback or self.source == self.ip

    @property
    def source(self) -> str:
        """The address from which this machine would speak to it. OSError without a route."""
        with socket.socket(self.family, socket.SOCK_DGRAM) as probe:
            probe.connect(self.address)
            return str(probe.getsockname()[0])


def places(patient: Patient) -> list[Place]:
    """The broker's addresses in the order in which they are tried. BrokerUnavailable for none."""
    host, port = patient.config.mqtt.host, patient.config.mqtt.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BrokerUnavailable(
            f"mqtt.host {host} has no address: {getattr(error, 'strerror', None) or error}",
            f"set `host` below [mqtt] in {patient.config_file} to the broker's address, or to a "
            f"name of which `getent ahosts` prints one{_hint(host)}",
        ) from error
    return [Place(family, address[:2]) for family, _, _, _, address in found]  # type: ignore[arg-type]


def _hint(host: str) -> str:
    if not host.endswith(".local"):
        return ""
    return "; names in .local need `sudo apt-get install avahi-daemon libnss-mdns`"


def resolve(patient: Patient) -> Finding:
    """The name, and how long it took."""
    begun_s = time.monotonic()
    found = list(dict.fromkeys(place.ip for place in places(patient)))
    host, took_ms = patient.config.mqtt.host, (time.monotonic() - begun_s) * 1000
    if host in found:
        return ok(f"{host} is an address")
    return ok(f"{host} is {', '.join(found)}", f"took {took_ms:.0f} ms")


def route(patient: Patient) -> Finding:
    """The address from which this machine would speak. Nothing is sent."""
    failures = []
    for place in places(patient):
        try:
            source = place.source
        except OSError as failure:
            failures.append(f"no route to {place.ip}: {failure.strerror}")
            continue
        if place.here:
            return ok("the broker is on this machine")
        return ok(f"from {source} to {place.ip}")
    return error(failures[0], _raise_interfaces(patient), *failures)


def _raise_interfaces(patient: Patient) -> str:
    down = [
        path.parent.name
        for path in patient.glob("/sys/class/net/*/operstate")
        if patient.read(path) == "down"
    ]
    commands = " and ".join(f"`sudo ip link set {name} up`" for name in down[:MAX_TRIED])
    seen = "`ip route` must show a way there"
    return f"{commands}; {seen}" if commands else f"connect the network: {seen}"


def tcp(patient: Patient) -> Finding:
    """A connection to the broker's port, address by address as the agent tries them."""
    failures: list[tuple[Place, OSError]] = []
    for place in places(patient)[:MAX_TRIED]:
        begun_s = time.monotonic()
        failure = _connect(place)
        if failure is None:
            took_ms = (time.monotonic() - begun_s) * 1000
            return ok(f"{place.ip} port {place.address[1]}, {took_ms:.1f} ms", *_lines(failures))
        failures.append((place, failure))
    place, failure = failures[0]
    text = f"{patient.config.mqtt.host} port {place.address[1]}: {_why(failure)}"
    return error(text, _tcp_fix(patient, place, failure), *_lines(failures))


def _connect(place: Place, port: int | None = None) -> OSError | None:
    """None when something accepts the connection."""
    target = (place.ip, port or place.address[1])
    try:
        socket.create_connection(target, CONNECT_LIMIT_S).close()
    except OSError as failure:
        return failure
    return None


def _tcp_fix(patient: Patient, place: Place, failure: OSError) -> str:
    host, port = patient.config.mqtt.host, place.address[1]
    if not isinstance(failure, ConnectionRefusedError):
        return (
            f"check that {host} is up (`ping -c 3 {host}`) and that no firewall, here or there, "
            f"drops TCP port {port}"
        )
    for other in USUAL_PORTS:
        if other != port and _connect(place, other) is None:
            tls = " and add a table [mqtt.tls]" if other == USUAL_PORTS[1] else ""
            return f"set `port = {other}` below [mqtt] in {patient.config_file}{tls}: it answers"
    start = "`sudo systemctl start mosquitto`"
    if place.here:
        return (
            f"start the broker, {start}, or set `port` below [mqtt] in {patient.config_file} to "
            "the port on which it listens"
        )
    return (
        f"on {host}: {start}; its mosquitto.conf must say `listener {port}`, "
        "for without it Mosquitto listens to its own machine alone"
    )


def _why(failure: OSError) -> str:
    if isinstance(failure, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(failure, TimeoutError):
        return f"no answer within {CONNECT_LIMIT_S:g} s"
    return failure.strerror or str(failure)


def _lines(failures: list[tuple[Place, OSError]]) -> list[str]:
    return [f"{place.ip} port {place.address[1]}: {_why(failure)}" for place, failure in failures]


def ipv6(patient: Patient) -> Finding:
    """Whether an address that leads nowhere stands before the one that works."""
    found = list(dict.fromkeys(places(patient)))
    if not any(place.family == socket.AF_INET6 for place in found):
        return skipped(f"{patient.config.mqtt.host} has no IPv6 address")
    first, *others = found
    failure = _connect(first)
    if failure is None:
        return ok(f"{first.ip} answers first")
    other = next((p for p in others[:MAX_TRIED] if _connect(p) is None), None)
    if other is None:
        return skipped("no address answers")
    if not isinstance(failure, TimeoutError):
        return ok(f"{first.ip} turns us away at once, {other.ip} answers")
    return warning(
        f"{first.ip} is tried first and does not answer, {other.ip} does: each connect waits "
        f"{patient.config.mqtt.connect_timeout_s:g} s for nothing",
        f'set `host = "{other.ip}"` below [mqtt] in {patient.config_file} (or mend the way to '
        f"{first.ip})",
    )


def metrics(patient: Patient) -> Finding:
    """Whether Prometheus can find us at the page's address, which the agent takes unseen."""
    host, port = patient.config.metrics.host, patient.config.metrics.port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind(address)
    except (OSError, UnicodeError) as failure:
        return warning(
            f"metrics.host {host} is no address of this machine: "
            f"{getattr(failure, 'strerror', None) or failure}",
            f'set `host = "127.0.0.1"` below [metrics] in {patient.config_file} for readers here, '
            "or the address of `ip -brief address` at which others reach this machine",
        )
    return ok(f"{host} is this machine's, port {port}")


CHECKS = (
    Check(
        "network.resolve",
        "whether the broker's name has an address",
        resolve,
        mends="mqtt.host; for names in .local `avahi-daemon libnss-mdns`",
    ),
    Check(
        "network.route",
        "whether this machine has a route to it",
        route,
        ("network.resolve",),
        mends="`ip link set … up`",
    ),
    Check(
        "network.tcp",
        "whether its port accepts connections",
        tcp,
        ("network.route",),
        4.0,
        mends="`systemctl start mosquitto`, its `listener`, mqtt.port, the firewall",
    ),
    Check(
        "network.ipv6",
        "whether an address that leads nowhere is tried first",
        ipv6,
        ("network.tcp",),
        4.0,
        mends="the address that answers as mqtt.host",
    ),
    Check(
        "network.metrics",
        "whether the page for Prometheus has an address of this machine",
        metrics,
        unless=lambda patient: None if patient.config.metrics.port else "metrics.port is not set",
        mends="metrics.host",
    ),
)
