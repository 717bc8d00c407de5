"""What is measured, made once and kept: a checkpoint, our bundles of it, its GGUF file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from edge_agent.bundle import load_bundle
from tools.bases.base import open_base
from tools.bench.generation.checkpoint import Recipe, write_checkpoint
from tools.bench.generation.gguf_file import write_gguf
from tools.bundling.changed import changed
from tools.bundling.pack import Contents, pack
from tools.corpora import own_messages
from tools.data import vocabulary_of
from tools.export import build
from tools.export_gemma3 import Job, run
from tools.orders.corpus import TASK, held_out, pair_of
from tools.trunks.loading import load_encoder

PROMPT = (
    "<bos><start_of_turn>\nWrite a work order for this message of a plant. Take asset, component, "
    "problem, action and due time from the message, word by word.\n{text}<end_of_turn>\n"
    "<start_of_turn>"
)
MAX_TOKENS = 256


@dataclass(frozen=True)
class Folder:
    """Paths of what is made, below one folder."""

    root: Path
    context: int = 1024

    @property
    def base(self) -> Path:
        return self.root / "checkpoint"

    @property
    def writer(self) -> Path:
        return self.root / "writer"

    @property
    def gguf(self) -> Path:
        return self.root / "model.gguf"

    @property
    def encoder(self) -> Path:
        return self.root / "encoder"

    def make(self, recipe: Recipe) -> None:
        """Whatever is not there yet. Delete the folder to make it anew."""
        self.root.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(1)
        _once(self.base, lambda out: write_checkpoint(out, learnt_from(), recipe))
        _once(self.writer, self._write_writer)
        _once(self.gguf, lambda out: write_gguf(load_bundle(self.writer), out))
        _once(self.encoder, self._write_encoder)

    def _write_writer(self, out: Path) -> None:
        plain = self.root / "plain"
        bundle = run(Job(self.base, plain, "gemma-shape", context=self.context))
        task = json.loads(TASK.read_text(encoding="utf-8")) | {"prompt": PROMPT}
        task["max_time_ms"] = 60000
        out.mkdir()
        for name, content in changed(bundle, {"task": task}).items():
            (out / name).write_bytes(content)
        shutil.rmtree(plain)

    def _write_encoder(self, out: Path) -> None:
        torch.manual_seed(7)
        vocabulary = vocabulary_of(own_messages())
        sizes = len(vocabulary.routes), len(vocabulary.labels)
        encoder = load_encoder(open_base(self.base), *sizes, MAX_TOKENS)
        encoder.set_quantise()
        model = build(encoder).SerializeToString()
        tokenizer = self.base / "tokenizer.json"
        pack(Contents("gemma-shape", "1.0.0", model, tokenizer, vocabulary, MAX_TOKENS), out)


def learnt_from() -> list[str]:
    """Messages and answers that are not measured with."""
    ours, others, _ = held_out()
    texts = [example.text for example in [*ours, *others]]
    return [*texts, PROMPT, *(pair_of(example).answer for example in ours)]


def _once(path: Path, write: Callable[[Path], object]) -> None:
    """Beside its place first, so that nothing half written is taken for whole."""
    if path.exists():
        return
    fresh = path.with_name(f"{path.name}.new")
    if fresh.is_dir():
        shutil.rmtree(fresh)
    fresh.unlink(missing_ok=True)
    write(fresh)
    fresh.rename(path)
