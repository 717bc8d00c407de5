"""Makes a bundle that writes text out of a Gemma 3 folder, as transformers 4 or 5 saves it."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterator
from pathlib import Path

from tools.bases.pieces import SAFETY_PIECES
from tools.commands.train import bundle_name, positive
from tools.errors import ToolError


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="config.json, tokenizer.json, safetensors")
    add("--out", type=Path, required=True, metavar="BUNDLE", help="bundle folder to write")
    add("--kind", choices=("generator", "encoder"), default="generator", help="(%(default)s)")
    add("--version", default="1.0.0", help="of the bundle (%(default)s)")
    add(
        "--context", type=positive, default=1024, metavar="TOKENS",
        help="prompt and output together (%(default)s)",
    )  # fmt: skip
    add(
        "--trim-vocabulary", type=Path, action="append", metavar="FILE",
        help="keep only the pieces that these texts need; .jsonl (its strings) or plain lines; "
        "may be given several times",
    )  # fmt: skip
    add(
        "--common-pieces", type=int, default=SAFETY_PIECES, metavar="N",
        help="and the N commonest other pieces (%(default)s)",
    )  # fmt: skip
    add("--threads", type=positive, default=1, metavar="N", help="of torch (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """0 when the bundle is written and was read back. Raises ToolError and BundleError."""
    if options.kind == "encoder":
        raise ToolError(
            "an encoder sorts and marks messages, which it has to learn from some first",
            f"python -m tools train --base {shlex.quote(str(options.folder))} "
            f"--data DIR --out {shlex.quote(str(options.out))}",
        )
    import torch  # noqa: PLC0415

    from tools.export_gemma3 import Job  # noqa: PLC0415
    from tools.export_gemma3 import run as export  # noqa: PLC0415

    torch.set_num_threads(options.threads)
    files = options.trim_vocabulary
    texts = tuple(text for file in files for text in read_texts(file)) if files else None
    name = bundle_name(options.out)
    bundle = export(
        Job(options.folder, options.out, name, options.version, options.context, texts,
            options.common_pieces)
    )  # fmt: skip
    _tell(bundle.path, bundle.manifest.quantisation["share_on_grid"])
    return 0


def _tell(folder: Path, share: float) -> None:
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"wrote {folder}, {size / 1e6:.1f} MB")
    kept = "nothing was lost" if share == 1 else "the rest was rounded to 4 bits"
    print(f"{share:.1%} of the INT4 blocks were such blocks in the checkpoint already: {kept}")
    if share < 0.5:
        print("a checkpoint of quantisation-aware training (…-qat-q4_0-unquantized) loses less")


def read_texts(file: Path) -> Iterator[str]:
    """The texts of a file: its lines, or every string in each line of a ``.jsonl``."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        for line in filter(None, map(str.strip, lines)):
            yield from _strings(json.loads(line)) if file.suffix == ".jsonl" else [line]
    except ValueError as error:
        raise ToolError(
            f"{file} cannot be read: {error}", "give UTF-8 text, in a .jsonl one JSON value a line"
        ) from error


def _strings(value: object) -> Iterator[str]:
    """Every string in a JSON value, and the value itself as text where it is more than one."""
    if isinstance(value, str):
        yield value
        return
    yield json.dumps(value, ensure_ascii=False)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        yield from _strings(part)
