"""Where the broker is, and what it takes to be let in. Knows nothing of the protocol."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from edge_agent.config import Config
from edge_agent.errors import (
    AgentError,
    BrokerRefused,
    BrokerUnavailable,
    ConfigError,
    SessionTakenOver,
)
from edge_agent.transport.base import LastWill

PERSON_MUST_ACT = {0x85, 0x86, 0x87, 0x8A, 0x8C}
"""CONNACK: client id, credentials, not authorized, banned, authentication method."""
TAKEN_OVER = 0x8E
NO_PASSPHRASE = ""
"""An encrypted key is refused; without this, OpenSSL would ask for one at the terminal."""


@dataclass(frozen=True)
class BrokerAddress:
    """Where the broker is and who we are to it. Times in seconds, as their names say.

    With ``session_expiry_s`` 0 each connection has a session of its own, which ends with it.
    """

    host: str
    port: int
    client_id: str
    username: str | None = None
    password_file: Path | None = None
    protocol: str = "auto"
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    tls_watch_s: float = 60.0
    keepalive_s: int = 30
    session_expiry_s: int = 7 * 86400
    receive_maximum: int = 32
    max_packet_bytes: int = 16 << 20
    connect_timeout_s: float = 10.0
    max_reconnect_wait_s: float = 30.0
    will: LastWill | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether the host is named as this machine, which the service reaches without more."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")


def broker_address(config: Config) -> BrokerAddress:
    """How the configuration reaches the broker; without a last will."""
    mqtt, tls = config.mqtt, config.mqtt.tls
    return BrokerAddress(
        host=mqtt.host,
        port=mqtt.port,
        client_id=config.client_id,
        username=mqtt.username,
        password_file=mqtt.password_file,
        protocol=mqtt.protocol,
        tls=tls is not None,
        ca_file=tls.ca_file if tls else None,
        cert_file=tls.cert_file if tls else None,
        key_file=tls.key_file if tls else None,
        tls_watch_s=tls.watch_s if tls else 60.0,
        keepalive_s=mqtt.keepalive_s,
        session_expiry_s=mqtt.session_expiry_s,
        receive_maximum=mqtt.receive_maximum,
        max_packet_bytes=config.limits.max_unacked_bytes,
        connect_timeout_s=mqtt.connect_timeout_s,
        max_reconnect_wait_s=mqtt.max_reconnect_wait_s,
    )


def read_password(path: Path | None) -> str | None:
    """The first line of the file, read anew for every connection so that it can be rotated."""
    if path is None:
        return None
    if unset := [part for part in path.parts if part.startswith("$")]:
        raise _not_handed_over(path, unset[0])
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"mqtt.password_file {path}: {error}", f"write the password into {path}, mode 0600"
        ) from error


def _not_handed_over(path: Path, variable: str) -> ConfigError:
    """Variables that are set were replaced when the configuration was read."""
    return ConfigError(
        f"mqtt.password_file {path}: {variable} is not set",
        f"set LoadCredential={path.name}:/etc/edge-agent/{path.name} below [Service] in the unit "
        "(sudo systemctl edit edge-agent), then sudo systemctl restart edge-agent",
    )


def tls_context(address: BrokerAddress) -> ssl.SSLContext:
    """TLS 1.2 or newer, chain and host name checked; a client certificate where one is set.

    The strictness that Python adds from 3.13 on is off: it refuses CAs without the extension for
    key usage, which is what `openssl req -x509` makes, and what sites have.
    """
    try:
        context = ssl.create_default_context(cafile=address.ca_file)
        if address.cert_file:
            context.load_cert_chain(address.cert_file, address.key_file, NO_PASSPHRASE)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(
            str(p) for p in (address.ca_file, address.cert_file, address.key_file) if p
        )
        raise ConfigError(
            f"mqtt.tls: {error} ({files})", "give readable PEM files that belong together"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def unreachable(address: BrokerAddress, reason: str) -> BrokerUnavailable:
    """No connection, for this reason."""
    tls = "its TLS and client certificate settings" if address.tls else "whether it wants TLS"
    let_out = (
        "" if address.is_local else ", that `sudo edge-agent allow-broker` let the service out"
    )
    return BrokerUnavailable(
        f"broker {address}: {reason}",
        f"check that the broker runs, that `nc -vz {address.host} {address.port}` reaches it"
        f"{let_out}, and {tls}",
    )


def certificate_refused(address: BrokerAddress, error: ssl.SSLError) -> BrokerRefused:
    """The broker shows a certificate we must not trust."""
    return BrokerRefused(
        f"broker {address}: its certificate is not trusted: {error}",
        "set mqtt.tls.ca_file to the CA that signed it, and mqtt.host to a name in it",
    )


def connack_refusal(address: BrokerAddress, reason: int, text: str) -> AgentError:
    """A CONNACK that says no: for good, or for now."""
    if reason not in PERSON_MUST_ACT:
        return unreachable(address, f"it refused the connection: {text}")
    return BrokerRefused(
        f"broker {address} refused client {address.client_id!r} "
        f"(user {address.username!r}): {text}",
        "correct mqtt.username, mqtt.password_file and mqtt.client_id, "
        "or the broker's password file",
    )


def broken(address: BrokerAddress) -> BrokerUnavailable:
    """It ended without a word, which is also how some brokers treat a second client of a name."""
    return BrokerUnavailable(
        f"broker {address}: the connection broke",
        "see the network and the broker's log, and check that no other client is named "
        f"{address.client_id}",
    )


def said_goodbye(address: BrokerAddress, reason: int, text: str) -> BrokerUnavailable:
    """A DISCONNECT from the broker."""
    problem = f"broker {address} said goodbye: {text}"
    if reason == TAKEN_OVER:
        fix = f"stop the other client named {address.client_id}, or set mqtt.client_id"
        return SessionTakenOver(problem, fix)
    return BrokerUnavailable(problem, "see the broker's log")


def overrun(address: BrokerAddress, held_bytes: int) -> BrokerUnavailable:
    """The broker sent more than the window we announced."""
    return BrokerUnavailable(
        f"broker {address} sent {held_bytes} bytes we could not yet acknowledge",
        "raise limits.max_unacked_bytes, or lower the broker's max_inflight_bytes",
    )
