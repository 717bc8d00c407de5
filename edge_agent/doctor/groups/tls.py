"""Encryption towards the broker: files, dates, the pair of certificate and key, the handshake."""

from __future__ import annotations

import shlex
import ssl
from datetime import datetime, timezone
from pathlib import Path

from edge_agent.certificates import Certificate, read_certificates
from edge_agent.doctor.check import Check
from edge_agent.doctor.finding import Finding, error, ok, unused, warning
from edge_agent.doctor.groups.network import places
from edge_agent.doctor.patient import Patient
from edge_agent.sections import Tls
from edge_agent.tls_report import SOON_DAYS
from edge_agent.transport.address import broker_address, tls_context
from edge_agent.transport.handshake import SpokenTo, names_shown, speak

NOT_CONFIGURED = "[mqtt.tls] is not configured"
OTHERS_MAY = 0o007
SET_CLOCK = "`sudo timedatectl set-ntp true` sets the clock; then `date` must show today"

EXPIRED, NOT_YET_VALID, WRONG_NAMES = 10, 9, {62, 64}
"""X509_V_ERR_… of OpenSSL's x509_vfy.h."""


def _settings(patient: Patient) -> Tls:
    return patient.config.mqtt.tls or Tls()


def _not_configured(patient: Patient) -> str | None:
    return None if patient.config.mqtt.tls else NOT_CONFIGURED


def used(patient: Patient) -> Finding:
    """Whether it is configured, and whether a password would travel in the clear."""
    mqtt = patient.config.mqtt
    if mqtt.tls is not None:
        return ok(f"required for {mqtt.host} port {mqtt.port}")
    if mqtt.username is None or all(place.here for place in places(patient)):
        return unused(NOT_CONFIGURED)
    return warning(
        f"the password of user {mqtt.username!r} travels to {mqtt.host} unencrypted",
        f"set `port` below [mqtt] in {patient.config_file} to the broker's TLS port, usually 8883, "
        "and add a table [mqtt.tls] with `ca_file`",
    )


def files(patient: Patient) -> list[Finding]:
    """Readable, certificates where there should be, and the key for the agent's eyes only."""
    tls = _settings(patient)
    named = {"ca_file": tls.ca_file, "cert_file": tls.cert_file}
    for path in filter(None, named.values()):
        read_certificates(path)
    shown = [f"{name} {path}" for name, path in named.items() if path] or ["the system's CAs"]
    return [ok(", ".join(shown)), *(_key_mode(tls.key_file) if tls.key_file else [])]


def _key_mode(key: Path) -> list[Finding]:
    path = shlex.quote(str(key))
    try:
        mode = key.stat().st_mode & 0o777
    except PermissionError:
        raise
    except OSError as failure:
        return [error(f"mqtt.tls.key_file {key}: {failure.strerror}", f"write the key to {key}")]
    if mode & OTHERS_MAY:
        return [
            warning(
                f"everybody may read the key {key} (mode {mode:04o})", f"`sudo chmod o= {path}`"
            )
        ]
    return []


def ca_dates(patient: Patient) -> Finding:
    """Of the authority in ca_file; of several, the last to expire."""
    tls = _settings(patient)
    if tls.ca_file is None:
        return unused("mqtt.tls.ca_file is not set: the system's CAs are used")
    found = max(read_certificates(tls.ca_file), key=lambda one: one.not_after_s)
    renew = f"write the certificate of the broker's present CA into {tls.ca_file}"
    return _dates(patient, found, f"the CA in {tls.ca_file}", renew)


def client_dates(patient: Patient) -> Finding:
    """Of our own certificate, which stands first in cert_file."""
    tls = _settings(patient)
    if tls.cert_file is None:
        return unused("mqtt.tls.cert_file is not set: no client certificate is shown")
    found = read_certificates(tls.cert_file)[0]
    renew = f"let your CA sign a new pair and write it into {tls.cert_file} and {tls.key_file}"
    return _dates(patient, found, f"the client certificate {tls.cert_file}", renew)


def _dates(patient: Patient, found: Certificate, what: str, renew: str) -> Finding:
    now_s = patient.clock.unix()
    if found.not_before_s > now_s:
        clock = f"this machine's clock says {_moment(now_s)}"
        return error(
            f"{what} is not valid before {_moment(found.not_before_s)}; {clock}", SET_CLOCK
        )
    left, end = found.days_left(now_s), _moment(found.not_after_s)
    if left <= 0:
        return error(f"{what} expired on {end}", f"{renew}; if that date is to come, {SET_CLOCK}")
    if left < SOON_DAYS:
        return warning(f"{what} expires on {end}, in {_days(left)}", renew)
    return ok(f"{what} is valid until {end}")


def key(patient: Patient) -> Finding:
    """Whether it is the key of the client certificate, and needs no passphrase."""
    tls = _settings(patient)
    if tls.cert_file is None or tls.key_file is None:
        return unused("mqtt.tls.key_file is not set")
    pair = f"mqtt.tls: {tls.key_file} and {tls.cert_file}"
    try:
        ssl.create_default_context().load_cert_chain(tls.cert_file, tls.key_file, _no_passphrase)
    except ssl.SSLError as failure:
        if failure.reason == "KEY_VALUES_MISMATCH":
            return error(f"{pair} do not belong together", "set both to files of one pair")
        return error(f"{pair} cannot be used: {failure.reason or failure}", "write both as PEM")
    except _Encrypted:
        path = shlex.quote(str(tls.key_file))
        return error(
            f"the key {tls.key_file} needs a passphrase, and nobody is there to type it",
            f"`sudo openssl pkey -in {path} -out {path}.new`, type it once, then "
            f"`sudo cp {path}.new {path}` and `sudo rm {path}.new`",
        )
    return ok("the key belongs to the client certificate")


class _Encrypted(Exception):
    """OpenSSL asks for a passphrase."""


def _no_passphrase() -> str:
    raise _Encrypted


def handshake(patient: Patient) -> list[Finding]:
    """Chain, host name and dates, as the agent checks them, and what the broker makes of us."""
    address = broker_address(patient.config)
    try:
        spoken = speak(address, tls_context(address))
    except ssl.SSLCertVerificationError as refusal:
        return [_distrusted(patient, refusal)]
    except ssl.SSLError as failure:
        return [_failed(patient, failure)]
    except OSError as failure:
        why = "took too long" if isinstance(failure, TimeoutError) else "broke off"
        return [error(f"broker {address}: the handshake {why}", _wrong_port(patient), str(failure))]
    return [ok(f"{spoken.version}, {spoken.cipher}"), _server_dates(patient, spoken)]


def _server_dates(patient: Patient, spoken: SpokenTo) -> Finding:
    renew = f"renew the broker's certificate on {patient.config.mqtt.host}"
    return _dates(patient, spoken.certificate, "the broker's certificate", renew)


def _distrusted(patient: Patient, refusal: ssl.SSLCertVerificationError) -> Finding:
    mqtt, now = patient.config.mqtt, _moment(patient.clock.unix())
    if refusal.verify_code == EXPIRED:
        renew = f"renew the broker's certificate (or its CA's) on {mqtt.host}"
        return error(
            f"the certificate that {mqtt.host} shows has expired; this machine's clock says {now}",
            f"{renew}; if the clock is wrong, {SET_CLOCK}",
        )
    if refusal.verify_code == NOT_YET_VALID:
        return error(
            f"the certificate that {mqtt.host} shows is not yet valid; this machine's clock says "
            f"{now}",
            SET_CLOCK,
        )
    if refusal.verify_code in WRONG_NAMES:
        return _other_name(patient, names_shown(broker_address(patient.config)))
    return error(
        f"the broker's certificate is not trusted: {refusal.verify_message}",
        f"set `ca_file` below [mqtt.tls] in {patient.config_file} to the certificate of the CA "
        "that signed the broker's",
    )


def _other_name(patient: Patient, names: list[str]) -> Finding:
    shown = ", ".join(names) or "no name at all"
    plain = [name for name in names if "*" not in name]
    fix = f'set `host = "{plain[0]}"` below [mqtt] in {patient.config_file}' if plain else ""
    return error(
        f"the broker's certificate is for {shown}, not for {patient.config.mqtt.host}",
        fix or f"let the broker's certificate be made for {patient.config.mqtt.host}",
    )


def _failed(patient: Patient, failure: ssl.SSLError) -> Finding:
    reason = failure.reason or str(failure)
    if "ALERT" not in reason:
        text = f"{patient.config.mqtt.host} port {patient.config.mqtt.port} does not speak TLS"
        return error(f"{text}: {reason}", _wrong_port(patient))
    said = reason.partition("ALERT_")[2].replace("_", " ").lower()
    return error(
        f"the broker turned us away: {said}",
        f"set `cert_file` and `key_file` below [mqtt.tls] in {patient.config_file} to a valid pair "
        "signed by a CA that the broker trusts",
    )


def _wrong_port(patient: Patient) -> str:
    return (
        f"set `port` below [mqtt] in {patient.config_file} to the broker's TLS port, usually 8883, "
        "or remove [mqtt.tls]"
    )


def _days(left: float) -> str:
    days = int(left)
    return {0: "less than a day", 1: "a day"}.get(days, f"{days} days")


def _moment(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, timezone.utc):%Y-%m-%d %H:%M} UTC"


CHECKS = (
    Check(
        "tls.used",
        "whether a password travels in the clear",
        used,
        ("network.resolve",),
        mends="a table [mqtt.tls], and the broker's TLS port",
    ),
    Check(
        "tls.files",
        "whether files are readable, the key by the agent alone",
        files,
        unless=_not_configured,
        mends="the files it names; `chmod o=` for the key",
    ),
    Check(
        "tls.ca",
        "whether the CA is valid, for 30 days or more",
        ca_dates,
        ("tls.files",),
        unless=_not_configured,
        mends="the CA's new certificate; the clock",
    ),
    Check(
        "tls.client",
        "whether our certificate is",
        client_dates,
        ("tls.files",),
        unless=_not_configured,
        mends="a new pair; the clock",
    ),
    Check(
        "tls.key",
        "whether the key belongs to our certificate",
        key,
        ("tls.files",),
        unless=_not_configured,
        mends="both files of one pair; `openssl pkey` takes a passphrase off",
    ),
    Check(
        "tls.handshake",
        "chain, host name, dates; whether ours is accepted",
        handshake,
        ("network.tcp", "tls.files", "tls.key"),
        4.0,
        unless=_not_configured,
        mends="mqtt.host as in the certificate, ca_file, cert_file, the port, the clock",
    ),
)
