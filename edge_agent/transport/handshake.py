"""TLS handshakes with the broker, and what comes of them. Speaks no MQTT."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.certificates import Certificate
from edge_agent.transport.address import BrokerAddress, tls_context

LIMIT_S = 1.5
ALERT_WAIT_S = 0.4


@dataclass(frozen=True)
class SpokenTo:
    """A handshake that succeeded."""

    version: str
    cipher: str
    certificate: Certificate


def speak(address: BrokerAddress, context: ssl.SSLContext, limit_s: float = LIMIT_S) -> SpokenTo:
    """A full handshake, host name checked where the context says so. OSError when it fails.

    In TLS 1.3 a broker turns a client away after the handshake: so its word is waited for.
    """
    with (
        _connected(address, limit_s) as plain,
        context.wrap_socket(plain, server_hostname=address.host) as secured,
    ):
        secured.settimeout(ALERT_WAIT_S)
        with contextlib.suppress(TimeoutError):
            if not secured.recv(1):
                raise ConnectionResetError("it hung up after the handshake")
        cipher = secured.cipher()
        return SpokenTo(
            secured.version() or "", cipher[0] if cipher else "", _shown(secured.getpeercert())
        )


def names_shown(address: BrokerAddress) -> list[str]:
    """Host names and addresses in the broker's certificate, which must be trusted otherwise."""
    context = tls_context(address)
    context.check_hostname = False
    try:
        with _connected(address) as plain, context.wrap_socket(plain) as secured:
            names = (secured.getpeercert() or {}).get("subjectAltName", ())
            return [str(name[1]) for name in names]
    except OSError:
        return []


def speaks_tls(address: BrokerAddress) -> bool:
    """Whether the other end answers a handshake; trusts nothing, sends nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with _connected(address) as plain, context.wrap_socket(plain):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except OSError:
        return False


def _connected(address: BrokerAddress, limit_s: float = LIMIT_S) -> socket.socket:
    return socket.create_connection((address.host, address.port), limit_s)


def _shown(certificate: Mapping[str, Any] | None) -> Certificate:
    shown = certificate or {}
    start, end = (str(shown[name]) for name in ("notBefore", "notAfter"))
    return Certificate("", ssl.cert_time_to_seconds(start), ssl.cert_time_to_seconds(end))
