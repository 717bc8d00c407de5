"""Gives a bundle that writes its task: the prompt, the schema of the output, and the limits."""

from __future__ import annotations

import argparse
import shlex
import time
from pathlib import Path

from tools.errors import ToolError
from tools.writing.task import EXAMPLE, read_task


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
    from tools.bundling.changed import changed  # noqa: PLC0415
    from tools.bundling.place import refuse_foreign_folder, replacing  # noqa: PLC0415
    from tools.commands.train import bundle_name  # noqa: PLC0415

    refuse_foreign_folder(options.out)
    if options.out.resolve().is_relative_to(options.bundle.resolve()):
        raise ToolError(
            f"{options.out} is the bundle itself or lies in it", "choose another folder: --out NEW"
        )
    bundle = load_bundle(options.bundle)
    if bundle.manifest.kind != "generator":
        raise ToolError(
            f"{options.bundle} routes messages, it writes nothing",
            "make one that writes: python -m tools export-gemma3 FOLDER --out BUNDLE",
        )
    changes = {
        "name": options.name or bundle_name(options.out),
        "version": options.version or bundle.manifest.version,
        "task": read_task(options.task).model_dump(mode="json"),
    }
    with replacing(options.out) as fresh:
        _write(changed(bundle, changes), fresh)
        GeneratorSpecialist(load_bundle(fresh), 1, time.monotonic)
    print(f"wrote {options.out}: {changes['name']} {changes['version']}")
    print(f"try it: edge-agent infer --bundle {shlex.quote(str(options.out))} 'a text'")
    return 0


def _write(contents: dict[str, bytes], out: Path) -> None:
    for name, content in contents.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
