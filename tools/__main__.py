"""``python -m tools``: train a bundle, evaluate a bundle."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from pathlib import Path

from edge_agent.errors import AgentError
from tools.errors import ToolError


def main(arguments: list[str] | None = None) -> int:
    """Runs one command. 0 done, 2 a person must act."""
    options = parser().parse_args(arguments)
    try:
        return options.command(options)
    except (ToolError, AgentError) as error:
        print(f"error: {error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m tools", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _train_parser(commands.add_parser("train", help="train and pack a bundle"))
    _evaluate_parser(commands.add_parser("evaluate", help="score a bundle on a labelled file"))
    return top


def _train_parser(train: argparse.ArgumentParser) -> None:
    train.set_defaults(command=_train)
    train.add_argument("--data", type=Path, help="folder with train.jsonl and dev.jsonl")
    train.add_argument(
        "--out", type=Path, default=Path("models/gateway-default"), help="bundle (%(default)s)"
    )
    train.add_argument(
        "--epochs", type=int, help="passes over the messages (12, more where messages are few)"
    )
    train.add_argument("--seed", type=int, default=7, help="of data, noise and weights (7)")
    train.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of torch")
    train.add_argument("--fp32", action="store_true", help="without quantisation, to compare")


def _evaluate_parser(evaluate: argparse.ArgumentParser) -> None:
    evaluate.set_defaults(command=_evaluate)
    evaluate.add_argument("bundle", type=Path)
    evaluate.add_argument("file", type=Path, help="JSON Lines: text, route, entities")
    evaluate.add_argument("--json", action="store_true", help="for programs")
    evaluate.add_argument("--threads", type=int, default=1)


def _train(options: argparse.Namespace) -> int:
    torch = _torch()
    torch.set_num_threads(options.threads)
    from tools.train import Job, run  # noqa: PLC0415
    from tools.training import Recipe  # noqa: PLC0415

    chosen = {"seed": options.seed, "quantise": not options.fp32}
    if options.epochs:
        chosen |= {"epochs": options.epochs, "fewest_steps": 0}
    name = _bundle_name(options.out) if options.data else "gateway-default"
    bundle = run(Job(options.out, options.data, name, recipe=Recipe(**chosen)))
    print(f"packed {options.out}: {bundle.card.name} {bundle.card.version}, {bundle.digest[:12]}")
    dev = options.data / "dev.jsonl" if options.data else "FILE.jsonl"
    print(f"next: python -m tools evaluate {shlex.quote(str(options.out))} {shlex.quote(str(dev))}")
    return 0


def _bundle_name(out: Path) -> str:
    """The folder's name, made fit for a manifest: lower case, no spaces."""
    return re.sub(r"[^a-z0-9._-]+", "-", out.name.lower()).strip("-._")[:64] or "bundle"


def _evaluate(options: argparse.Namespace) -> int:
    from tools.evaluate import as_json, evaluate  # noqa: PLC0415

    report = evaluate(options.bundle, options.file, options.threads)
    if options.json:
        print(as_json(report))
        return 0
    from tools.report import print_report  # noqa: PLC0415

    print_report(report)
    return 0


def _torch() -> object:
    try:
        import torch  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ToolError("torch is not installed", "pip install -e '.[train]'") from error
    return torch


if __name__ == "__main__":
    sys.exit(main())
