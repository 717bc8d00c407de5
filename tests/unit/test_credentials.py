"""TLS files that are looked at without a broker; with one, see test_renewed_certificates."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.settings import load_config
from edge_agent.transport.address import broker_address
from edge_agent.transport.base import CredentialsSeen
from edge_agent.transport.credentials import Credentials
from tests.support.agent_process import write_config


def test_a_machine_without_a_list_of_authorities(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS without files of ours is set up all the same: OpenSSL may find authorities elsewhere."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))
    config = load_config(write_config(tmp_path / "c.toml", 8883, tiny), [])
    seen: list[CredentialsSeen] = []
    credentials = Credentials(replace(broker_address(config), tls=True), seen.append)
    assert isinstance(credentials.context(), ssl.SSLContext)
    assert seen == [CredentialsSeen({}, None, renewed=False)]
