"""A certificate authority, and a broker and a gateway that trust it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from edge_agent.surroundings import Clock
from tests.support.broker import NEW_KEY, Broker, Certificates
from tests.support.clinic import Clinic
from tests.support.openssl import openssl

DAY_S = 86400.0
YEARS = 3650


@dataclass(frozen=True)
class Authority:
    """A CA of some days, that signs pairs of some days."""

    folder: Path

    def begin(self, days: int = YEARS) -> Authority:
        self.folder.mkdir(exist_ok=True)
        files = ("-keyout", self.folder / "ca.key", "-out", self.folder / "ca.pem")
        openssl("req", "-x509", *NEW_KEY, "-days", str(days), "-subj", "/CN=Site CA", *files)
        return self

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def sign(self, name: str, days: int = YEARS, names: str = "IP:127.0.0.1") -> tuple[Path, Path]:
        """Certificate and key."""
        key, request, signed = (self.folder / f"{name}.{kind}" for kind in ("key", "csr", "pem"))
        (self.folder / "ext").write_text(f"subjectAltName={names}")
        openssl("req", *NEW_KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        ca = ("-CA", self.ca, "-CAkey", self.folder / "ca.key", "-CAcreateserial")
        more = ("-days", str(days), "-extfile", self.folder / "ext", "-out", signed)
        openssl("x509", "-req", "-in", request, *ca, *more)
        return signed, key


@dataclass
class Secured:
    """A broker with TLS and a gateway that trusts it."""

    authority: Authority
    broker: Broker
    clinic: Clinic

    def serve(self, days: int = YEARS, names: str = "IP:127.0.0.1") -> None:
        """The broker shows a new certificate."""
        made = self.broker.certificates
        assert made is not None
        for source, target in zip(
            self.authority.sign("broker", days, names),
            (made.server_cert, made.server_key),
            strict=True,
        ):
            shutil.copy(source, target)
        shutil.copy(self.authority.ca, made.ca)
        self.broker.restart()

    def show(self, days: int = YEARS) -> None:
        """The gateway has a new pair."""
        cert, key = self.authority.sign("gateway", days)
        key.chmod(0o600)
        self.tls.update(cert_file=cert, key_file=key)
        self.clinic.write()

    def at(self, days: float) -> None:
        """The gateway's clock, so many days from now."""
        real = Clock()
        clock = Clock(real.monotonic, lambda: real.unix() + days * DAY_S)
        self.clinic.patient = replace(self.clinic.patient, clock=clock)

    @property
    def tls(self) -> dict[str, object]:
        """The table [mqtt.tls]."""
        found: dict[str, object] = self.clinic.settings["mqtt"]["tls"]
        return found


def future(authority: Authority, made: Certificates) -> None:
    """`openssl ca` is the one command of all openssl 3.0 that takes a date to begin."""
    folder = authority.folder
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("1000\n")
    (folder / "ca.conf").write_text(
        "[ca]\ndefault_ca=d\n[d]\n"
        f"database={folder}/index.txt\nserial={folder}/serial\nnew_certs_dir={folder}\n"
        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
    )
    openssl(
        *["ca", "-batch", "-config", folder / "ca.conf", "-cert", authority.ca],
        *["-keyfile", folder / "ca.key", "-in", folder / "broker.csr", "-out", made.server_cert],
        *["-startdate", "20480101000000Z", "-enddate", "20490101000000Z", "-notext"],
        *["-extfile", folder / "ext"],
    )
