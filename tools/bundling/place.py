"""The folder that a bundle is written into. It is replaced whole, so nothing else may be lost."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agent.manifest import MANIFEST, SIGNATURE
from tools.errors import ToolError


def refuse_foreign_folder(out: Path) -> None:
    """What makes a bundle replaces ``out`` whole: only a bundle or nothing may stand there."""
    another = f"choose another folder, for instance --out {shlex.quote(f'{out}-bundle')}"
    if out.is_symlink():
        raise ToolError(f"{out} is a link, and would be replaced", "name the folder itself")
    if not out.exists():
        return
    if out.name in ("", ".."):
        whole = out.resolve()
        raise ToolError(
            f"{out} is a folder without its name, and would be replaced",
            f"cd {shlex.quote(str(whole.parent))}, then --out {shlex.quote(whole.name)}",
        )
    own = _files(out)
    if own is None:
        raise ToolError(f"{out} exists and is no bundle; it would be replaced", another)
    strange = sorted({str(f.relative_to(out)) for f in out.rglob("*") if f.is_file()} - own)
    if strange:
        raise ToolError(
            f"{out} holds {strange[0]}, which is not of its bundle and would be deleted",
            f"move it away, or {another}",
        )


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Where to write the folder that takes the place of ``out`` then; after an error it is gone."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        fresh = Path(scratch) / "bundle"
        yield fresh
        shutil.rmtree(out, ignore_errors=True)
        fresh.rename(out)


def _files(bundle: Path) -> set[str] | None:
    """The names of a bundle's files, damaged or not; None where its manifest is none."""
    manifest = bundle / MANIFEST
    try:
        listed = json.loads(manifest.read_bytes())["files"] if manifest.is_file() else None
    except (ValueError, KeyError, TypeError):
        return None
    return {MANIFEST, SIGNATURE, *listed} if isinstance(listed, dict) else None
