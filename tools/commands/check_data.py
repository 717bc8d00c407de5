"""``check-data``: looks labelled messages over before anything is trained."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PASSED, FAILED = 0, 2


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="DIR|FILE.jsonl",
        help="folder with train.jsonl, perhaps dev.jsonl and test.jsonl; or files",
    )
    parser.add_argument("--json", action="store_true", help="every finding, for programs")
    parser.add_argument("--strict", action="store_true", help="warnings fail too")


def run(options: argparse.Namespace) -> int:
    """0 when one may train on it, 2 when something has to be mended first. Raises ToolError.

    A reader of stdout that leaves early changes nothing.
    """
    from tools.checking.checks import check  # noqa: PLC0415
    from tools.checking.report import as_json, print_result  # noqa: PLC0415
    from tools.evaluation.output import Screen, unheard  # noqa: PLC0415

    result = check(options.paths, _watched)
    passed = result.passes(strict=options.strict)
    following = next_command(options, passed=passed)
    with unheard():
        if options.json:
            print(as_json(result, following, strict=options.strict))
        else:
            print_result(result, Screen())
    with unheard():
        print(following, file=sys.stderr if options.json else sys.stdout)
    return PASSED if passed else FAILED


def next_command(options: argparse.Namespace, *, passed: bool) -> str:
    """What to type next."""
    named = shlex.join(str(path) for path in options.paths)
    if not passed:
        strict = " --strict" if options.strict else ""
        return f"fix these, then: python -m tools check-data {named}{strict}"
    folder = options.paths[0]
    if not folder.is_dir():
        return "next: python -m tools check-data DIR, a folder with train.jsonl and dev.jsonl"
    out = Path("models") / (folder.resolve().name or "my-site")
    return f"next: python -m tools train --data {named} --out {shlex.quote(str(out))}"


def _watched(checks: Iterable[tuple[str, object]]) -> Iterator[tuple[str, object]]:
    """The checks one by one, with a bar on standard error while they run."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

    console, table = Console(stderr=True), list(checks)
    columns = (TextColumn("checking {task.description}"), BarColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=len(table))
        for title, check in table:
            progress.update(task, description=title)
            yield title, check
            progress.advance(task)
