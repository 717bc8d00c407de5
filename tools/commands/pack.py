"""``pack``: verifies a bundle and writes it as one archive for the gateway."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.bundling.pack import CARD
from tools.errors import ToolError

if TYPE_CHECKING:
    from edge_agent.bundle import Bundle


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("bundle", type=Path, help="bundle folder; it is only read")
    add("--out", type=Path, required=True, metavar="FILE.tar.zst", help="or FILE.tar.gz")
    add("--name", help="another name for the packed copy")
    add("--version", help="another version for the packed copy")
    add("--sign", type=Path, metavar="KEY.pem", help="Ed25519 private key to sign it with")
    add("--force", action="store_true", help="replace FILE")


def run(options: argparse.Namespace) -> int:
    """0 when the archive is written and was read back. Raises ToolError and AgentError."""
    from edge_agent.archive import check_format  # noqa: PLC0415
    from edge_agent.bundle import load_bundle  # noqa: PLC0415
    from edge_agent.golden import proof  # noqa: PLC0415

    check_format(options.out)
    _refuse_place(options)
    bundle = load_bundle(options.bundle)
    contents = renamed(bundle, options.name or bundle.card.name, options.version)
    if options.sign:
        contents |= signature(contents, options.sign)
    proved = proof(bundle, threads=1)
    try:
        packed = _write(contents, options)
    except OSError as error:
        raise ToolError(
            f"{options.out}: {error.strerror}", "choose a folder you may write to, with room in it"
        ) from error
    _print_done(packed, proved, options.out)
    return 0


def _refuse_place(options: argparse.Namespace) -> None:
    out: Path = options.out
    if out.exists() and not (options.force and out.is_file()):
        fix = "choose another name" + (", or add --force to replace it" if out.is_file() else "")
        raise ToolError(f"{out} exists", fix)
    if out.resolve().is_relative_to(options.bundle.resolve()):
        raise ToolError(f"{out} lies inside the bundle", f"choose another folder: --out {out.name}")


def renamed(bundle: Bundle, name: str, version: str | None) -> dict[str, bytes]:
    """The bundle's files, manifest included; under another name or version if these differ.

    Then the card's heading and the digests follow, and the provenance names the origin.
    """
    from edge_agent.manifest import MANIFEST, SIGNATURE  # noqa: PLC0415

    old, contents = bundle.card, _files(bundle)
    version = version or old.version
    if (name, version) == (old.name, old.version):
        return contents
    manifest = json.loads(bundle.raw)
    manifest |= {"name": name, "version": version}
    origin = {"name": old.name, "version": old.version, "digest": bundle.digest}
    manifest["provenance"] = {**manifest.get("provenance", {}), "packed_from": origin}
    heading = f"# {old.name} {old.version}\n".encode()
    if contents.get(CARD, b"").startswith(heading):
        contents[CARD] = f"# {name} {version}\n".encode() + contents[CARD].removeprefix(heading)
        manifest["files"][CARD] = _entry(contents[CARD])
    contents.pop(SIGNATURE, None)
    return contents | {MANIFEST: _manifest_bytes(manifest)}


def _files(bundle: Bundle) -> dict[str, bytes]:
    """All of it, signature and large weights too."""
    from edge_agent.manifest import MANIFEST, SIGNATURE  # noqa: PLC0415

    contents = {MANIFEST: bundle.raw, **bundle.contents}
    if bundle.signature is not None:
        contents[SIGNATURE] = bundle.signature
    for name in bundle.manifest.files.keys() - bundle.contents.keys():
        contents[name] = (bundle.path / name).read_bytes()
    return contents


def signature(contents: dict[str, bytes], private_key_file: Path) -> dict[str, bytes]:
    """The file that signs ``contents``, by its name. Raises ConfigError and SetupError."""
    from edge_agent.manifest import MANIFEST, SIGNATURE  # noqa: PLC0415
    from edge_agent.signing import sign  # noqa: PLC0415

    return {SIGNATURE: sign(contents[MANIFEST], private_key_file)}


def _manifest_bytes(manifest: dict[str, Any]) -> bytes:
    """One key a line. Raises ToolError when the name or version cannot stand in it."""
    from pydantic import ValidationError  # noqa: PLC0415

    from edge_agent.manifest import Manifest  # noqa: PLC0415

    rows = [f" {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in manifest.items()]
    raw = ("{\n" + ",\n".join(rows) + "\n}\n").encode()
    try:
        Manifest.model_validate_json(raw)
    except ValidationError as error:
        names = " and ".join(f"--{fault['loc'][0]} {fault['input']!r}" for fault in error.errors())
        raise ToolError(
            f"{names} cannot stand in a manifest",
            "lower-case letters, digits, . _ - in a name; letters, digits, . + - in a version; "
            "at most 64, a letter or digit first",
        ) from error
    return raw


def _entry(content: bytes) -> dict[str, object]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}


def _write(contents: dict[str, bytes], options: argparse.Namespace) -> Bundle:
    """Writes beside ``--out``, reads that back the way the runtime does, then gives it its name."""
    from edge_agent.archive import read_archive  # noqa: PLC0415
    from edge_agent.bundle import load_bundle  # noqa: PLC0415
    from edge_agent.manifest import MANIFEST  # noqa: PLC0415
    from edge_agent.signing import public_keys_of  # noqa: PLC0415
    from tools.bundling.archive import write_archive  # noqa: PLC0415

    out: Path = options.out
    card = json.loads(contents[MANIFEST])
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        fresh = Path(folder) / out.name
        write_archive(fresh, f"{card['name']}-{card['version']}", contents)
        keys = public_keys_of(options.sign) if options.sign else None
        bundle = load_bundle(read_archive(fresh, Path(folder) / "read-back"), keys)
        if not options.force:
            _refuse_place(options)
        os.replace(fresh, out)  # noqa: PTH105
    return bundle


def _print_done(bundle: Bundle, proved: str, out: Path) -> None:
    card = bundle.card
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    signer = f", signed by key {bundle.signed_by}" if bundle.signed_by else ""
    print(f"{card.name} {card.version} ({card.digest[:12]}{signer}): {proved}")
    print(f"wrote {out}, {out.stat().st_size / 1e6:.1f} MB, sha256 {digest}")
    print(f"next: scp {shlex.quote(str(out))} GATEWAY:")
    print(f"then, on the gateway: sudo edge-agent bundle install {shlex.quote(out.name)}")
    if out.name.endswith(".zst"):
        print("edge-agent[zstd] must be installed there; a name that ends in .tar.gz does without")
