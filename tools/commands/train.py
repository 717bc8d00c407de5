"""``train``: labelled messages, or messages and what to write about them, to a packed bundle."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bases.pieces import SAFETY_PIECES
from tools.errors import ToolError
from tools.learning.recipe import Recipe

if TYPE_CHECKING:
    from tools.train import Job
    from tools.train_generator import Job as WritingJob

DEFAULT = Path("models/gateway-default")
OWN: dict[str, object] = {
    "epochs": 6,
    "heads_first": 0.1,
    "hole_share": 0.1,
    "abstain_cost": 0.0,
}
"""For our own corpus: it is large, and messages of real systems are less familiar than our held-out
ones, so that a threshold would refuse them."""

WORK_ORDER = Path("models/work-order")
WRITING: dict[str, object] = {"layer_decay": 1.0, "trunk_rate": 1e-4}
"""For a Gemma 3 that can write already."""
FROM_SCRATCH: dict[str, object] = {
    "layer_decay": 1.0,
    "trunk_rate": 1.5e-3,
    "float_share": 0.4,
    "mark_weight": 1.0,
}
OWN_WRITING: dict[str, object] = {"epochs": 16, "judgements": 4}
ENCODERS_ONLY = ("class_weights", "layers", "teacher")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="folder with train.jsonl; without it, our corpus")
    add(
        "--task", type=Path, metavar="TASK.json",
        help="train what writes: prompt, schema and limits, as give-task reads them; "
        "the lines of DIR are then text and output",
    )  # fmt: skip
    add("--out", type=Path, metavar="BUNDLE", help="bundle (models/ and the name of the folder)")
    add(
        "--base", type=Path, metavar="DIR",
        help="BERT- or Gemma-3-shaped Hugging Face folder (all-MiniLM-L6-v2; with --task a small "
        "Gemma 3 of random weights)",
    )  # fmt: skip
    add("--version", default="1.0.0", help="of the bundle (%(default)s)")
    add("--seed", type=seed, default=Recipe.seed, metavar="N", help="of everything (%(default)s)")
    add(
        "--threads", type=positive, default=os.cpu_count() or 1, metavar="N",
        help="of torch (all cores)",
    )  # fmt: skip
    _recipe_arguments(parser)
    _size_arguments(parser)


def _recipe_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--epochs", type=positive, metavar="N",
        help=f"passes over the messages ({Recipe.epochs}, more where messages are few; "
        f"{OWN['epochs']} over our corpus)",
    )  # fmt: skip
    add("--fp32", action="store_true", help="without quantisation, to compare")
    add("--class-weights", action="store_true", help="rare routes count for more")


def _size_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--layers", type=positive, metavar="N", help="keep N layers of the base, evenly spread")
    add(
        "--trim-vocabulary", type=positive, nargs="?", const=SAFETY_PIECES, metavar="N",
        help="keep what the data needs and the N commonest other pieces (%(const)s)",
    )  # fmt: skip
    add(
        "--teacher", type=Path, action="append", default=[], metavar="BUNDLE",
        help="learn from this bundle's answers too; may be given several times",
    )  # fmt: skip


def positive(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def seed(text: str) -> int:
    """A whole number that torch takes."""
    number = int(text)
    if not 0 <= number < 2**63:
        raise argparse.ArgumentTypeError("must be 0 or more, and below 2 to the power of 63")
    return number


def run(options: argparse.Namespace) -> int:
    """Trains, packs, says what to do next."""
    import torch  # noqa: PLC0415

    torch.set_num_threads(options.threads)
    if options.task:
        from tools.train_generator import run as train_generator  # noqa: PLC0415

        job = writing_job_of(options)
        bundle = train_generator(job)
    else:
        from tools.train import run as train  # noqa: PLC0415

        job = job_of(options)
        bundle = train(job)
    print(f"packed {job.out}: {bundle.card.name} {bundle.card.version}, {bundle.digest[:12]}")
    print(f"next: python -m tools evaluate {shlex.quote(str(job.out))} {_test_file(options)}")
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
    out = options.out or (Path("models") / options.data.resolve().name if options.data else DEFAULT)
    name = bundle_name(out) if options.data else DEFAULT.name
    return Job(
        out, options.data, name, options.version, options.base, options.layers,
        options.trim_vocabulary, tuple(options.teacher), Recipe(**chosen),
    )  # fmt: skip


def writing_job_of(options: argparse.Namespace) -> WritingJob:
    """What the options ask for, with --task. Raises ToolError."""
    from tools.bases.fresh import Sizes  # noqa: PLC0415
    from tools.train_generator import Job  # noqa: PLC0415

    for name in ENCODERS_ONLY:
        if getattr(options, name):
            raise ToolError(
                f"--{name.replace('_', '-')} is for bundles that sort and mark", "leave it out"
            )
    chosen = {**(WRITING if options.base else FROM_SCRATCH)}
    chosen |= {"seed": options.seed, "quantise": not options.fp32}
    if options.data is None:
        chosen |= OWN_WRITING
    if options.epochs:
        chosen |= {"epochs": options.epochs, "fewest_steps": 0}
    out = options.out or (
        Path("models") / options.data.resolve().name if options.data else WORK_ORDER
    )
    return Job(
        out, options.task, options.data, bundle_name(out), options.version, options.base,
        options.trim_vocabulary, Sizes(seed=options.seed), Recipe(**chosen), knows_words=True,
    )  # fmt: skip


def bundle_name(out: Path) -> str:
    """The folder's name, made fit for a manifest: lower case, no spaces."""
    return re.sub(r"[^a-z0-9._-]+", "-", out.name.lower()).strip("-._")[:64] or "bundle"


def _test_file(options: argparse.Namespace) -> str:
    if options.data is None:
        return "FILE.jsonl"
    files = (options.data / f"{split}.jsonl" for split in ("test", "dev", "train"))
    return shlex.quote(str(next(file for file in files if file.is_file())))
