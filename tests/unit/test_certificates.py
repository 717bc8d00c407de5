"""Certificates made by openssl, and what is read of them."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.certificates import Certificate, first_to_expire, read_certificates
from edge_agent.errors import ConfigError
from tests.support.broker import make_certificates
from tests.support.openssl import openssl


def as_openssl_says(path: Path, what: str) -> float:
    """Unix time of ``startdate`` or ``enddate``."""
    shown = openssl("x509", "-in", path, "-noout", f"-{what}").decode()
    return float(ssl.cert_time_to_seconds(shown.strip().partition("=")[2]))


def new_certificate(folder: Path, subject: str, days: int) -> Path:
    path = folder / f"{days}.pem"
    files = ("-keyout", folder / "key", "-out", path)
    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", subject, "-days", days, *files
    )
    return path


@pytest.mark.parametrize("name", ["ca.pem", "client.pem", "server.pem"])
def test_reads_what_openssl_reads(tmp_path: Path, name: str) -> None:
    """An authority and pairs it signed: subject and both dates."""
    made = make_certificates(tmp_path)
    path = made.ca.parent / name
    (found,) = read_certificates(path)
    assert found.not_before_s == as_openssl_says(path, "startdate")
    assert found.not_after_s == as_openssl_says(path, "enddate")
    assert (
        found.name
        == {"ca": "Test authority", "client": "edge-agent", "server": "localhost"}[path.stem]
    )


def test_dates_after_2049(tmp_path: Path) -> None:
    """They are written in another form."""
    path = new_certificate(tmp_path, "/O=no common name", 20_000)
    (found,) = read_certificates(path)
    assert found.not_after_s == as_openssl_says(path, "enddate")
    assert found.name == ""


def test_a_file_with_several(tmp_path: Path) -> None:
    """Old and new authority beside each other, with text between."""
    made = make_certificates(tmp_path)
    both = tmp_path / "both.pem"
    both.write_text(f"old\n{made.ca.read_text()}\nnew ü\n{made.server_cert.read_text()}")
    assert [one.name for one in read_certificates(both)] == ["Test authority", "localhost"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", "no certificate in it"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "damaged"),
        (b"-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----", "damaged"),
    ],
)
def test_unusable_files(tmp_path: Path, content: bytes | None, words: str) -> None:
    """Told with the file's name and what to do."""
    path = tmp_path / "client.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        read_certificates(path)
    assert str(path) in caught.value.problem
    assert str(path) in caught.value.fix


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good certificate."""
    return new_certificate(tmp_path_factory.mktemp("whole"), "/CN=x", 1)


@given(
    changes=st.dictionaries(st.integers(28, 400), st.sampled_from(b"ABCDabcd0123+/"), max_size=3)
)
def test_hostile_bytes(whole: Path, changes: dict[int, int]) -> None:
    """A certificate with some bytes changed is read or refused, and nothing else happens."""
    body = bytearray(whole.read_bytes())
    for at, byte in changes.items():
        body[at] = byte
    changed = whole.with_name("changed.pem")
    changed.write_bytes(body)
    with suppress(ConfigError):
        read_certificates(changed)


def test_the_next_to_expire() -> None:
    """An authority that is over does not hide its successor; all over: the last."""
    old, new, newer = (Certificate(str(i), 0.0, 100.0 * i) for i in (1, 2, 3))
    assert first_to_expire([newer, old, new], 150.0) is new
    assert first_to_expire([newer, old, new], 999.0) is newer
    assert new.days_left(200.0 - 86400) == 1.0
