"""Signatures: only bundles signed by a configured key are used, and each refusal says why."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.bundle import load_bundle
from edge_agent.cli import main
from edge_agent.errors import BundleError, ConfigError
from edge_agent.manifest import MANIFEST, SIGNATURE
from edge_agent.signing import public_keys_of, read_public_keys, sign
from tests.support.agent_process import write_config
from tests.support.keys import make_key, sign_bundle
from tests.support.openssl import openssl

PRIVATE = "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n"
NO_KEY = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, Path]:
    return make_key(tmp_path)


def refusal(bundle: Path, public: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(bundle, read_public_keys(public))
    assert "--sign KEY.pem" in caught.value.fix
    return caught.value.problem


def test_a_bundle_signed_by_openssl_is_used(tiny: Path, key: tuple[Path, Path]) -> None:
    """And says by which key; without a configured key nothing is checked."""
    private, public = key
    keys = read_public_keys(public)
    bundle = load_bundle(sign_bundle(tiny, private), keys)
    assert bundle.signed_by is not None
    assert keys == read_public_keys(public)
    assert load_bundle(tiny).signed_by is None


def test_our_signature_is_openssls(tiny: Path, key: tuple[Path, Path]) -> None:
    """Ed25519 has one signature for a key and a text."""
    private, _ = key
    sign_bundle(tiny, private)
    assert sign((tiny / MANIFEST).read_bytes(), private) == (tiny / SIGNATURE).read_bytes()


def test_an_unsigned_bundle(tiny: Path, key: tuple[Path, Path]) -> None:
    assert f"not signed ({SIGNATURE} is missing)" in refusal(tiny, key[1])


def test_a_bundle_signed_by_somebody_else(
    tiny: Path, key: tuple[Path, Path], tmp_path: Path
) -> None:
    """The keys that would do are named."""
    stranger, _ = make_key(tmp_path, "stranger")
    said = refusal(sign_bundle(tiny, stranger), key[1])
    assert "was not made over this manifest by a key of" in said
    assert str(key[1]) in said


def test_a_manifest_changed_after_signing(tiny: Path, key: tuple[Path, Path]) -> None:
    """Even by a blank."""
    sign_bundle(tiny, key[0])
    (tiny / MANIFEST).write_bytes((tiny / MANIFEST).read_bytes() + b" ")
    assert "was not made over this manifest" in refusal(tiny, key[1])


def test_a_file_changed_after_signing(tiny: Path, key: tuple[Path, Path]) -> None:
    """The signed manifest holds its digest."""
    sign_bundle(tiny, key[0])
    content = (tiny / "model.onnx").read_bytes()
    (tiny / "model.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BundleError, match=r"model\.onnx is damaged"):
        load_bundle(tiny, read_public_keys(key[1]))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds 0 bytes"),
        (base64.b64encode(bytes(63)), "holds 63 bytes"),
        (base64.b64encode(bytes(64)), "was not made over this manifest"),
        (bytes(64), "is no line of Base64"),
        ("é".encode(), "is no line of Base64"),
        (b"A" * 1000, "is no line of Base64"),
    ],
)
def test_a_signature_that_is_none(
    tiny: Path, key: tuple[Path, Path], content: bytes, said: str
) -> None:
    (tiny / SIGNATURE).write_bytes(content)
    assert said in refusal(tiny, key[1])


def test_a_signature_that_is_a_link(tiny: Path, key: tuple[Path, Path]) -> None:
    """Also one that leads nowhere."""
    (tiny / SIGNATURE).symlink_to("/nowhere")
    with pytest.raises(BundleError, match=f"{SIGNATURE} is a link"):
        load_bundle(tiny, read_public_keys(key[1]))


def test_keys_are_rotated_with_both_in_the_file(
    tiny: Path, key: tuple[Path, Path], tmp_path: Path
) -> None:
    """Bundles of either key are used until the old one is taken out."""
    private, public = make_key(tmp_path, "next")
    both = tmp_path / "both.pem"
    both.write_bytes(key[1].read_bytes() + b"\nnext year's:\n" + public.read_bytes())
    old = load_bundle(sign_bundle(tiny, key[0]), read_public_keys(both)).signed_by
    new = load_bundle(sign_bundle(tiny, private), read_public_keys(both)).signed_by
    assert old != new
    assert "was not made over this manifest" in refusal(tiny, key[1])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no PEM block"),
        ("ssh-ed25519 AAAA", "no PEM block"),
        (NO_KEY, "cannot be read"),
        (PRIVATE, "holds a private key, which must not be on a gateway"),
        (NO_KEY.replace("PUBLIC KEY", "CERTIFICATE"), "cannot be read"),
    ],
)
def test_a_public_key_file_that_is_none(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "key.pem").write_text(content)
    with pytest.raises(ConfigError, match=said) as caught:
        read_public_keys(tmp_path / "key.pem")
    assert "key.pem" in caught.value.problem
    assert "openssl pkey -in" in caught.value.fix


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("x25519", [], "is no Ed25519 key"),
        ("rsa", [], "is no Ed25519 key"),
        ("EC", ["-pkeyopt", "ec_paramgen_curve:secp112r1"], "cannot be read: Curve"),
    ],
)
def test_keys_of_another_kind(tmp_path: Path, kind: str, options: list[str], said: str) -> None:
    """Public or private; also kinds that the library has never heard of."""
    private, public = tmp_path / "key.pem", tmp_path / "key.pub.pem"
    openssl("genpkey", "-algorithm", kind, *options, "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    with pytest.raises(ConfigError, match=said):
        read_public_keys(public)
    with pytest.raises(ConfigError, match=said):
        sign(b"x", private)


def test_a_private_key_with_a_passphrase(key: tuple[Path, Path], tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    openssl("pkey", "-in", key[0], "-aes256", "-passout", "pass:x", "-out", locked)
    with pytest.raises(ConfigError, match="is encrypted"):
        public_keys_of(locked)


@pytest.mark.parametrize("name", ["absent.pem", "."])
def test_a_key_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"No such file|Is a directory"):
        read_public_keys(tmp_path / name)


@pytest.mark.parametrize("command", ["check-config", "run"])
def test_a_configured_key_is_asked_for(
    tiny: Path, key: tuple[Path, Path], capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """Unsigned: 78 before anything is contacted."""
    model = {"bundle": str(tiny), "public_key_file": str(key[1]), "threads": 1}
    config = write_config(tiny.parent / "c.toml", 1, None, model=model)
    assert main([command, "--config", str(config)]) == 78
    assert "not signed" in capsys.readouterr().err


def test_check_config_says_who_signed(
    tiny: Path, key: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    sign_bundle(tiny, key[0])
    model = {"bundle": str(tiny), "public_key_file": str(key[1]), "threads": 1}
    config = write_config(tiny.parent / "c.toml", 1, None, model=model)
    assert main(["check-config", "--config", str(config)]) == 0
    assert "bundle tiny (signed by key " in capsys.readouterr().err


def test_infer_asks_only_if_told(tiny: Path, key: tuple[Path, Path], capsys) -> None:
    words = ["infer", "--bundle", str(tiny), "pump leaking"]
    assert main(words) == 0
    assert main([*words, "--public-key", str(key[1])]) == 78
    assert "not signed" in capsys.readouterr().err


WITHOUT = """
import sys
sys.modules["cryptography"] = sys.modules["cryptography.exceptions"] = None
from pathlib import Path
from edge_agent.errors import SetupError
from edge_agent.signing import read_public_keys
try:
    read_public_keys(Path(sys.argv[1]))
except SetupError as error:
    print(error.problem, "|", error.fix)
"""


def test_without_the_library_the_fix_is_its_installation(key: tuple[Path, Path]) -> None:
    """A gateway that needs no signatures does without its megabytes."""
    command = [sys.executable, "-c", WITHOUT, str(key[1])]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "signatures cannot be checked" in said
    assert "| pip install 'edge-agent[signing]'" in said
