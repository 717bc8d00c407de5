"""A real Mosquitto on 127.0.0.1, with its own folder and port."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.openssl import openssl
from tests.support.waiting import PATIENCE_S, wait_until

ATTEMPTS = 3
PORT_ATTEMPTS = 100
PORTS = range(20_000, 32_768)
"""Below those the kernel gives to outgoing connections and to whoever binds port 0: none of these,
in another test, takes the port of a broker that is away for a moment.
"""
RELOADS = "Reloading config"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class BrokerOptions:
    """How a broker is set up. Texts are Mosquitto's own syntax.

    ``autosave_changes`` is the number of changes after which the database is written.
    """

    persistence: bool = False
    autosave_changes: int | None = None
    max_queued_messages: int | None = 200_000
    acl: str | None = None
    passwords: dict[str, str] = field(default_factory=dict)
    tls: bool = False
    require_certificate: bool = False
    extra: str = ""


@dataclass(frozen=True)
class Certificates:
    """PEM files: the authority, the broker's pair, a client's pair."""

    ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path


def mosquitto_path() -> str:
    """Where Mosquitto is; AssertionError with the fix where it is not."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    assert found, "mosquitto is not installed: run `make system-packages`"
    return found


def mosquitto_version() -> str:
    """For instance ``2.0.11``."""
    shown = subprocess.run([mosquitto_path(), "-h"], capture_output=True, text=True, check=False)
    return shown.stdout.split("\n", 1)[0].rpartition(" ")[2]


def free_port() -> int:
    """A port nobody listens on at this moment, and nobody is given without asking for it."""
    for _ in range(PORT_ATTEMPTS):
        port = secrets.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no free port in {PORTS}")


class Broker:
    """One Mosquitto process, or several one after the other on the same port and folder."""

    def __init__(self, folder: Path, options: BrokerOptions | None = None) -> None:
        self.folder = folder
        self.options = options or BrokerOptions()
        self.host = "127.0.0.1"
        self.port = free_port()
        self.certificates: Certificates | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._prepared = False

    def start(self) -> Broker:
        """Starts it and waits until it accepts connections."""
        for _ in range(ATTEMPTS):
            self._write_config()
            with (self.folder / "mosquitto.log").open("ab") as log:
                command = [mosquitto_path(), "-c", str(self.folder / "mosquitto.conf")]
                self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
            if self._wait_ready():
                return self
            if "Address already in use" not in self.log or self._prepared:
                break
            self.port = free_port()
        raise AssertionError(f"mosquitto did not start:\n{self.log}")

    def stop(self) -> None:
        """Ends it cleanly (SIGTERM); with persistence it writes its database."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it with SIGKILL: what it had only in memory is gone."""
        self._end(signal.SIGKILL)

    def restart(self, *, kill: bool = False) -> None:
        """Ends it and starts it again on the same port and folder."""
        self._end(signal.SIGKILL if kill else signal.SIGTERM)
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing is answered."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._running().send_signal(signal.SIGCONT)

    @property
    def log(self) -> str:
        """All it has written so far."""
        return (self.folder / "mosquitto.log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The process id of the running broker."""
        return self._running().pid

    def set_acl(self, acl: str) -> None:
        """Replaces the access list and makes the running broker read it (SIGHUP).

        It says so, and then reads before it serves anybody.
        """
        (self.folder / "acl").write_text(acl)
        before = self.log.count(RELOADS)
        self._running().send_signal(signal.SIGHUP)
        wait_until(lambda: self.log.count(RELOADS) > before, what="the new access list")

    def set_password(self, user: str, password: str) -> None:
        """Replaces the password of a user, from the next start on."""
        words = ["mosquitto_passwd", "-b", str(self.folder / "passwords"), user, password]
        subprocess.run(words, check=True)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the broker has not been started"
        return self._process

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _wait_ready(self) -> bool:
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s and self._running().poll() is None:
            try:
                socket.create_connection((self.host, self.port), 1).close()
            except OSError:
                time.sleep(0.01)
                continue
            self._prepared = self._running().poll() is None
            return self._prepared
        return False

    def _write_config(self) -> None:
        options, folder = self.options, self.folder
        lines = [
            f"listener {self.port} {self.host}",
            f"allow_anonymous {'false' if options.passwords else 'true'}",
            "log_dest stderr",
            "log_timestamp_format %Y-%m-%dT%H:%M:%S",
            "set_tcp_nodelay true",
            *self._queue_lines(),
            *(["user root"] if os.geteuid() == 0 else []),
            *self._persistence_lines(),
            *self._tls_lines(),
        ]
        if options.acl is not None:
            if not (folder / "acl").exists():
                (folder / "acl").write_text(options.acl)
            lines.append(f"acl_file {folder / 'acl'}")
        if options.passwords:
            lines.append(f"password_file {self._password_file()}")
        (folder / "mosquitto.conf").write_text("\n".join([*lines, options.extra, ""]))

    def _queue_lines(self) -> list[str]:
        limit = self.options.max_queued_messages
        return [] if limit is None else [f"max_queued_messages {limit}"]

    def _persistence_lines(self) -> list[str]:
        if not self.options.persistence:
            return ["persistence false"]
        lines = ["persistence true", f"persistence_location {self.folder}/"]
        if self.options.autosave_changes is not None:
            lines += ["autosave_on_changes true"]
            lines += [f"autosave_interval {self.options.autosave_changes}"]
        return lines

    def _tls_lines(self) -> list[str]:
        if not self.options.tls:
            return []
        made = self.certificates = self.certificates or make_certificates(self.folder)
        lines = [
            f"cafile {made.ca}",
            f"certfile {made.server_cert}",
            f"keyfile {made.server_key}",
        ]
        if self.options.require_certificate:
            lines += ["require_certificate true", "use_identity_as_username true"]
        return lines

    def _password_file(self) -> Path:
        path = self.folder / "passwords"
        if not path.exists():
            lines = [f"{user}:{password}\n" for user, password in self.options.passwords.items()]
            path.write_text("".join(lines))
            subprocess.run(["mosquitto_passwd", "-U", str(path)], check=True)
        return path


def make_certificates(folder: Path, authority: str = "Test authority") -> Certificates:
    """An authority for one day, and pairs for 127.0.0.1/localhost and a client `edge-agent`."""
    folder.mkdir(exist_ok=True)
    openssl(
        *["req", "-x509", *NEW_KEY, "-days", "1"],
        *["-subj", f"/CN={authority}", "-keyout", folder / "ca.key"],
        *["-out", folder / "ca.pem"],
    )
    _pair(folder, "server", "localhost", "subjectAltName=IP:127.0.0.1,DNS:localhost")
    _pair(folder, "client", "edge-agent", "extendedKeyUsage=clientAuth")
    names = ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")
    return Certificates(*(folder / name for name in names))


def _pair(folder: Path, name: str, common_name: str, extension: str) -> None:
    (folder / f"{name}.ext").write_text(extension)
    openssl(
        *["req", *NEW_KEY],
        *["-subj", f"/CN={common_name}", "-keyout", folder / f"{name}.key"],
        *["-out", folder / f"{name}.csr"],
    )
    openssl(
        *["x509", "-req", "-in", folder / f"{name}.csr", "-days", "1"],
        *["-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial"],
        *["-extfile", folder / f"{name}.ext", "-out", folder / f"{name}.pem"],
    )


def wait_for_log(broker: Broker, text: str, timeout_s: float = PATIENCE_S) -> None:
    """Waits until the broker has logged ``text``."""
    wait_until(lambda: text in broker.log, timeout_s, f"{text!r} in the broker's log")
