"""Measures generation beside llama.cpp, and renews docs/benchmarks.md.

At the shape of Gemma 3 270M with random weights, and with the generator that is shipped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edge_agent.errors import AgentError
from tools.bench.generation import compare, shipped
from tools.bench.generation.checkpoint import Recipe
from tools.bench.generation.compare import Plan
from tools.bench.generation.entrants import LlamaCpp, genai_library, llama_cpp_library
from tools.bench.generation.gguf_file import gguf_library
from tools.bench.generation.made import Folder
from tools.bench.generation.turns import Figures
from tools.bench.page import Bar, machine, missed, renew, table
from tools.errors import ToolError
from tools.orders.corpus import held_out

PARTS = ("shape", "shipped")
PACKAGES = ("llama-cpp-python", "onnxruntime-genai", "llguidance")


def bars(threads: int) -> tuple[Bar, ...]:
    """Of the measures with so many threads."""
    decoding, answering, name = f"decoding {threads}", f"answering {threads}", LlamaCpp.name
    n = "one thread" if threads == 1 else f"{threads} threads"
    return (
        Bar(f"decoding / {name}'s, {n}", decoding, f"decode to {name}", 1.1, at_least=True),
        Bar(f"prefill / {name}'s, {n}", decoding, f"prefill to {name}", 1.1, at_least=True),
        Bar(f"time of an answer / {name}'s for as many tokens, {n}", answering,
            f"to {name}", 0.3),
        Bar(f"messages of the encoder / such texts of {name}, {n}", answering,
            f"encoder to {name}", 10, at_least=True),
    )  # fmt: skip


COMMON_BARS = (
    Bar("resident memory after an answer / llama.cpp's", "resident", "to llama.cpp", 1.0),
    Bar("bundle on disk, MB", "size", "bundle_mb", 170.0),
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.generation", description=__doc__)
    add = parser.add_argument
    add("--only", choices=PARTS, help="one part of the page (both)")
    add("--folder", type=Path, default=Path("build/bench-generation"), help="(%(default)s)")
    add("--threads", type=int, nargs="+", default=[1, 2], help="each in its turn (1 2)")
    add("--turns", type=int, default=15, help="of prefill and decoding (%(default)s)")
    add("--messages", type=int, default=50, help="answered (%(default)s)")
    add("--grammar-messages", type=int, default=3,
        help="of them by llama.cpp under the schema, which takes long (%(default)s)")  # fmt: skip
    add("--shipped", type=Path, default=Path("models/work-order"), metavar="BUNDLE",
        help="that is shipped (%(default)s)")  # fmt: skip
    add("--genai", type=Path, metavar="FOLDER", help="of the same checkpoint, by its builder")
    add("--no-page", action="store_true", help="do not renew docs/benchmarks.md")
    return parser.parse_args()


def measure(plan: Plan, threads: list[int]) -> dict[str, Figures]:
    """Every figure by measure; each is printed as soon as it is there."""
    steps: dict[str, Callable[[], Figures]]
    steps = {"size": lambda: compare.size(plan), "equality": lambda: compare.equality(plan)}
    for n in threads:
        steps[f"decoding {n}"] = lambda n=n: compare.decoding(plan, n)  # type: ignore[misc]
        steps[f"answering {n}"] = lambda n=n: compare.answering(plan, n)  # type: ignore[misc]
    steps["resident"] = lambda: compare.resident(plan)
    results: dict[str, Figures] = {}
    for name, step in steps.items():
        results |= rounded({name: step()})
        print(name, json.dumps(results[name]), flush=True)
    return results


def rounded(results: dict[str, Figures]) -> dict[str, Figures]:
    return {
        measure: {name: round(value, 3) for name, value in found.items()}
        for measure, found in results.items()
    }


def report(limits: tuple[Bar, ...], results: dict[str, Figures], **said: object) -> str:
    about = {
        **machine(),
        **{name: found for name in PACKAGES if (found := installed(name))},
        "load when it ended": f"{os.getloadavg()[0]:.1f} running processes",
        **said,
    }
    facts = "\n".join(f"- {name}: {value}" for name, value in about.items())
    figures = json.dumps(results, indent=1)
    return f"{table(limits, results)}\n\n{facts}\n\n```json\n{figures}\n```\n"


def installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def run(options: argparse.Namespace) -> int:
    needed = [llama_cpp_library, gguf_library, *([genai_library] if options.genai else [])]
    for library in needed:
        library()
    texts = tuple(example.text for example in held_out()[2][: options.messages])
    behind: list[str] = []
    if options.only != "shipped":
        behind += shape(options, texts)
    if options.only != "shape":
        behind += of_shipped(options, texts)
    if behind:
        print(f"missed: {', '.join(behind)}", file=sys.stderr)
    return int(bool(behind))


def shape(options: argparse.Namespace, texts: tuple[str, ...]) -> list[str]:
    """The part of the page about random weights. The bars that are missed."""
    folder = Folder(options.folder)
    folder.make(Recipe())
    plan = Plan(folder, texts, options.turns, options.grammar_messages, options.genai)
    results = measure(plan, options.threads)
    limits = (*(bar for n in options.threads for bar in bars(n)), *COMMON_BARS)
    text = report(limits, results, turns=options.turns, messages=len(texts))
    return shown(options, "generation", text, missed(limits, results))


def of_shipped(options: argparse.Namespace, texts: tuple[str, ...]) -> list[str]:
    """The part of the page about the generator that is shipped. The bars that are missed."""
    results = rounded(shipped.measure(options.shipped, options.folder / "shipped.gguf", texts))
    text = report(shipped.BARS, results, messages=len(texts))
    return shown(options, "shipped", text, missed(shipped.BARS, results))


def shown(options: argparse.Namespace, part: str, text: str, behind: list[str]) -> list[str]:
    """Prints a part, and puts it into the page. What was missed."""
    print(text)
    if not options.no_page:
        renew(part, text)
    return behind


def main() -> int:
    try:
        return run(arguments())
    except (ToolError, AgentError) as error:
        print(f"error: {error.problem}\n  fix: {error.fix}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
