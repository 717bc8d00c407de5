"""Encryption, broken in each way that technicians meet, and mended as the doctor says."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.doctor.finding import Status
from edge_agent.tls_report import SOON_DAYS
from tests.support.authority import Authority, Secured, future
from tests.support.broker import Broker, make_certificates
from tests.support.clinic import Clinic, commands_in
from tests.support.openssl import openssl

ALL = ("used", "files", "ca", "client", "key", "handshake")


def test_all_is_well(secured: Secured) -> None:
    """Both ends trust each other for years, and the connection works."""
    secured.clinic.require_well(*(f"tls.{name}" for name in ALL), "broker.connect")


def test_not_configured(broker: Broker, tmp_path: Path) -> None:
    """The group is skipped, and stops nothing."""
    clinic = Clinic.open(tmp_path / "gateway", broker.port)
    report = clinic.examine("tls", "broker.connect")
    *tls, connect = report.results
    assert {r.findings[0].text for r in tls} == {"[mqtt.tls] is not configured"}
    assert connect.status is Status.OK


@pytest.mark.parametrize("what", ["ca", "client"])
def test_our_own_certificates_expire(secured: Secured, what: str) -> None:
    """30 days before a warning, then an error; a new one in its place mends it."""
    if what == "ca":
        secured.authority.begin(SOON_DAYS - 5)
    else:
        secured.show(SOON_DAYS - 5)
    check = f"tls.{what}"
    found = secured.clinic.require(check, Status.WARNING, "expires on", "in 24 days")
    secured.at(SOON_DAYS)
    error = secured.clinic.require(check, Status.ERROR, "expired on")
    assert "timedatectl" in commands_in(error.fix or "")[0]
    path = secured.tls["ca_file" if what == "ca" else "cert_file"]
    assert f"into {path}" in (found.fix or "")
    if what == "ca":
        secured.authority.begin()
    else:
        secured.show()
    secured.clinic.require_well(check)


def test_the_successor_of_an_expiring_authority_counts(secured: Secured) -> None:
    """Old and new CA in one file, as in a change of CAs: no warning."""
    new = secured.authority.ca.read_text()
    old = Authority(secured.authority.folder / "old").begin(2).ca.read_text()
    secured.authority.ca.write_text(old + new)
    secured.clinic.require_well("tls.ca", "tls.handshake")


@pytest.mark.parametrize("what", ["ca", "client"])
def test_a_clock_that_is_behind(secured: Secured, what: str) -> None:
    """Not valid yet: the clock is named with its time, and the fix is to set it."""
    secured.at(-400)
    found = secured.clinic.require(f"tls.{what}", Status.ERROR, "not valid before", "clock says")
    assert commands_in(found.fix or "")[0] == "timedatectl set-ntp true"
    secured.at(0)
    secured.clinic.require_well(f"tls.{what}")


def test_the_brokers_certificate_expires(secured: Secured) -> None:
    """A warning while the handshake still succeeds; the broker's renewed, all is well."""
    secured.serve(days=SOON_DAYS - 5)
    found = secured.clinic.require("tls.handshake", Status.WARNING, "the broker's certificate")
    assert "renew the broker's certificate on 127.0.0.1" in (found.fix or "")
    secured.serve()
    secured.clinic.require_well("tls.handshake")


def test_the_brokers_certificate_has_expired(secured: Secured) -> None:
    """The time of the clock stands beside it, for the clock may be what is wrong."""
    secured.serve(days=-1)
    found = secured.clinic.require("tls.handshake", Status.ERROR, "has expired", "clock says")
    assert "renew the broker's certificate" in (found.fix or "")
    secured.serve()
    secured.clinic.require_well("tls.handshake")


def test_the_brokers_certificate_is_not_yet_valid(secured: Secured) -> None:
    """The clock is the first suspect: made by a machine whose clock is days ahead."""
    made = secured.broker.certificates
    assert made is not None
    future(secured.authority, made)
    secured.broker.restart()
    found = secured.clinic.require("tls.handshake", Status.ERROR, "not yet valid", "clock says")
    assert commands_in(found.fix or "")[0] == "timedatectl set-ntp true"


def test_another_name(secured: Secured) -> None:
    """The names it is for are shown, and the first of them, set as host, mends it."""
    secured.serve(names="DNS:localhost,DNS:broker.site")
    found = secured.clinic.require(
        "tls.handshake", Status.ERROR, "localhost, broker.site", "not for 127.0.0.1"
    )
    secured.clinic.follow(found.fix or "")
    assert secured.clinic.settings["mqtt"]["host"] == "localhost"
    secured.clinic.require_well("tls.handshake")


def test_no_name_that_can_be_set(secured: Secured) -> None:
    """A certificate for a wildcard alone: then the certificate is to be mended."""
    secured.serve(names="DNS:*.site")
    found = secured.clinic.require("tls.handshake", Status.ERROR, "*.site")
    assert "be made for 127.0.0.1" in (found.fix or "")


def test_an_authority_we_do_not_trust(secured: Secured) -> None:
    """The certificate of the right one, set as ca_file, mends it."""
    right = secured.tls["ca_file"]
    secured.tls["ca_file"] = Authority(secured.authority.folder / "other").begin().ca
    secured.clinic.write()
    found = secured.clinic.require("tls.handshake", Status.ERROR, "is not trusted")
    secured.clinic.choose(found.fix or "", "mqtt.tls", "ca_file", right)
    secured.clinic.require_well("tls.handshake")


@pytest.mark.parametrize("shown", ["none", "foreign", "expired"])
def test_a_broker_that_turns_us_away(secured: Secured, shown: str) -> None:
    """Without a certificate, or with one it does not trust: its alert is passed on."""
    good = dict(secured.tls)
    if shown == "none":
        del secured.tls["cert_file"], secured.tls["key_file"]
    elif shown == "foreign":
        secured.tls.update(zip(("cert_file", "key_file"), foreign(secured), strict=True))
    else:
        secured.show(days=-1)
    secured.clinic.write()
    found = secured.clinic.require("tls.handshake", Status.ERROR, "the broker turned us away")
    word = {"none": "required", "foreign": "unknown ca", "expired": "expired"}[shown]
    assert word in found.text
    for key in ("cert_file", "key_file"):
        secured.clinic.choose(found.fix or "", "mqtt.tls", key, good[key])
    if shown == "expired":
        secured.show()
    secured.clinic.require_well("tls.handshake", "broker.connect")


def foreign(secured: Secured) -> tuple[Path, Path]:
    return Authority(secured.authority.folder / "foreign").begin().sign("gateway")


def test_a_key_of_another_pair(secured: Secured) -> None:
    """Both files are named; those of one pair mend it."""
    cert, key = secured.tls["cert_file"], secured.tls["key_file"]
    _, other = foreign(secured)
    secured.tls["key_file"] = other
    secured.clinic.write()
    secured.clinic.require("tls.key", Status.ERROR, "do not belong together", str(other), str(cert))
    secured.tls["key_file"] = key
    secured.clinic.write()
    secured.clinic.require_well("tls.key")


def test_a_key_with_a_passphrase(secured: Secured) -> None:
    """Nobody is there to type it: the fix's command takes it off."""
    key = Path(str(secured.tls["key_file"]))
    closed = key.with_suffix(".closed")
    openssl("pkey", "-in", key, "-aes256", "-passout", "pass:horse", "-out", closed)
    key.write_bytes(closed.read_bytes())
    found = secured.clinic.require("tls.key", Status.ERROR, "needs a passphrase")
    first, *others = commands_in(found.fix or "")
    for command in (f"{first} -passin pass:horse", *others):
        subprocess.run(command, shell=True, check=True, capture_output=True)
    assert key.stat().st_mode & 0o777 == 0o600
    assert not Path(f"{key}.new").exists()
    secured.clinic.require_well("tls.key", "tls.handshake")


def test_a_key_that_everybody_may_read(secured: Secured) -> None:
    """The fix's command closes it."""
    key = Path(str(secured.tls["key_file"]))
    key.chmod(0o644)
    found = secured.clinic.require("tls.files", Status.WARNING, str(key), "0644")
    (command,) = commands_in(found.fix or "")
    subprocess.run(command, shell=True, check=True)
    assert key.stat().st_mode & 0o777 == 0o640
    secured.clinic.require_well("tls.files")


@pytest.mark.parametrize("name", ["ca_file", "cert_file", "key_file"])
@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_files_that_cannot_be_used(secured: Secured, name: str, damage: str) -> None:
    """Named; the file in its place mends it. What builds on them is skipped."""
    path = Path(str(secured.tls[name]))
    good = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_text("nothing")
    check = "tls.key" if (name, damage) == ("key_file", "garbage") else "tls.files"
    found = secured.clinic.require(check, Status.ERROR, str(path))
    assert found.fix
    results = {r.check.id: r.status for r in secured.clinic.examine("tls").results}
    assert results["tls.handshake"] is Status.SKIPPED
    path.write_bytes(good)
    path.chmod(0o600)
    secured.clinic.require_well(check, "tls.handshake")


def test_a_port_without_tls(broker: Broker, make_secured: Callable[..., Secured]) -> None:
    """Said as such; the port with TLS mends it."""
    secured = make_secured()
    right, secured.clinic.settings["mqtt"]["port"] = secured.broker.port, broker.port
    secured.clinic.write()
    found = secured.clinic.require("tls.handshake", Status.ERROR)
    secured.clinic.choose(found.fix or "", "mqtt", "port", right)
    secured.clinic.require_well("tls.handshake")


@pytest.fixture
def mute() -> Iterator[int]:
    """A port that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_that_says_nothing(secured: Secured, mute: int) -> None:
    """Waited for only so long."""
    secured.clinic.settings["mqtt"]["port"] = mute
    secured.clinic.write()
    secured.clinic.require("tls.handshake", Status.ERROR, "the handshake took too long")


def test_a_password_in_the_clear(
    make_secured: Callable[..., Secured], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warning where it leaves the machine; with TLS, and its port, all is well."""
    secured = make_secured()
    password = tmp_path / "password"
    password.write_text("secret\n")
    clinic = secured.clinic
    clinic.settings["mqtt"].update(username="gateway", password_file=password)
    tls = clinic.settings["mqtt"].pop("tls")
    clinic.write()
    clinic.require("tls.used", Status.SKIPPED)
    monkeypatch.setattr("edge_agent.doctor.groups.network.Place.here", False)
    found = clinic.require("tls.used", Status.WARNING, "gateway", "unencrypted")
    clinic.choose(found.fix or "", "mqtt", "port", secured.broker.port)
    assert "[mqtt.tls] with `ca_file`" in (found.fix or "")
    clinic.settings["mqtt"]["tls"] = tls
    clinic.write()
    clinic.require_well("tls.used", "tls.handshake")


def test_certificates_of_the_tests_expire_tomorrow(tmp_path: Path) -> None:
    """They are made for a day: what the doctor says of that is in hours, not in days."""
    made = make_certificates(tmp_path)
    clinic = Clinic.open(tmp_path / "gateway", 1, mqtt={"tls": {"ca_file": made.ca}})
    clinic.require("tls.ca", Status.WARNING, "in less than a day")
