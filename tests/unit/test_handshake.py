"""A handshake beside the running connection, with a server that says yes, no, or nothing."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.transport.address import BrokerAddress, tls_context
from edge_agent.transport.credentials import tried
from tests.support.broker import Certificates, make_certificates

Serve = Callable[[bool], BrokerAddress]


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path / "made")


@pytest.fixture
def serve(made: Certificates) -> Iterator[Serve]:
    """A TLS server for one client: it waits for the client's word, or hangs up at once."""
    with contextlib.ExitStack() as stack:

        def start(patient: bool) -> BrokerAddress:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(made.server_cert, made.server_key)

            def answer() -> None:
                plain, _ = listener.accept()
                with contextlib.suppress(OSError), context.wrap_socket(plain, True) as secured:
                    if patient:
                        secured.recv(1)

            thread = threading.Thread(target=answer, daemon=True)
            thread.start()
            stack.callback(thread.join)
            port = listener.getsockname()[1]
            return BrokerAddress("localhost", port, "me", tls=True, ca_file=made.ca)

        yield start


def test_a_server_that_waits_for_our_word(serve: Serve) -> None:
    """Goes with our files, as far as a handshake can tell."""
    address = serve(True)
    assert tried(address, tls_context(address)) is None


def test_a_server_that_hangs_up(serve: Serve) -> None:
    """After the handshake and without a reason: taken for a no, with the command that shows it."""
    address = serve(False)
    refusal = tried(address, tls_context(address))
    assert refusal is not None
    assert "hung up" in refusal.problem
    assert f"openssl s_client -brief -connect {address} -CAfile {address.ca_file}" in refusal.fix


def test_nobody_there(made: Certificates) -> None:
    """No word at all is no yes."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    address = BrokerAddress("localhost", port, "me", tls=True, ca_file=made.ca)
    assert tried(address, tls_context(address)) is not None
