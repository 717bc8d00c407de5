"""Prints JSON Schemas of wire and configuration, and the AsyncAPI document."""

from __future__ import annotations

import argparse
import json

from edge_agent.config import Config
from edge_agent.wire.asyncapi import asyncapi
from edge_agent.wire.schema import DOCUMENTS, json_schema


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    names = [*DOCUMENTS, "config", "asyncapi"]
    parser.add_argument("name", nargs="?", choices=names, help="only this one")


def run(options: argparse.Namespace) -> int:
    """Always 0."""
    documents = {name: json_schema(name) for name in DOCUMENTS}
    documents["config"] = Config.model_json_schema()
    documents["asyncapi"] = asyncapi()
    shown = documents[options.name] if options.name else documents
    print(json.dumps(shown, indent=2, sort_keys=True))
    return 0
