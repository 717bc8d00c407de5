"""TLS files and what was made of them, so that they can be replaced while the agent runs.

A connection is made with the newest files that can be used: those half written, or of two pairs,
leave the ones before in force. A connection that holds is given up for new files only after the
broker has accepted them in a handshake beside it.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge_agent.certificates import Certificate, first_to_expire, read_certificates
from edge_agent.errors import AgentError, BrokerUnavailable, ConfigError, SetupError
from edge_agent.transport.address import BrokerAddress, certificate_refused, tls_context
from edge_agent.transport.base import CredentialsSeen
from edge_agent.transport.handshake import speak

Stamp = tuple[tuple[int, ...], ...]


class Credentials:
    """See the module. ``look_again`` may be called from any thread, the rest from the network's."""

    def __init__(self, address: BrokerAddress, tell: Callable[[CredentialsSeen], None]) -> None:
        self.address = address
        self._tell = tell
        self._stamp: Stamp | None = None
        self._newest: ssl.SSLContext | None = None
        self._in_use: ssl.SSLContext | None = None
        self._error: AgentError | None = None
        self._proven = False
        self._asked = threading.Event()
        self._next_look_s = 0.0

    def context(self) -> ssl.SSLContext:
        """For the next connection. ConfigError when the files never could be used."""
        self._read()
        if self._newest is None:
            raise self._error or AssertionError("no files were read")
        renewed = self._in_use not in (None, self._newest)
        self._in_use = self._newest
        self._say(self._error, renewed=renewed)
        return self._in_use

    def accepted(self) -> None:
        """The broker let us in."""
        self._proven = True

    def refused(self, error: AgentError | ssl.SSLCertVerificationError) -> AgentError:
        """Our files, the broker, or its certificate will not do.

        Where we were let in before, somebody is replacing something: that passes, and there may be
        nobody to start the agent again.
        """
        if isinstance(error, ssl.SSLError):
            error = certificate_refused(self.address, error)
        if self._proven and isinstance(error, SetupError):
            return BrokerUnavailable(error.problem, error.fix)
        return error

    def look_again(self) -> None:
        """Looks at the files with the next ``renewed``, though it is not time yet."""
        self._asked.set()

    def renewed(self) -> bool:
        """Whether it is time for a new connection: with other files, which the broker accepts.

        Looks every ``tls_watch_s``.
        """
        now_s = time.monotonic()
        if self._in_use is None or (now_s < self._next_look_s and not self._asked.is_set()):
            return False
        self._asked.clear()
        self._next_look_s = now_s + self.address.tls_watch_s
        self._read()
        if self._newest is None or self._newest is self._in_use:
            self._say(self._error)
            return False
        refusal = tried(self.address, self._newest)
        if refusal is not None:
            self._say(self._error or refusal)
        return refusal is None

    def _read(self) -> None:
        """Reads the files if they changed; first their stamp, so that no change is missed."""
        stamp = tuple(_stamp(path) for path in _files(self.address))
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._newest, self._error = tls_context(self.address), None
        except ConfigError as error:
            self._error = error

    def _say(self, error: AgentError | None, *, renewed: bool = False) -> None:
        self._tell(CredentialsSeen(dates(self.address), error, renewed))


def dates(address: BrokerAddress) -> dict[str, Certificate]:
    """The certificate that ends first in each file that can be read."""
    found = {}
    for name, path in (("ca", address.ca_file), ("client", address.cert_file)):
        with contextlib.suppress(ConfigError):
            if path is not None:
                found[name] = first_to_expire(read_certificates(path), time.time())
    return found


def tried(address: BrokerAddress, context: ssl.SSLContext) -> BrokerUnavailable | None:
    """A handshake that ends there; why it failed."""
    try:
        speak(address, context, address.connect_timeout_s)
    except OSError as error:
        return BrokerUnavailable(
            f"the new TLS files are not used, the broker does not go with them: {error}",
            f"`{s_client(address)}` shows why; give agent and broker files of one CA",
        )
    return None


def s_client(address: BrokerAddress) -> str:
    """The command that does the same handshake."""
    options = {"-CAfile": address.ca_file, "-cert": address.cert_file, "-key": address.key_file}
    files = [f"{option} {path}" for option, path in options.items() if path]
    return " ".join(["openssl s_client -brief -connect", str(address), *files])


def _files(address: BrokerAddress) -> list[Path]:
    """Those of the configuration; the system's list of CAs where none is configured."""
    system = ssl.get_default_verify_paths().cafile
    authority = address.ca_file or (Path(system) if system else None)
    return [path for path in (authority, address.cert_file, address.key_file) if path]


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes with content, owner and mode. Empty while there is no file."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
