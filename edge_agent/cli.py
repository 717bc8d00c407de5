"""The command line. Exit 0, 1 for a bug, 2 for usage, 78 for set-up, 130 for Ctrl-C."""

from __future__ import annotations

import argparse
import os
import sys

from edge_agent.commands import (
    allow_broker,
    bench,
    bundle,
    check_config,
    demo,
    doctor,
    infer,
    reload,
    schema,
    serve,
    support_bundle,
    version,
)
from edge_agent.errors import EXIT_SETUP, AgentError
from edge_agent.leaving import exit_code

EXIT_INTERRUPTED = 130
"""As a shell has it for Ctrl-C."""
COMMANDS = {
    "run": serve,
    "reload": reload,
    "check-config": check_config,
    "allow-broker": allow_broker,
    "bundle": bundle,
    "doctor": doctor,
    "bench": bench,
    "support-bundle": support_bundle,
    "demo": demo,
    "infer": infer,
    "schema": schema,
    "version": version,
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and gives its exit code."""
    return exit_code(_outcome(arguments))


def _outcome(arguments: list[str] | None) -> int:
    parser = build_parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and not getattr(options, "takes_settings", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.settings = rest
    try:
        code: int = options.command(options)
    except AgentError as error:
        print(f"edge-agent: {error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return EXIT_SETUP
    except KeyboardInterrupt:
        print("edge-agent: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def build_parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    parser = argparse.ArgumentParser(
        prog="edge-agent",
        description="Routes sensor logs and operator messages from MQTT with a small INT4 model.",
        epilog="Exit codes: 0 done, 1 a bug, 2 wrong usage, 78 a person must act.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        text = (module.__doc__ or "").strip()
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.set_defaults(command=module.run)
        module.arguments(command)
    return parser
