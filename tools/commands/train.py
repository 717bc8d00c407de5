"""``train``: labelled messages to a packed bundle."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from tools.errors import ToolError
from tools.learning.recipe import Recipe

if TYPE_CHECKING:
    from tools.train import Job

DEFAULT_OUT = Path("models/gateway-default")
SAFETY_PIECES = 4000
OWN: dict[str, object] = {"epochs": 6, "hole_share": 0.1, "abstain_cost": 0.0}
"""For our own corpus: it is large, and messages of real systems are less familiar than our held-out
ones, so that a threshold would refuse them."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder with train.jsonl and dev.jsonl; without it, our corpus",
    )
    add("--out", type=Path, default=DEFAULT_OUT, metavar="BUNDLE", help="bundle (%(default)s)")
    add(
        "--base",
        type=Path,
        metavar="DIR",
        help="BERT- or Gemma-3-shaped Hugging Face folder (all-MiniLM-L6-v2)",
    )
    add("--version", default="1.0.0", help="of the bundle (%(default)s)")
    add(
        "--epochs",
        type=int,
        metavar="N",
        help="passes over the messages (10, more where messages are few)",
    )
    add(
        "--seed",
        type=int,
        default=Recipe.seed,
        metavar="N",
        help="of data, noise and weights (%(default)s)",
    )
    add(
        "--threads", type=int, default=os.cpu_count() or 1, metavar="N", help="of torch (all cores)"
    )
    add("--fp32", action="store_true", help="without quantisation, to compare")
    add("--class-weights", action="store_true", help="rare routes count for more")
    add("--layers", type=int, metavar="N", help="keep that many layers of the base, evenly spread")
    add(
        "--trim-vocabulary", type=int, nargs="?", const=SAFETY_PIECES, metavar="N",
        help="keep what the data needs and the N commonest other pieces (%(const)s)",
    )  # fmt: skip
    add(
        "--teacher", type=Path, action="append", default=[], metavar="BUNDLE",
        help="learn from this bundle's answers too; may be given several times",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Trains, packs, says what to do next."""
    torch = _torch()
    torch.set_num_threads(options.threads)
    from tools.train import run as train  # noqa: PLC0415

    bundle = train(job_of(options))
    print(f"packed {options.out}: {bundle.card.name} {bundle.card.version}, {bundle.digest[:12]}")
    print(f"next: python -m tools evaluate {shlex.quote(str(options.out))} {_test_file(options)}")
    return 0


def job_of(options: argparse.Namespace) -> Job:
    """What the options ask for."""
    from tools.train import Job  # noqa: PLC0415

    chosen: dict[str, object] = {"seed": options.seed, "quantise": not options.fp32}
    if options.data is None:
        chosen |= OWN
    if options.epochs:
        chosen |= {"epochs": options.epochs, "fewest_steps": 0}
    if options.class_weights:
        chosen["class_weight_power"] = 0.5
    name = bundle_name(options.out) if options.data else DEFAULT_OUT.name
    return Job(
        options.out, options.data, name, options.version, options.base, options.layers,
        options.trim_vocabulary, tuple(options.teacher), Recipe(**chosen),
    )  # fmt: skip


def bundle_name(out: Path) -> str:
    """The folder's name, made fit for a manifest: lower case, no spaces."""
    return re.sub(r"[^a-z0-9._-]+", "-", out.name.lower()).strip("-._")[:64] or "bundle"


def _test_file(options: argparse.Namespace) -> str:
    if options.data is None:
        return "FILE.jsonl"
    files = (options.data / f"{split}.jsonl" for split in ("test", "dev", "train"))
    return shlex.quote(str(next(file for file in files if file.is_file())))


def _torch() -> object:
    try:
        import torch  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ToolError("torch is not installed", "pip install -e '.[train]'") from error
    return torch
