"""Gives a bundle that writes its task: the prompt, the schema of the output, and the limits."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.errors import ToolError
from tools.writing.task import EXAMPLE, read_task

if TYPE_CHECKING:
    from edge_agent.bundle import Bundle


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add = parser.add_argument
    add("bundle", type=Path, metavar="BUNDLE", help="folder of a bundle that writes; only read")
    add("--task", type=Path, required=True, metavar="TASK.json", help=f"as in {EXAMPLE}")
    add("--out", type=Path, required=True, metavar="NEW", help="bundle folder to write")
    add("--name", help="of the new bundle (the name of its folder)")
    add("--version", help="of the new bundle (that of BUNDLE)")


def run(options: argparse.Namespace) -> int:
    """0 when the bundle is written and was loaded. Raises ToolError and BundleError."""
    from edge_agent.bundle import load_bundle  # noqa: PLC0415
    from edge_agent.generator import GeneratorSpecialist  # noqa: PLC0415
    from tools.bundling.place import refuse_foreign_folder  # noqa: PLC0415
    from tools.commands.train import bundle_name  # noqa: PLC0415

    refuse_foreign_folder(options.out)
    if options.out.resolve() == options.bundle.resolve():
        raise ToolError(f"{options.out} is the bundle itself", "choose another folder: --out NEW")
    bundle = load_bundle(options.bundle)
    if bundle.manifest.kind != "generator":
        raise ToolError(
            f"{options.bundle} routes messages, it writes nothing",
            "make one that writes: python -m tools export-gemma3 FOLDER --out BUNDLE",
        )
    changes = {
        "name": options.name or bundle_name(options.out),
        "task": read_task(options.task).model_dump(mode="json"),
    }
    changes["version"] = options.version or bundle.manifest.version
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.out.parent) as scratch:
        fresh = with_changes(bundle, changes, Path(scratch) / "bundle")
        GeneratorSpecialist(load_bundle(fresh), 1, time.monotonic)
        shutil.rmtree(options.out, ignore_errors=True)
        fresh.rename(options.out)
    print(f"wrote {options.out}: {changes['name']} {changes['version']}")
    print(f"try it: edge-agent infer --bundle {shlex.quote(str(options.out))} 'a text'")
    return 0


def with_changes(bundle: Bundle, changes: dict[str, Any], out: Path) -> Path:
    """A copy of the bundle whose manifest says something else. The files stay as they are."""
    from edge_agent.manifest import MANIFEST, Manifest  # noqa: PLC0415

    out.mkdir(parents=True)
    for name in bundle.manifest.files:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path / name, out / name)
    said = {**json.loads((bundle.path / MANIFEST).read_text(encoding="utf-8")), **changes}
    Manifest.model_validate(said)
    (out / MANIFEST).write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return out
