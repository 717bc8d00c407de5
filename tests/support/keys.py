"""Ed25519 keys as openssl writes them, and its signatures."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.support.openssl import openssl


def make_key(folder: Path, name: str = "key") -> tuple[Path, Path]:
    """A private key and its public half, each a PEM file."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    return private, public


def sign_bundle(bundle: Path, private: Path) -> Path:
    """Signs a bundle folder without any code of ours. Returns ``bundle``."""
    manifest = bundle / "bundle.json"
    raw = openssl("pkeyutl", "-sign", "-rawin", "-inkey", private, "-in", manifest)
    (bundle / "bundle.json.sig").write_bytes(base64.b64encode(raw) + b"\n")
    return bundle
