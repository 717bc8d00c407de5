"""Who a certificate is for and when it is valid, from its PEM file. Standard library only.

``ssl`` tells this of the peer's certificate and of authorities, not of our own; so the few fields
are read from the DER where RFC 5280 (section 4.1) puts them. Nothing is verified here.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from edge_agent.errors import ConfigError

MAX_FILE_BYTES = 4 << 20
DAY_S = 86400.0
COMMON_NAME = bytes.fromhex("0603550403")
"""Object identifier 2.5.4.3 as it stands in a name."""
EXPLICIT_VERSION = 0xA0
UTC_TIME = 0x17
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Certificate:
    """``name`` is the subject's common name, empty where it has none. Unix times."""

    name: str
    not_before_s: float
    not_after_s: float

    def days_left(self, now_s: float) -> float:
        """Below 0 when it is over."""
        return (self.not_after_s - now_s) / DAY_S


def read_certificates(path: Path) -> list[Certificate]:
    """All certificates of a PEM file, at least one. ConfigError when it cannot be read."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES).decode("ascii", "replace")
        found = [_certificate(ssl.PEM_cert_to_DER_cert(block)) for block in PEM.findall(text)]
    except OSError as error:
        raise ConfigError(
            f"certificate {path}: {error.strerror}", f"make {path} readable for this user"
        ) from error
    except (ValueError, IndexError) as error:
        raise ConfigError(
            f"certificate {path}: damaged: {error}", f"copy {path} again from where it came"
        ) from error
    if not found:
        raise ConfigError(
            f"certificate {path}: no certificate in it",
            f"write the certificate into {path} as PEM (-----BEGIN CERTIFICATE-----)",
        )
    return found


def first_to_expire(certificates: list[Certificate], now_s: float) -> Certificate:
    """The next one whose end comes; of those that are all over, the last.

    A file of authorities may hold an old one that is over beside its successor.
    """
    by_end = sorted(certificates, key=lambda certificate: certificate.not_after_s)
    return next((c for c in by_end if c.not_after_s > now_s), by_end[-1])


def _certificate(der: bytes) -> Certificate:
    (_, whole), *_ = _elements(der)
    (_, signed), *_ = _elements(whole)
    fields = [content for tag, content in _elements(signed) if tag != EXPLICIT_VERSION]
    _serial, _algorithm, _issuer, validity, subject, *_ = fields
    not_before_s, not_after_s = (_unix_s(tag, content) for tag, content in _elements(validity))
    return Certificate(_common_name(subject), not_before_s, not_after_s)


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element, one after the other."""
    at = 0
    while at < len(der):
        tag, size, at = der[at], der[at + 1], at + 2
        if size >= 0x80:
            width = size - 0x80
            size, at = int.from_bytes(der[at : at + width], "big"), at + width
        if at + size > len(der):
            raise ValueError("it ends too early")
        yield tag, der[at : at + size]
        at += size


def _unix_s(tag: int, content: bytes) -> float:
    """UTCTime has two digits for the year, which mean 1950 to 2049."""
    text = content.decode("ascii")
    if tag == UTC_TIME:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()


def _common_name(subject: bytes) -> str:
    for _, one in _elements(subject):
        for _, pair in _elements(one):
            if pair.startswith(COMMON_NAME):
                (_, value), *_ = _elements(pair[len(COMMON_NAME) :])
                return value.decode("utf-8", "replace")
    return ""
