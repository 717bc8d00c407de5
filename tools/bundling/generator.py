"""Writes the folder of a bundle that writes: graphs, tokenizer and the manifest over them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_agent.manifest import (
    GOLDEN,
    MANIFEST,
    NEEDED,
    TOKENIZER,
    WEIGHTS,
    FileEntry,
    GenerationTask,
    GeneratorShape,
    Manifest,
)
from tools.bases.base import Base, read_tokenizer
from tools.bases.digests import sha256_of
from tools.bundling.pack import CARD, plain_tokenizer
from tools.export.generator import build_generator
from tools.export.weight_file import write_graphs
from tools.trunks.gemma3_generator import Gemma3Generator
from tools.trunks.quantise import BITS, BLOCK

KIND = "generator"
QUANTISATION = {
    "bits": BITS, "block": BLOCK, "symmetric": True, "accuracy_level": 4, "scales": "float16",
    "of": ["word embedding", "attention projections", "feed-forward", "head"],
}  # fmt: skip


@dataclass
class Contents:
    """What the manifest says but for sizes and files. ``stops`` name tokens that end a text."""

    name: str
    version: str
    base: Base
    stops: Sequence[str]
    task: GenerationTask | None = None
    quantisation: dict[str, Any] = field(default_factory=lambda: dict(QUANTISATION))
    provenance: dict[str, Any] = field(default_factory=dict)

    def stop_ids(self) -> tuple[int, ...]:
        """Of the base's tokenizer, in order."""
        tokenizer = read_tokenizer(self.base.tokenizer)
        return tuple(sorted(tokenizer.token_to_id(name) for name in self.stops))


def write_model(contents: Contents, model: Gemma3Generator, folder: Path) -> None:
    """Graphs, weights, tokenizer and manifest into a new folder."""
    folder.mkdir(parents=True)
    write_graphs(build_generator(model), folder, WEIGHTS)
    (folder / TOKENIZER).write_text(plain_tokenizer(contents.base.tokenizer), encoding="utf-8")
    write_manifest(contents, model, folder)


def write_manifest(contents: Contents, model: Gemma3Generator, folder: Path) -> None:
    """``bundle.json`` over every other file of the folder."""
    shape = model.shape
    sizes = GeneratorShape(
        layers=shape.layers, key_heads=shape.key_heads, head_size=shape.head_size,
        hidden=shape.hidden, vocabulary=shape.vocabulary, stop_tokens=contents.stop_ids(),
    )  # fmt: skip
    names = sorted({*NEEDED[KIND], *(n for n in (CARD, GOLDEN) if (folder / n).is_file())})
    files = {
        name: FileEntry(sha256=sha256_of(folder / name), size_bytes=(folder / name).stat().st_size)
        for name in names
    }
    origin = contents.base.provenance()
    manifest = Manifest(
        format=1, name=contents.name, version=contents.version, kind=KIND,
        max_tokens=shape.max_tokens, generator=sizes, task=contents.task,
        quantisation=contents.quantisation, licence=origin["licence"],
        provenance={"base": origin, **contents.provenance}, files=files,
    )  # fmt: skip
    plain = manifest.model_dump(mode="json", exclude_defaults=True)
    text = json.dumps(plain, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
