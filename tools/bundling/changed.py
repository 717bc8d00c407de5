"""A bundle's files when its manifest says something else: another name, version or task."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from edge_agent.bundle import Bundle
from edge_agent.manifest import MANIFEST, SIGNATURE, Manifest
from tools.bundling.pack import CARD, entry
from tools.errors import ToolError


def changed(bundle: Bundle, changes: dict[str, Any]) -> dict[str, bytes]:
    """The bundle's files, manifest included; ``changes`` are keys of that. Raises ToolError.

    Where they change something, the card's heading and the digests follow, the provenance names the
    origin, and the signature is gone.
    """
    old, contents = bundle.card, _files(bundle)
    manifest = json.loads(bundle.raw)
    if manifest == manifest | changes:
        return contents
    manifest |= changes
    origin = {"name": old.name, "version": old.version, "digest": bundle.digest}
    manifest["provenance"] = {**manifest.get("provenance", {}), "packed_from": origin}
    heading = f"# {old.name} {old.version}\n".encode()
    if contents.get(CARD, b"").startswith(heading):
        fresh = f"# {manifest['name']} {manifest['version']}\n".encode()
        contents[CARD] = fresh + contents[CARD].removeprefix(heading)
        manifest["files"][CARD] = entry(contents[CARD]).model_dump()
    contents.pop(SIGNATURE, None)
    return contents | {MANIFEST: _manifest_bytes(manifest)}


def _files(bundle: Bundle) -> dict[str, bytes]:
    """All of it, signature and large weights too."""
    contents = {MANIFEST: bundle.raw, **bundle.contents}
    if bundle.signature is not None:
        contents[SIGNATURE] = bundle.signature
    for name in bundle.manifest.files.keys() - bundle.contents.keys():
        contents[name] = (bundle.path / name).read_bytes()
    return contents


def _manifest_bytes(manifest: dict[str, Any]) -> bytes:
    """One key a line. Raises ToolError when the name or version cannot stand in it."""
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
