"""Scores a packed bundle with the code of the agent, beside simple models of the same data.

Of a bundle that writes, the fields of its outputs."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tools.errors import ToolError

if TYPE_CHECKING:
    from edge_agent.bundle import Bundle


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder of a packed bundle")
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="JSON Lines: text, route, entities; or text, output"
    )
    parser.add_argument("--json", action="store_true", help="for programs, on stdout")
    parser.add_argument("--html", type=Path, metavar="REPORT.html", help="write a page to look at")
    data = parser.add_mutually_exclusive_group()
    data.add_argument(
        "--train",
        type=Path,
        metavar="TRAIN.jsonl",
        help="what the baselines learn from (train.jsonl beside FILE)",
    )
    data.add_argument("--no-baselines", action="store_true", help="score the bundle alone")
    parser.add_argument("--threads", type=int, default=1, help="of the bundle (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """0 when the scores, and the page if asked for, are out. Raises ToolError and BundleError.

    A reader of stdout that leaves early changes nothing: the page is written all the same.
    """
    from tools.data import require_file  # noqa: PLC0415
    from tools.evaluation.output import check_writable  # noqa: PLC0415
    from tools.evaluation.running import read_bundle  # noqa: PLC0415

    if options.html:
        check_writable(options.html)
    require_file(options.file)
    bundle = read_bundle(options.bundle)
    if bundle.manifest.kind == "generator":
        return _run_writing(bundle, options)
    return _run_marking(options)


def _run_writing(bundle: Bundle, options: argparse.Namespace) -> int:
    from tools.evaluation.output import Screen, unheard  # noqa: PLC0415
    from tools.evaluation.writing import evaluate_writing, print_writing  # noqa: PLC0415

    for name in ("html", "train"):
        if getattr(options, name):
            raise ToolError(
                f"--{name} is for bundles that sort and mark; this one writes",
                "leave it out; --json gives every number",
            )
    found = evaluate_writing(bundle, options.file, options.threads)
    with unheard():
        if options.json:
            print(found.as_json())
        else:
            print_writing(found, Screen())
        pack = f"python -m tools pack {shlex.quote(str(options.bundle))}"
        print(
            f"next: {pack} --out {bundle.card.name}.tar.gz",
            file=sys.stderr if options.json else sys.stdout,
        )
    return 0


def _run_marking(options: argparse.Namespace) -> int:
    from tools.evaluation.evaluate import Job, evaluate  # noqa: PLC0415
    from tools.evaluation.output import unheard  # noqa: PLC0415

    job = Job(
        options.bundle, options.file, options.train, not options.no_baselines, options.threads
    )
    found = evaluate(job)
    with unheard():
        _show(found, as_json=options.json)
    if options.html:
        _write_page(found, options.html)
    with unheard():
        print(f"next: {_next(found)}", file=sys.stderr if options.json else sys.stdout)
    return 0


def _show(found: object, *, as_json: bool) -> None:
    if as_json:
        print(found.as_json())
        return
    from tools.evaluation.output import Screen  # noqa: PLC0415
    from tools.evaluation.report import print_evaluation  # noqa: PLC0415

    print_evaluation(found, Screen())


def _write_page(found: object, path: Path) -> None:
    from tools.evaluation.html import page  # noqa: PLC0415
    from tools.evaluation.output import write_page  # noqa: PLC0415

    write_page(path, page(found))
    print(f"wrote {path}", file=sys.stderr)


def _next(found: object) -> str:
    """What a person would do with these scores."""
    bundle, file = (shlex.quote(str(path)) for path in (found.job.bundle, found.job.file))
    if found.beaten:
        files = [found.baseline.training.file, found.job.file]
        return f"python -m tools check-data {shlex.join(str(path) for path in files if path)}"
    return (
        f"python -m tools compare CHAMPION {bundle} {file}  (against the bundle in use), or\n"
        f"      python -m tools pack {bundle} --out {found.run.bundle.card.name}.tar.zst"
    )
