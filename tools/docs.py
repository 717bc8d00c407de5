"""The generated parts of the documents, from the real program.

`python -m tools.docs` renews them; with --check it changes nothing, prints a diff and ends with 1
when something differs. A block in README.md or docs/*.md looks like this:

    <!-- generated: NAME -->
    …
    <!-- end -->

Probabilities differ a little between processors: they are printed, but not compared.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from edge_agent.bundle import load_bundle
from edge_agent.cli import COMMANDS
from edge_agent.config import Config
from edge_agent.doctor.table import CHECKS
from edge_agent.doctor.table import groups as doctor_groups
from edge_agent.exposition import METRICS, Metric
from edge_agent.settings import default_bundle
from edge_agent.specialists import EncoderSpecialist, load_specialist
from edge_agent.types import Answer, Delivery, Message, Operation, Reply, Timing
from edge_agent.wire.outbound import Writer

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- generated: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
UNCOMPARED = re.compile(r'"confidence": ?[\d.]+|"alternatives": ?\[.*?\]', re.DOTALL)
TEXT = "pump P-101 is leaking since 06:40"
TOPIC = "site/a/operator/line2"
ACTIONS = ("install", "list", "rollback", "verify", "remove")
RECEIVED_AT_S = 1768464000.25


def edge_agent(*arguments: str) -> str:
    """What the program prints."""
    return printed("edge_agent", *arguments)


def printed(module: str, *arguments: str) -> str:
    """What ``python -m module`` prints."""
    shown = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100"},
    )
    return shown.stdout


@cache
def specialist() -> EncoderSpecialist:
    return load_specialist(load_bundle(default_bundle()), threads=1)


def fenced(language: str, *parts: str) -> str:
    return "\n".join([f"```{language}", *(part.strip("\n") for part in parts), "```", ""])


def pretty(payload: str | bytes) -> str:
    return json.dumps(json.loads(payload), indent=2, ensure_ascii=False)


def message(operation: Operation) -> Message:
    topic = TOPIC if operation is Operation.EVENT else f"edge/gw-1/request/{operation.value}"
    delivery = Delivery(topic, TEXT.encode(), 1, 7, 1, 0.0, RECEIVED_AT_S)
    reply = None if operation is Operation.EVENT else Reply("edge/gw-1/reply/me", b"42", 42)
    return Message("5f3c0d9a1b7e42c68d20e4f19a3b5c77", TEXT, delivery, operation, reply=reply)


def answer() -> Answer:
    return Answer(specialist().predict([TEXT])[0], specialist().card)


def writer() -> Writer:
    return Writer("edge/gw-1")


def sample_infer() -> str:
    return fenced("console", f'$ edge-agent infer "{TEXT}"', edge_agent("infer", TEXT))


def sample_event() -> str:
    event = writer().event(message(Operation.EVENT), answer(), Timing(0.4, 6.2))
    return f"`{TEXT}` on `{TOPIC}` gives, on `{event.topic}`:\n\n" + fenced(
        "json", pretty(event.payload)
    )


def sample_reply() -> str:
    reply = writer().answer_prediction(message(Operation.CLASSIFY), answer())
    return fenced("json", pretty(reply.payload))


def help_text() -> str:
    return fenced("console", "$ edge-agent --help", edge_agent("--help"))


def helps(*commands: str) -> str:
    return "\n".join(
        fenced("console", f"$ edge-agent {name} --help", edge_agent(*name.split(), "--help"))
        for name in commands
    )


def train_help() -> str:
    shown = printed("tools", "train", "--help")
    return fenced("console", "$ python -m tools train --help", shown)


def settings() -> str:
    """A table for each section of the configuration."""
    schema = Config.model_json_schema()
    parts = []
    for name, field in schema["properties"].items():
        header, one = one_of_many(name, field)
        section = resolved(one, schema)
        rows = [row(key, value, section, schema) for key, value in section["properties"].items()]
        said = "\n\n".join(section.get("description", "").replace("``", "`").split("\n\n"))
        table = ["| key | value | default |", "|---|---|---|", *rows]
        parts.append(f"### `{header}`\n\n{said}\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)


def one_of_many(name: str, field: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The header of a section, and its shape where there may be several of it."""
    named = [field.get("additionalProperties"), *field.get("patternProperties", {}).values()]
    if field.get("type") == "array":
        return f"[[{name}]]", field["items"]
    if found := next((shape for shape in named if isinstance(shape, dict)), None):
        return f"[{name}.NAME]", found
    return f"[{name}]", field


def resolved(field: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    options = [*field.get("allOf", []), *field.get("anyOf", [])]
    references = (option["$ref"] for option in options if "$ref" in option)
    reference = field.get("$ref") or next(references, None)
    found: dict[str, Any] = schema["$defs"][reference.rpartition("/")[2]] if reference else field
    return found


def row(key: str, field: dict[str, Any], section: dict[str, Any], schema: dict[str, Any]) -> str:
    default = f"`{json.dumps(field['default'])}`" if field.get("default") is not None else ""
    if key in section.get("required", []):
        default = "required"
    return f"| `{key}` | {kind(field, schema)} | {default} |"


def kind(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """A field's type and limits in words."""
    field = resolved(field, schema)
    if options := [o for o in field.get("anyOf", []) if o.get("type") != "null"]:
        return " or ".join(kind(option, schema) for option in options)
    if "enum" in field:
        return ", ".join(f'`"{value}"`' for value in field["enum"])
    if field.get("type") == "object":
        return f"table: {', '.join(f'`{name}`' for name in field['properties'])}"
    words = {"exclusiveMinimum": "above", "minimum": "from", "maximum": "to"}
    limits = [f"{word} {field[name]}" for name, word in words.items() if name in field]
    return " ".join([field.get("format") or field.get("type", ""), *limits])


def metrics() -> str:
    """A table of all that Prometheus can read, and where health has it."""
    rows = [
        f"| `edge_agent_{metric.name}{labels(metric)}` | {metric.kind} | {metric.help} "
        f"| `{metric.where}` |"
        for metric in METRICS
    ]
    header = ["| name | type | what | in health |", "|---|---|---|---|"]
    return "\n".join([*header, *rows]) + "\n"


def labels(metric: Metric) -> str:
    """As in ``{route}``."""
    names = metric.label or ("name,version,digest" if metric.kind == "info" else "")
    return f"{{{names}}}" if names else ""


def doctor_checks() -> str:
    """A table for each group of checks."""
    parts = []
    for group in doctor_groups():
        rows = [
            f"| `{check.id}` | {check.examines} | {check.mends} |"
            for check in CHECKS
            if check.group == group
        ]
        parts.append("\n".join([f"| {group} | examines | what helps |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def doctor_screen(name: str) -> str:
    """A screen that the tests hold."""
    shown = (ROOT / f"tests/golden/{name}.txt").read_text(encoding="utf-8")
    return fenced("console", "$ edge-agent doctor", shown)


BLOCKS: dict[str, Callable[[], str]] = {
    "help": help_text,
    "commands": partial(helps, *COMMANDS),
    "bundle-commands": partial(helps, *(f"bundle {action}" for action in ACTIONS)),
    "settings": settings,
    "metrics": metrics,
    "train-help": train_help,
    "sample-infer": sample_infer,
    "sample-event": sample_event,
    "sample-reply": sample_reply,
    "doctor-checks": doctor_checks,
    "doctor-throttled": lambda: doctor_screen("throttled_pi"),
}


def renewed(text: str) -> str:
    """The same document with every block generated anew. KeyError names an unknown block."""
    return BLOCK.sub(lambda found: found[1] + BLOCKS[found[2]]() + found[4], text)


def documents() -> dict[Path, str]:
    """Every document with generated parts, as it should be."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    wanted = {page: renewed(page.read_text(encoding="utf-8")) for page in pages}
    for name, schema in json.loads(edge_agent("schema")).items():
        wanted[ROOT / f"docs/schemas/{name}.json"] = json.dumps(schema, indent=2) + "\n"
    return wanted


def difference(path: Path, wanted: str) -> str:
    """A unified diff, empty when the file says the same apart from probabilities."""
    found = path.read_text(encoding="utf-8") if path.exists() else ""
    if UNCOMPARED.sub("", found) == UNCOMPARED.sub("", wanted):
        return ""
    name = str(path.relative_to(ROOT))
    old, new = found.splitlines(keepends=True), wanted.splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, new, name, f"{name} as generated"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.docs", description="Generated documents")
    parser.add_argument("--check", action="store_true", help="change nothing, fail on differences")
    check = parser.parse_args().check
    stale = {path: text for path, text in documents().items() if difference(path, text)}
    for path, text in stale.items():
        if check:
            print(difference(path, text), end="")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    if stale and check:
        print("fix: make docs-write", file=sys.stderr)
    return int(bool(stale) and check)


if __name__ == "__main__":
    sys.exit(main())
