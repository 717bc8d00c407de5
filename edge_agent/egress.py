"""Which addresses the service must reach, as a systemd drop-in: its broker's, and name servers'.

The unit reaches this machine only (``IPAddressAllow=localhost``). systemd filters by address,
not by name, so a name is looked up when the drop-in is written.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import ConfigError

DROP_IN = Path("/etc/systemd/system/edge-agent.service.d/10-broker.conf")
RESOLVERS = Path("/etc/resolv.conf")


@dataclass(frozen=True)
class Egress:
    """Addresses beyond this machine. Both empty: none is needed."""

    broker: tuple[str, ...]
    name_servers: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.broker)


def egress(host: str, port: int, resolvers: Path) -> Egress:
    """What a connection to ``host`` takes. ConfigError when its name does not resolve."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(
            f"mqtt.host {host}: {error.strerror}",
            f"correct mqtt.host, or set it to the broker's address; try `getent hosts {host}`",
        ) from error
    broker = beyond(str(item[4][0]) for item in found)
    by_name = bool(broker) and not _is_address(host)
    return Egress(broker, name_servers(resolvers) if by_name else ())


def name_servers(resolvers: Path) -> tuple[str, ...]:
    """Those of resolv.conf(5) on other machines: one on this machine asks outside our service."""
    try:
        lines = resolvers.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    words = [line.split() for line in lines]
    return beyond(word[1] for word in words if len(word) > 1 and word[0] == "nameserver")


def beyond(addresses: Iterable[str]) -> tuple[str, ...]:
    """Each once, without this machine's own, in the order given; zones of IPv6 fall away."""
    plain = [address.partition("%")[0] for address in addresses]
    known = [address for address in plain if _is_address(address)]
    return tuple(dict.fromkeys(a for a in known if not ipaddress.ip_address(a).is_loopback))


def drop_in(host: str, allowed: Egress) -> str:
    """The text of the drop-in."""
    lines = [
        f"# By `edge-agent allow-broker` for {host}. Run it again when the address changes.",
        "[Service]",
        f"IPAddressAllow={' '.join(allowed.broker)}",
    ]
    if allowed.name_servers:
        lines += ["# to look up the name", f"IPAddressAllow={' '.join(allowed.name_servers)}"]
    return "\n".join(lines) + "\n"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
