"""Writes a bundle folder: model, tokenizer, golden examples, card, and the manifest over them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge_agent.bundle import Bundle, load_bundle
from edge_agent.manifest import GOLDEN, MANIFEST, MODEL, TOKENIZER, Calibration, FileEntry, Manifest
from edge_agent.types import Prediction
from tools.corpus.annotation import Example
from tools.data import Vocabulary
from tools.errors import ToolError

CARD = "MODEL_CARD.md"
GOLDEN_MESSAGES = 32
SURE_ENTITY = 0.75
SURE_MARGIN = 0.4

Pair = tuple[Example, Prediction]


@dataclass
class Contents:
    """What a bundle is made of, before it is packed."""

    name: str
    version: str
    model: bytes
    tokenizer: Path
    vocabulary: Vocabulary
    max_tokens: int
    licence: str = "Apache-2.0"
    transitions: list[list[float]] | None = None
    calibration: Calibration = field(default_factory=Calibration)
    quantisation: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)


def pack(contents: Contents, out: Path) -> Bundle:
    """Writes model, tokenizer and manifest, and loads them back the way the runtime does."""
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / MODEL).write_bytes(contents.model)
    (out / TOKENIZER).write_text(plain_tokenizer(contents.tokenizer), encoding="utf-8")
    write_manifest(contents, out)
    return load_bundle(out)


def add_golden(
    contents: Contents, out: Path, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> Bundle:
    """Writes what the packed bundle says of a few messages, and lists it in the manifest."""
    lines = [
        json.dumps(as_golden(example.text, prediction), ensure_ascii=False)
        for example, prediction in golden_choice(list(zip(examples, predictions, strict=True)))
    ]
    (out / GOLDEN).write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_manifest(contents, out)
    return load_bundle(out)


def write_manifest(contents: Contents, out: Path) -> None:
    """Writes ``bundle.json`` over every other file of the folder."""
    names = (MODEL, TOKENIZER, GOLDEN, CARD)
    files = {name: entry((out / name).read_bytes()) for name in names if (out / name).is_file()}
    _write_json(out / MANIFEST, manifest(contents, files).model_dump(mode="json"))


def replace_file(bundle: Bundle, name: str, content: bytes) -> None:
    """Writes one file of a packed bundle anew, and its digest into the manifest."""
    (bundle.path / name).write_bytes(content)
    plain = json.loads(bundle.raw)
    plain["files"][name] = entry(content).model_dump(mode="json")
    _write_json(bundle.path / MANIFEST, plain)


def _write_json(path: Path, plain: dict[str, Any]) -> None:
    text = json.dumps(plain, indent=1, ensure_ascii=False)
    path.write_text(_compact_rows(text) + "\n", encoding="utf-8")


def manifest(contents: Contents, files: dict[str, FileEntry]) -> Manifest:
    """The manifest of ``contents``; without files, one that only serves to decode."""
    nothing = FileEntry(sha256="0" * 64, size_bytes=0)
    return Manifest(
        format=1,
        name=contents.name,
        version=contents.version,
        kind="encoder",
        routes=contents.vocabulary.routes,
        out_of_scope=contents.vocabulary.out_of_scope,
        labels=contents.vocabulary.labels,
        transitions=contents.transitions,
        calibration=contents.calibration,
        max_tokens=contents.max_tokens,
        quantisation=contents.quantisation,
        licence=contents.licence,
        provenance=contents.provenance,
        files=files or {MODEL: nothing, TOKENIZER: nothing},
    )


def refuse_misnamed(name: str, version: str) -> None:
    """Raises ToolError where no manifest can say that name or version."""
    nothing = Vocabulary(("route",), ())
    try:
        manifest(Contents(name, version, b"", Path(TOKENIZER), nothing, 8), {})
    except ValidationError as error:
        raise ToolError(
            f"no bundle can be named {name} {version}: {error.errors()[0]['msg']}",
            "use a name of lower-case letters, digits, . _ - and a version like 1.2.0",
        ) from error


def golden_choice(pairs: Sequence[Pair]) -> list[Pair]:
    """A few messages of every route, from the shortest to the longest of it.

    Sure answers where there are any: another processor rounds a little differently, and that must
    not turn a sound bundle away.
    """
    routes = sorted({example.route for example, _ in pairs})
    each = -(-GOLDEN_MESSAGES // len(routes))
    columns = []
    for route in routes:
        group = sorted((p for p in pairs if p[0].route == route), key=lambda p: len(p[0].text))
        group = [pair for pair in group if sure(pair[1])] or group
        columns.append(group[:: max(1, len(group) // each)][:each])
    rounds = [column[i] for i in range(each) for column in columns if i < len(column)]
    rest = [pair for pair in pairs if pair not in rounds]
    return [*rounds, *sorted(rest, key=lambda p: not sure(p[1]))][:GOLDEN_MESSAGES]


def sure(prediction: Prediction) -> bool:
    """Whether every decision in it stands clear of the next best."""
    clear = all(entity.confidence >= SURE_ENTITY for entity in prediction.entities)
    route = prediction.route
    if route is None:
        return clear
    rival = route.alternatives[int(route.abstained) :][:1]
    return clear and all(route.confidence - r.confidence >= SURE_MARGIN for r in rival)


def as_golden(text: str, prediction: Prediction) -> dict[str, object]:
    """One line of ``golden.jsonl``."""
    route = prediction.route
    return {
        "text": text,
        "route": route
        and {"label": route.label, "confidence": route.confidence, "abstained": route.abstained},
        "entities": [
            {"label": e.label, "start": e.start, "end": e.end} for e in prediction.entities
        ],
    }


def plain_tokenizer(path: Path) -> str:
    """The tokenizer's JSON without padding and truncation: the runtime sets its own window."""
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    tokenizer["padding"] = tokenizer["truncation"] = None
    return json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":"))


def entry(content: bytes) -> FileEntry:
    """What the manifest says of a file."""
    return FileEntry(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def _compact_rows(text: str) -> str:
    """Puts innermost lists of numbers on one line each."""
    lines, row = [], None
    for line in text.splitlines():
        bare = line.strip()
        if row is not None:
            row += bare if bare.startswith("]") else bare + " "
            if bare.startswith("]"):
                lines.append(row.replace(" ]", "]"))
                row = None
        elif bare == "[":
            row = line
        else:
            lines.append(line)
    return "\n".join(lines)
