"""Two bundles on the same messages: the one in use (champion) and the one to replace it."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command line."""
    parser.add_argument("champion", type=Path, metavar="CHAMPION", help="bundle in use")
    parser.add_argument("challenger", type=Path, metavar="CHALLENGER", help="bundle to replace it")
    parser.add_argument("file", type=Path, metavar="FILE", help="JSON Lines: text, route, entities")
    parser.add_argument("--json", action="store_true", help="for programs, on stdout")
    parser.add_argument("--threads", type=int, default=1, help="of each bundle (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """0 when both are compared, whatever came out. Raises ToolError and BundleError."""
    from tools.evaluation.comparison import compare  # noqa: PLC0415
    from tools.evaluation.output import unheard  # noqa: PLC0415

    found = compare(options.champion, options.challenger, options.file, options.threads)
    with unheard():
        if options.json:
            print(found.as_json())
        else:
            _print_tables(found)
    with unheard():
        where = sys.stderr if options.json else sys.stdout
        print(f"next: {_next(found, options)}", file=where)
    return 0


def _print_tables(found: object) -> None:
    from tools.evaluation.output import Screen  # noqa: PLC0415
    from tools.evaluation.report import print_comparison  # noqa: PLC0415

    print_comparison(found, Screen())


def _next(found: object, options: argparse.Namespace) -> str:
    """Pack only what is shown to be better and answers all that the champion does."""
    paths = (options.champion, options.challenger, options.file)
    champion, challenger, file = (shlex.quote(str(path)) for path in paths)
    if found.same:
        return "nothing to do: both are the same bundle"
    if found.lacks:
        return (
            f"keep the champion: the challenger has no {' and no '.join(found.lacks)}; label them, "
            f"then: python -m tools train --data DIR --out {challenger}"
        )
    if found.worse:
        return f"python -m tools evaluate {challenger} {file} --html report.html"
    if not found.better:
        return (
            "no difference shown: label more test messages, then: "
            f"python -m tools compare {champion} {challenger} {file}"
        )
    name = found.challenger.run.bundle.card.name
    return f"python -m tools pack {challenger} --out {name}.tar.zst"
