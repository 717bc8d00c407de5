"""What it takes to be let in: password files and certificates."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_agent.assembly import last_will
from edge_agent.errors import ConfigError
from edge_agent.settings import load_config
from edge_agent.transport.address import (
    BrokerAddress,
    broker_address,
    read_password,
    tls_context,
)
from tests.support.broker import Certificates, make_certificates
from tests.support.openssl import openssl


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority and two pairs."""
    return make_certificates(tmp_path_factory.mktemp("pems"))


def address(**changes: Path) -> BrokerAddress:
    return BrokerAddress("localhost", 8883, "c", tls=True, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b" with blanks \n", " with blanks "),
        (b"secret\nand a note\n", "secret"),
        ("gehöim\n".encode(), "gehöim"),
        (b"", ""),
    ],
)
def test_a_password_is_the_first_line(tmp_path: Path, content: bytes, password: str) -> None:
    """Without its end, and otherwise as it is."""
    (tmp_path / "password").write_bytes(content)
    assert read_password(tmp_path / "password") == password


def test_no_password_file_no_password() -> None:
    """A user without one."""
    assert read_password(None) is None


def test_an_unreadable_password_is_a_persons_to_mend(tmp_path: Path) -> None:
    """The setting is named, the content is not."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name in ("absent", "binary"):
        with pytest.raises(ConfigError, match=r"mqtt\.password_file") as caught:
            read_password(tmp_path / name)
        assert "mode 0600" in caught.value.fix


def test_tls_checks_name_and_authority(pems: Certificates) -> None:
    """Never turned off, and nothing older than 1.2."""
    context = tls_context(address(ca_file=pems.ca))
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert [ca["subject"] for ca in context.get_ca_certs()] == [
        ((("commonName", "Test authority"),),)
    ]


def test_an_authority_without_key_usage_is_taken(
    pems: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `openssl req -x509` makes it. What Python has by default from 3.13 on refuses it."""
    default = ssl.create_default_context

    def newer(**given: Any) -> ssl.SSLContext:
        context = default(**given)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", newer)
    context = tls_context(address(ca_file=pems.ca))
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT


def test_without_an_authority_the_systems_count() -> None:
    """Whatever they are here, the broker must show a certificate by one of them."""
    context = tls_context(address())
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_client_certificate_is_taken(pems: Certificates) -> None:
    """Certificate and key that belong together."""
    assert tls_context(
        address(ca_file=pems.ca, cert_file=pems.client_cert, key_file=pems.client_key)
    )


def test_certificates_that_cannot_be_used(pems: Certificates, tmp_path: Path) -> None:
    """No file, no PEM, a key of another certificate: a person's to mend, with the files' names."""
    (tmp_path / "no.pem").write_text("no certificate")
    wrong = [
        {"ca_file": tmp_path / "absent.pem"},
        {"ca_file": tmp_path / "no.pem"},
        {"ca_file": pems.ca, "cert_file": pems.client_cert, "key_file": pems.server_key},
        {"ca_file": pems.ca, "cert_file": pems.client_cert, "key_file": tmp_path / "absent"},
    ]
    for files in wrong:
        with pytest.raises(ConfigError, match=r"mqtt\.tls") as caught:
            tls_context(address(**files))
        assert all(str(path) in caught.value.problem for path in files.values())


def test_a_key_with_a_passphrase_is_refused(pems: Certificates, tmp_path: Path) -> None:
    """At once, at a terminal too: nobody may be there to type it."""
    key = tmp_path / "locked.key"
    openssl("ec", "-in", pems.client_key, "-aes256", "-passout", "pass:secret", "-out", key)
    files = {"ca_file": pems.ca, "cert_file": pems.client_cert, "key_file": key}
    with pytest.raises(ConfigError, match=r"mqtt\.tls"):
        tls_context(address(**files))
    shown = at_a_terminal(
        "from edge_agent.transport.address import BrokerAddress, tls_context\n"
        f"tls_context(BrokerAddress('h', 1, 'c', **{ {k: str(v) for k, v in files.items()} }))"
    )
    assert "ConfigError" in shown
    assert "pass phrase" not in shown


def at_a_terminal(code: str) -> str:
    """What a fresh interpreter says on a terminal where nobody types."""
    spawn = f"import pty; pty.spawn([{sys.executable!r}, '-c', {code!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", spawn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
        return process.stdout.read()


def test_every_setting_reaches_the_connection(tmp_path: Path) -> None:
    """And the last will says `offline` below our prefix."""
    (tmp_path / "c.toml").write_text(
        '[gateway]\nid = "t"\n[[source]]\nfilter = "site/#"\n'
        '[mqtt]\nhost = "h"\nport = 8883\nclient_id = "me"\nusername = "u"\n'
        'password_file = "p"\nprotocol = "3.1.1"\nkeepalive_s = 7\nsession_expiry_s = 61\n'
        "receive_maximum = 3\nconnect_timeout_s = 4\nmax_reconnect_wait_s = 5\n"
        '[mqtt.tls]\nca_file = "ca"\ncert_file = "cert"\nkey_file = "key"\nwatch_s = 6\n'
        "[limits]\nmax_unacked_bytes = 2048\n"
    )
    config = load_config(tmp_path / "c.toml", [])
    will = last_will(config)
    assert (will.topic, b'"offline"' in will.payload) == ("edge/t/state", True)
    assert broker_address(config) == BrokerAddress(
        *("h", 8883, "me", "u", tmp_path / "p", "3.1.1", True),
        *(tmp_path / "ca", tmp_path / "cert", tmp_path / "key", 6.0),
        *(7, 61, 3, 2048, 4.0, 5.0),
    )
