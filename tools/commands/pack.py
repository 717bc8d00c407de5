"""``pack``: verifies a bundle and writes it as one archive for the gateway."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

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
    from edge_agent.golden import proof  # noqa: PLC0415
    from tools.bundling.changed import changed  # noqa: PLC0415
    from tools.evaluation.output import unheard  # noqa: PLC0415
    from tools.evaluation.running import read_bundle  # noqa: PLC0415

    check_format(options.out)
    _refuse_place(options)
    bundle = read_bundle(options.bundle)
    asked = {"name": options.name, "version": options.version}
    contents = changed(bundle, {key: value for key, value in asked.items() if value})
    if options.sign:
        contents |= signature(contents, options.sign)
    proved = proof(bundle, threads=1)
    try:
        packed = _write(contents, options)
    except OSError as error:
        raise ToolError(
            f"{options.out}: {error.strerror}", "choose a folder you may write to, with room in it"
        ) from error
    with unheard():
        _print_done(packed, proved, options.out)
    return 0


def _refuse_place(options: argparse.Namespace) -> None:
    out: Path = options.out
    if out.exists() and not (options.force and out.is_file()):
        fix = "choose another name" + (", or add --force to replace it" if out.is_file() else "")
        raise ToolError(f"{out} exists", fix)
    if out.resolve().is_relative_to(options.bundle.resolve()):
        raise ToolError(f"{out} lies inside the bundle", f"choose another folder: --out {out.name}")


def signature(contents: dict[str, bytes], private_key_file: Path) -> dict[str, bytes]:
    """The file that signs ``contents``, by its name. Raises ConfigError and SetupError."""
    from edge_agent.manifest import MANIFEST, SIGNATURE  # noqa: PLC0415
    from edge_agent.signing import sign  # noqa: PLC0415

    return {SIGNATURE: sign(contents[MANIFEST], private_key_file)}


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
