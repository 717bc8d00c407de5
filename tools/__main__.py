"""``python -m tools``: from labelled messages to a bundle on the gateway."""

from __future__ import annotations

import argparse
import sys

from edge_agent.errors import AgentError
from tools.commands import (
    check_data,
    compare,
    evaluate,
    export_gemma3,
    give_task,
    pack,
    train,
    zero_points,
)
from tools.errors import ToolError

INSTALL = "pip install -e '.[train]'"
COMMANDS = {
    "check-data": (check_data, "find what is wrong with labelled messages"),
    "train": (train, "train and pack a bundle"),
    "evaluate": (evaluate, "score a bundle on a labelled file, beside simple baselines"),
    "compare": (compare, "two bundles on one file, with a significance test"),
    "export-gemma3": (export_gemma3, "a bundle that writes text, out of a Gemma 3"),
    "give-task": (give_task, "tell a bundle that writes what to write"),
    "pack": (pack, "verify a bundle and write it as one archive"),
    "zero-points": (zero_points, "mend an older bundle, so that Arm agrees with x86-64"),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command. 0 done, 2 a person must act, 130 interrupted."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options)
    except (ToolError, AgentError) as error:
        print(f"error: {error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is not installed\n  fix: {INSTALL}", file=sys.stderr)
        return 2
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        fix = "see that the place exists, is writable and has room"
        print(f"error: {named}{error.strerror}\n  fix: {fix}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        kept = "; `train` again goes on from the last judgement" if options.run is train.run else ""
        print(f"interrupted{kept}", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m tools", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name, (command, text) in COMMANDS.items():
        one = commands.add_parser(name, help=text, description=command.__doc__)
        command.arguments(one)
        one.set_defaults(run=command.run)
    return top


if __name__ == "__main__":
    sys.exit(main())
