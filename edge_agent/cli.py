"""The command line: one function per command. Exit 0, 1 for a bug, 2 for usage, 78 for set-up."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from edge_agent import __version__
from edge_agent.bundle import load_bundle
from edge_agent.config import Config
from edge_agent.errors import EXIT_SETUP, AgentError
from edge_agent.settings import default_bundle, load_config
from edge_agent.wire.asyncapi import asyncapi
from edge_agent.wire.schema import DOCUMENTS, json_schema

INFER_BATCH_LINES = 16


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and gives its exit code."""
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
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def run(options: argparse.Namespace) -> int:
    """Runs the agent until SIGTERM or SIGINT."""
    from edge_agent.assembly import assemble  # noqa: PLC0415 - other commands start faster
    from edge_agent.log import set_up_log  # noqa: PLC0415
    from edge_agent.transport.base import Stop  # noqa: PLC0415

    config = load_config(options.config, options.settings)
    set_up_log(config.log.level, config.log.format)
    agent = assemble(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, _: agent.inbox.put(Stop(signal.Signals(n).name)))
    agent.run()
    return 0


def demo(options: argparse.Namespace) -> int:
    """Shows the main job with a broker, the agent and a simulated site."""
    from edge_agent.demo import DemoOptions, run_demo  # noqa: PLC0415

    bundle = options.bundle or default_bundle()
    return run_demo(DemoOptions(bundle, options.seconds, options.json))


def infer(options: argparse.Namespace) -> int:
    """Prints one JSON object for each text."""
    from edge_agent.specialists import load_specialist  # noqa: PLC0415
    from edge_agent.wire.inbound import without_surrogates  # noqa: PLC0415
    from edge_agent.wire.outbound import result_data, to_json  # noqa: PLC0415

    specialist = load_specialist(load_bundle(options.bundle or default_bundle()), options.threads)
    texts = map(without_surrogates, options.text or _lines())
    while batch := list(islice(texts, INFER_BATCH_LINES if options.text else 1)):
        for text, prediction in zip(batch, specialist.predict(batch), strict=True):
            line = to_json(result_data(text, prediction, specialist.card))
            sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()
    return 0


def check_config(options: argparse.Namespace) -> int:
    """Checks configuration and bundle; prints the settings in force as JSON."""
    config = load_config(options.config, options.settings)
    bundle = load_bundle(config.model.bundle or default_bundle())
    print(config.model_dump_json(indent=2))
    print(f"configuration and bundle {bundle.manifest.name} are usable", file=sys.stderr)
    return 0


def schema(options: argparse.Namespace) -> int:
    """Prints JSON Schemas of wire and configuration, and the AsyncAPI document."""
    documents = {name: json_schema(name) for name in DOCUMENTS}
    documents["config"] = Config.model_json_schema()
    documents["asyncapi"] = asyncapi()
    shown = documents[options.name] if options.name else documents
    print(json.dumps(shown, indent=2, sort_keys=True))
    return 0


def version(_options: argparse.Namespace) -> int:
    """Prints the version."""
    print(f"edge-agent {__version__}")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    parser = argparse.ArgumentParser(
        prog="edge-agent",
        description="Routes sensor logs and operator messages from MQTT with a small INT4 model.",
        epilog="Exit codes: 0 done, 1 a bug, 2 wrong usage, 78 a person must act.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, function: object) -> argparse.ArgumentParser:
        text = (function.__doc__ or "").strip()
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.set_defaults(command=function)
        return command

    for name, function in (("run", run), ("check-config", check_config)):
        command = add(name, function)
        command.set_defaults(takes_settings=True)
        command.add_argument("--config", type=Path, metavar="FILE", help="the TOML file")
        command.epilog = (
            "Any setting can be given as a flag, such as --mqtt.host=broker.local, "
            "or as a variable, such as EDGE_AGENT__MQTT__HOST."
        )
    command = add("demo", demo)
    command.add_argument("--seconds", type=float, help="end after this long")
    command.add_argument("--json", action="store_true", help="print events instead of a screen")
    command.add_argument("--bundle", type=Path, metavar="DIR", help="the bundle to show")
    command = add("infer", infer)
    command.add_argument("text", nargs="*", help="texts; standard input, a line each, if none")
    command.add_argument("--bundle", type=Path, metavar="DIR", help="the bundle to use")
    command.add_argument("--threads", type=int, help="threads of the model")
    command = add("schema", schema)
    names = [*DOCUMENTS, "config", "asyncapi"]
    command.add_argument("name", nargs="?", choices=names, help="only this one")
    add("version", version)
    return parser


def _lines() -> Iterator[str]:
    raw: Iterable[bytes] = sys.stdin.buffer
    for line in raw:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text.strip():
            yield text
