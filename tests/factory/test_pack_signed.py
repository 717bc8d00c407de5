"""``pack --sign``: what the gateway asks for, and nothing that is not signed with it."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from pathlib import Path

import pytest

from edge_agent.archive import read_archive
from edge_agent.bundle import load_bundle
from edge_agent.errors import ConfigError
from edge_agent.signing import read_public_keys
from edge_agent.store import Store
from tests.support.keys import make_key, sign_bundle
from tests.support.tiny_bundle import tiny_bundle
from tools.commands import pack


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "tiny")


def run(*words: object) -> int:
    parser = argparse.ArgumentParser()
    pack.arguments(parser)
    return pack.run(parser.parse_args([str(word) for word in words]))


def test_a_signed_archive_installs_where_its_key_is_asked_for(
    bundle: Path, tmp_path: Path, capsys
) -> None:
    """And the key's id is printed on both sides. The folder stays unsigned."""
    private, public = make_key(tmp_path)
    out = tmp_path / "x.tar.gz"
    run(bundle, "--out", out, "--sign", private)
    (signer,) = re.findall(r"signed by key (\w{12})", capsys.readouterr().out)
    change = Store(tmp_path / "store", read_public_keys(public)).install(out)
    assert change.claim.signed_by == signer
    assert load_bundle(bundle).signature is None


def test_a_signature_stays_with_what_it_signs(bundle: Path, tmp_path: Path) -> None:
    """Packed as it is, the bundle keeps it; under another version it is worth nothing."""
    private, public = make_key(tmp_path)
    sign_bundle(bundle, private)
    run(bundle, "--out", tmp_path / "x.tar.gz")
    run(bundle, "--out", tmp_path / "y.tar.gz", "--version", "2")
    kept = read_archive(tmp_path / "x.tar.gz", tmp_path / "x")
    assert load_bundle(kept, read_public_keys(public)).signed_by
    assert load_bundle(read_archive(tmp_path / "y.tar.gz", tmp_path / "y")).signature is None


def test_no_archive_without_the_key_that_was_named(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.pem"):
        run(bundle, "--out", tmp_path / "x.tar.gz", "--sign", tmp_path / "absent.pem")
    assert not (tmp_path / "x.tar.gz").exists()


def test_weights_of_a_generator_are_packed(bundle: Path, tmp_path: Path) -> None:
    """They are not in memory like the other files."""
    content = json.loads((bundle / "bundle.json").read_text())
    (bundle / "weights.bin").write_bytes(b"many")
    digest = hashlib.sha256(b"many").hexdigest()
    content["files"]["weights.bin"] = {"sha256": digest, "size_bytes": 4}
    (bundle / "bundle.json").write_text(json.dumps(content))
    run(bundle, "--out", tmp_path / "x.tar.gz")
    assert (
        read_archive(tmp_path / "x.tar.gz", tmp_path / "x") / "weights.bin"
    ).read_bytes() == b"many"
