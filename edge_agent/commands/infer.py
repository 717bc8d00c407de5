"""Prints one JSON object for each text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from edge_agent.bundle import Bundle, load_bundle
from edge_agent.settings import default_bundle
from edge_agent.signing import read_public_keys

BATCH_LINES = 16
Printed = Callable[[list[str]], Iterable[Any]]
"""Texts to what is printed of each."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("text", nargs="*", help="texts; standard input, a line each, if none")
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="the bundle to use")
    parser.add_argument("--public-key", type=Path, metavar="FILE", help="ask for its signature")
    parser.add_argument("--threads", type=int, help="threads of the model")


def run(options: argparse.Namespace) -> int:
    """0 when all texts are through."""
    from edge_agent.wire.inbound import without_surrogates  # noqa: PLC0415
    from edge_agent.wire.outbound import to_json  # noqa: PLC0415

    keys = read_public_keys(options.public_key) if options.public_key else None
    bundle = load_bundle(options.bundle or default_bundle(), keys)
    answer = (_written if bundle.manifest.kind == "generator" else _predicted)(bundle, options)
    texts = map(without_surrogates, options.text or _lines())
    while batch := list(islice(texts, BATCH_LINES if options.text else 1)):
        for line in answer(batch):
            sys.stdout.buffer.write(to_json(line) + b"\n")
        sys.stdout.buffer.flush()
    return 0


def _predicted(bundle: Bundle, options: argparse.Namespace) -> Printed:
    from edge_agent.specialists import load_specialist  # noqa: PLC0415
    from edge_agent.wire.outbound import result_data  # noqa: PLC0415

    specialist = load_specialist(bundle, options.threads)
    return lambda texts: [
        result_data(text, prediction, specialist.card)
        for text, prediction in zip(texts, specialist.predict(texts), strict=True)
    ]


def _written(bundle: Bundle, options: argparse.Namespace) -> Printed:
    from edge_agent.generator import load_writer  # noqa: PLC0415
    from edge_agent.wire.outputs import written_data  # noqa: PLC0415

    specialist = load_writer(bundle, options.threads)
    return lambda texts: [written_data(text, specialist.write(text)) for text in texts]


def _lines() -> Iterator[str]:
    raw: Iterable[bytes] = sys.stdin.buffer
    for line in raw:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text.strip():
            yield text
