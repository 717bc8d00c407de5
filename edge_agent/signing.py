"""Ed25519 signatures: made on the workstation, checked on the gateway.

The only importer of cryptography, which is asked for only where a key is configured. A signature
is one line of Base64 over the bytes of ``bundle.json``, which holds the digest of every other file.
``openssl pkeyutl -sign -rawin`` makes the same one.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_agent.errors import ConfigError, SetupError

MAX_KEY_FILE_BYTES = 64 << 10
MAX_SIGNATURE_BYTES = 256
SIGNATURE_BYTES = 64
PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
PUBLIC_FIX = "write it anew: openssl pkey -in KEY.pem -pubout -out KEY.pub.pem"
PRIVATE_FIX = "make one without a passphrase: openssl genpkey -algorithm ed25519 -out KEY.pem"


class BadSignature(ValueError):
    """Says what is wrong with a signature, to be put after its name."""


@dataclass(frozen=True)
class PublicKeys:
    """The Ed25519 keys of one file (32 bytes each): a signature by any of them will do."""

    file: Path
    keys: tuple[bytes, ...]

    def verify(self, message: bytes, signature: bytes) -> str:
        """The id of the key that signed. Raises BadSignature."""
        crypto = _cryptography()
        raw = decode_signature(signature)
        for key in self.keys:
            try:
                crypto.public_type.from_public_bytes(key).verify(raw, message)
            except crypto.invalid_signature:
                continue
            return key_id(key)
        ids = ", ".join(map(key_id, self.keys))
        raise BadSignature(f"was not made over this manifest by a key of {self.file} ({ids})")


def key_id(key: bytes) -> str:
    """A short name for a public key."""
    return hashlib.sha256(key).hexdigest()[:12]


def decode_signature(text: bytes) -> bytes:
    """The 64 bytes of a signature file. Raises BadSignature."""
    try:
        raw = base64.b64decode(text.rstrip(b"\r\n"), validate=True)
    except ValueError as error:
        raise BadSignature("is no line of Base64") from error
    if len(raw) != SIGNATURE_BYTES:
        raise BadSignature(f"holds {len(raw)} bytes, an Ed25519 signature has {SIGNATURE_BYTES}")
    return raw


def read_public_keys(file: Path) -> PublicKeys:
    """The public keys of a PEM file, one after the other. Raises ConfigError and SetupError."""
    blocks = [found[0] for found in PEM_BLOCK.finditer(_read(file))]
    if not blocks:
        raise ConfigError(f"public key {file}: no PEM block in it", PUBLIC_FIX)
    return PublicKeys(file, tuple(_public_key(file, block) for block in blocks))


def sign(message: bytes, private_key_file: Path) -> bytes:
    """One line of Base64. Raises ConfigError and SetupError."""
    signature: bytes = _private_key(private_key_file).sign(message)
    return base64.b64encode(signature) + b"\n"


def public_keys_of(private_key_file: Path) -> PublicKeys:
    """The public half of a private key. Raises ConfigError and SetupError."""
    key: bytes = _private_key(private_key_file).public_key().public_bytes_raw()
    return PublicKeys(private_key_file, (key,))


def _public_key(file: Path, block: bytes) -> bytes:
    crypto = _cryptography()
    if b"PRIVATE KEY" in block.partition(b"\n")[0]:
        raise ConfigError(
            f"public key {file}: holds a private key, which must not be on a gateway",
            f"remove it here; where the key is kept: openssl pkey -in {file.name} -pubout",
        )
    try:
        key = crypto.load_public(block)
    except crypto.refusals as error:
        raise ConfigError(f"public key {file}: cannot be read: {error}", PUBLIC_FIX) from error
    if not isinstance(key, crypto.public_type):
        raise ConfigError(f"public key {file}: is no Ed25519 key", PUBLIC_FIX)
    raw: bytes = key.public_bytes_raw()
    return raw


def _private_key(file: Path) -> Any:
    crypto = _cryptography()
    try:
        key = crypto.load_private(_read(file), password=None)
    except crypto.refusals as error:
        raise ConfigError(f"private key {file}: cannot be read: {error}", PRIVATE_FIX) from error
    if not isinstance(key, crypto.private_type):
        raise ConfigError(f"private key {file}: is no Ed25519 key", PRIVATE_FIX)
    return key


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise ConfigError(
            f"key {file}: {error.strerror}", "correct the path, or make the file readable"
        ) from error


@dataclass(frozen=True)
class _Cryptography:
    """What is used of the library."""

    load_public: Callable[..., Any]
    load_private: Callable[..., Any]
    public_type: type[Any]
    private_type: type[Any]
    invalid_signature: type[Exception]
    refusals: tuple[type[Exception], ...]


def _cryptography() -> _Cryptography:
    try:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm  # noqa: PLC0415
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError as error:
        raise SetupError(
            f"signatures cannot be checked or made: {error}", "pip install 'edge-agent[signing]'"
        ) from error
    return _Cryptography(
        serialization.load_pem_public_key,
        serialization.load_pem_private_key,
        ed25519.Ed25519PublicKey,
        ed25519.Ed25519PrivateKey,
        InvalidSignature,
        (ValueError, TypeError, UnsupportedAlgorithm),
    )
